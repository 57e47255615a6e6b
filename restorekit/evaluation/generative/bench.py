"""Measures generators that make pictures: how near their samples are to real ones, and what their networks know."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from restorekit.contract import Measurable
from restorekit.errors import RestorekitError, UsageError
from restorekit.evaluation.distribution import FeatureNetwork, distribution_scores
from restorekit.evaluation.distribution.names import resolve
from restorekit.evaluation.generative.draws import Draws, balanced_labels
from restorekit.evaluation.generative.measures import Listener, features_of, own_numbers
from restorekit.evaluation.generative.memorisation import PERCENTILE, memorisation
from restorekit.evaluation.generative.names import OWN_METRICS
from restorekit.evaluation.generative.pictures import Pictures, Splits
from restorekit.evaluation.generative.probe import linear_probe
from restorekit.evaluation.generative.result import GenerativeBenchmark, Numbers, Row
from restorekit.evaluation.generative.seen import Seen
from restorekit.evaluation.generative.sheets import neighbour_sheet, sample_sheet, write_sheet
from restorekit.evaluation.generative.subjects import Subject
from restorekit.evaluation.protocol import Facts
from restorekit.files import replace_file
from restorekit.inference import Runtime
from restorekit.sampling import Drawing

__all__ = ["Questions", "benchmark"]

#: Samples computed at once: a constant, since the last bits may depend on it.
_BATCH = 64
#: What is written to the folder; of several generators with their number before it.
_FILES = _SAMPLES, _NEIGHBOURS, _LIKELIHOOD = "samples.png", "neighbours.png", "likelihood.json"


@dataclass(frozen=True)
class Questions:
    """What is asked of every generator.

    Parameters
    ----------
    metrics : tuple of str
        Of `restorekit.evaluation.distribution.DISTRIBUTION_METRICS` and `OWN_METRICS`.
    networks : tuple of FeatureNetwork
        Those of the metrics; neighbours are looked for in the features of the first.
    count, seed, truncation, latents
        See `Draws`.
    split : str
        What samples are compared with: ``"train"``, ``"test"``, or ``""`` for the test split where there is one.
    train_count, test_count : int, optional
        The first so many pictures of a split alone; by default all.
    """

    metrics: tuple[str, ...]
    networks: tuple[FeatureNetwork, ...] = ()
    count: int = 10_000
    seed: int = 0
    truncation: float = 1.0
    latents: str = ""
    split: str = ""
    train_count: int | None = None
    test_count: int | None = None

    @property
    def distances(self) -> tuple[str, ...]:
        """The metrics of distributions among them."""
        return tuple(name for name in self.metrics if name not in OWN_METRICS)


def benchmark(
    subjects: Sequence[Subject],
    data: Splits,
    questions: Questions,
    *,
    runtime: Runtime,
    listener: Listener = lambda *_: None,
    folder: Path | None = None,
    overwrite: bool = False,
) -> GenerativeBenchmark:
    """Measure generators that make pictures, one after another.

    Samples go straight into the measures and are written nowhere.

    Parameters
    ----------
    subjects : sequence of Subject
        The generators. One of several that fails is a row with its reason.
    data : Splits
        Real pictures.
    questions : Questions
        What is asked.
    runtime : Runtime
        Where the generators run; samples are drawn in its precision, everything else is computed in float32.
    listener : callable, optional
        Is told what happens, how much of it is done, and of how much.
    folder : Path, optional
        For sheets of pictures and the numbers of single pictures.
    overwrite : bool
        Replace files that exist in it.

    Raises
    ------
    UsageError
        What is asked cannot be asked of this data, or of any of these generators.
    RestorekitError
        The only generator fails.
    """
    alone = len(subjects) == 1
    bench = _Bench(data, questions, runtime, listener, folder)
    bench.check(subjects)
    planned = [bench.path(name, None if alone else n) for n in range(len(subjects)) for name in _FILES]
    existing = next((path for path in planned if folder is not None and path.exists()), None)
    if existing is not None and not overwrite:
        raise UsageError(existing, "exists", "use --overwrite, or choose another -o")
    rows = []
    for number, subject in enumerate(subjects):
        try:
            rows.append(bench.row(subject, None if alone else number))
        except RestorekitError as error:
            if alone:
                raise
            rows.append(Row(subject.name, subject.loaded.weights_sha256, error=str(error)))
    return GenerativeBenchmark(data.train.name, rows, [str(path) for path in bench.files])


@dataclass
class _Bench:
    """What the rows share."""

    data: Splits
    asked: Questions
    runtime: Runtime
    listener: Listener
    folder: Path | None
    files: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        kinds = {kind for name in self.asked.distances for kind in resolve([name])[1].values()}
        keep = "memorisation" in self.asked.metrics or bool(kinds - {"frechet"})
        self.seen = Seen(self.listener, keep)

    def check(self, subjects: Sequence[Subject]) -> None:
        """Refuse what would fail for every generator, before anything is computed."""
        train, test = self.data.train, self.data.test
        self.data.reference(self.asked.split)
        if "probe" in self.asked.metrics:
            if train.labels is None:
                raise UsageError(train.name, "has no labels, which a linear probe needs", "name labelled data")
            if test is None or test.labels is None:
                problem = "has no labelled test split, which a linear probe is measured on"
                raise UsageError(train.name, problem, "name one with --test")
        if "likelihood" in self.asked.metrics and not any(isinstance(s.loaded.generator, Measurable) for s in subjects):
            names = ", ".join(sorted({s.loaded.spec.name for s in subjects}))
            raise UsageError("--metric", f"{names} cannot tell how likely a picture is", "leave out likelihood")

    def row(self, subject: Subject, number: int | None) -> Row:
        """Measure one generator."""
        draws = self._draws(subject)
        side = draws.side
        groups: list[Numbers] = []
        if self.asked.networks:
            groups += self._in_features(draws, side, number)
        if "likelihood" in self.asked.metrics and isinstance(subject.loaded.generator, Measurable):
            groups.append(self._likelihood(subject, subject.loaded.generator, side, number))
        if "probe" in self.asked.metrics:
            groups.append(self._probe(subject, side))
        if self.folder is not None:
            self._write_sheet(sample_sheet(draws), _SAMPLES, number)
        return Row(subject.name, subject.loaded.weights_sha256, groups)

    def path(self, name: str, number: int | None) -> Path:
        """Return where a file goes."""
        return (self.folder or Path()) / (name if number is None else f"{number + 1}-{name}")

    def _draws(self, subject: Subject) -> Draws:
        asked = self.asked
        drawing = Drawing(subject.loaded, self.runtime, truncation=asked.truncation, batch_size=_BATCH)
        labels: Sequence[int] = ()
        if drawing.classes:
            known, _ = self.data.reference(asked.split)
            shares = [1] * drawing.classes if known.labels is None else np.bincount(known.labels).tolist()
            if len(shares) > drawing.classes:
                problem = f"has {len(shares)} classes, and {subject.name} knows {drawing.classes}"
                raise UsageError(known.name, problem, "name the data that it was trained on")
            labels = balanced_labels(shares, asked.count)
        return Draws(drawing, asked.count, asked.seed, asked.latents, labels)

    def _pictures(self, split: str, side: int | None) -> Pictures:
        source, name = self.data.reference(split)
        return Pictures(source, name, side, self.asked.train_count if name == "train" else self.asked.test_count)

    def _in_features(self, draws: Draws, side: int | None, number: int | None) -> list[Numbers]:
        """Return what is measured in the features of networks."""
        groups: list[Numbers] = []
        reference = self._pictures(self.asked.split, side)
        for network in self.asked.networks:
            ours = self.seen.samples(draws, network)
            metrics = [name for name in self.asked.distances if resolve([name])[0] == network.name]
            if metrics:
                scores = distribution_scores(ours, self.seen.pictures(reference, network), network, metrics)
                own = _prefixed(network.name, scores.facts)
                facts = {**draws.facts(), **_prefixed("reference", reference.facts()), **own}
                groups.append(Numbers(scores.values, facts, scores.standard_errors, notes=scores.notes))
            if "memorisation" in self.asked.metrics and network is self.asked.networks[0]:
                assert ours.features is not None
                groups.append(self._memorisation(draws, ours.features, network, side, number))
        return groups

    def _memorisation(
        self, draws: Draws, samples: torch.Tensor, network: FeatureNetwork, side: int | None, number: int | None
    ) -> Numbers:
        train = self._pictures("train", side)
        held_out = self._pictures("test", side) if self.data.test is not None else None
        taught = self.seen.pictures(train, network).features
        new = None if held_out is None else self.seen.pictures(held_out, network).features
        assert taught is not None
        found = memorisation(samples, taught, new)
        if self.folder is not None:
            self._write_sheet(neighbour_sheet(draws, found, train), _NEIGHBOURS, number)
        facts = {
            **draws.facts(),
            "memorisation": f"Euclidean distances of features of {network.name}",
            **_prefixed("memorisation", network.facts()),
            **_prefixed("train", train.facts()),
        }
        if held_out is not None:
            near = f"below percentile {PERCENTILE:g} of the held-out pictures' distances"
            facts |= {**_prefixed("held_out", held_out.facts()), "memorisation_near": near}
        return Numbers(found.values, facts, found.standard_errors)

    def _likelihood(self, subject: Subject, generator: Measurable, side: int | None, number: int | None) -> Numbers:
        pictures = self._pictures("" if self.data.test is None else "test", side)
        found = own_numbers(subject, pictures, self.runtime, self.listener)
        facts = {**_prefixed("likelihood", generator.metrics_protocol()), **_prefixed("likelihood", pictures.facts())}
        if self.folder is not None:
            values = {name: own.values.tolist() for name, own in found.items()}
            content = json.dumps({"generator": subject.name, "protocol": facts, "pictures": values})
            self.files.append(self.path(_LIKELIHOOD, number))
            replace_file(self.files[-1], content.encode())
        return Numbers(
            {name: own.mean for name, own in found.items()},
            facts,
            {name: own.standard_error for name, own in found.items()},
            {name: own.interval for name, own in found.items()},
        )

    def _probe(self, subject: Subject, side: int | None) -> Numbers:
        train, test = self._pictures("train", side), self._pictures("test", side)
        found = linear_probe(
            features_of(subject, train, self.runtime, self.listener),
            torch.from_numpy(train.labels),
            features_of(subject, test, self.runtime, self.listener),
            torch.from_numpy(test.labels),
        )
        facts = {
            "probe": "multinomial logistic regression on standardised features",
            "probe_features": found.dimensions,
            "probe_penalty": found.penalty,
            **_prefixed("probe_train", train.facts()),
            **_prefixed("probe_test", test.facts()),
        }
        return Numbers({"probe_accuracy": found.accuracy}, facts, {"probe_accuracy": found.standard_error})

    def _write_sheet(self, sheet: NDArray[np.uint8], name: str, number: int | None) -> None:
        self.files.append(write_sheet(sheet, self.path(name, number), overwrite=True))


def _prefixed(prefix: str, facts: Facts) -> dict[str, str | int | float | bool | None]:
    return {f"{prefix}_{name}": value for name, value in facts.items()}
