"""A benchmark of samplers: its numbers are those of its parts, and carry how they were computed."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from restorekit import images
from restorekit.contract import Batch
from restorekit.errors import NotAvailable, RestorekitError, UsageError
from restorekit.evaluation.distribution import Moments, frechet_distance
from restorekit.evaluation.generative import Questions, Splits, benchmark, from_run, from_step, open_splits
from restorekit.evaluation.generative.comparing import compared, protocol_differences
from restorekit.evaluation.generative.draws import Draws, balanced_labels
from restorekit.evaluation.generative.memorisation import memorisation
from restorekit.inference import choose_runtime
from restorekit.registry import registry
from restorekit.sampling import Drawing
from restorekit.sources.arrays import ArraySource

from .conftest import strokes


class Averages:
    """A feature network that needs no file: mean colours of a 7 x 7 grid."""

    name = "averages"
    dimensions = 147

    def facts(self):
        return {"network": self.name}

    def features(self, images):
        return torch.nn.functional.adaptive_avg_pool2d(images.float(), 7).flatten(1)


@pytest.fixture
def data(npz):
    return open_splits([str(npz)])


def measure(subjects, data, *metrics, listener=lambda *_: None, folder=None, overwrite=False, **asked):
    networks = () if set(metrics) <= {"likelihood", "probe"} else (Averages(),)
    questions = Questions(metrics=metrics, networks=networks, **{"count": 40, **asked})
    runtime = choose_runtime("cpu", "fp32")
    return benchmark(subjects, data, questions, runtime=runtime, listener=listener, folder=folder, overwrite=overwrite)


def test_the_likelihood_is_the_mean_over_the_test_pictures_with_its_interval(vae, data, tmp_path):
    found = measure([from_step(registry(), f"{vae},importance_samples=7")], data, "likelihood", folder=tmp_path)
    (row,) = found.rows
    assert list(row.values) == ["elbo", "iwae7"]
    assert row.values["elbo"] < row.values["iwae7"] < 0
    kept = json.loads((tmp_path / "likelihood.json").read_text())
    values = np.array(kept["pictures"]["elbo"])
    assert values.shape == (120,)
    assert row.values["elbo"] == pytest.approx(values.mean())
    assert row.standard_errors["elbo"] == pytest.approx(values.std(ddof=1) / 120**0.5)
    low, high = row.intervals["elbo"]
    assert high - low == pytest.approx(4 * row.standard_errors["elbo"], rel=0.1)
    assert low < row.values["elbo"] < high
    expected = {"likelihood_unit": "nats a picture", "likelihood_beta": 1.0, "likelihood_split": "test"}
    assert expected.items() <= found.protocol.items()


def test_the_bound_is_of_the_pictures_that_are_held_out_seed_by_seed(vae, data):
    subject = from_step(registry(), str(vae))
    row = measure([subject], data, "likelihood", test_count=30).rows[0]
    again = measure([subject], data, "likelihood", test_count=30).rows[0]
    assert row == again
    assert row.facts["likelihood_pictures"] == 30


def test_the_probe_reads_the_encoder_of_weights_and_the_discriminator_of_a_run(vae, gan_run, data):
    found = measure([from_step(registry(), str(vae)), from_run(registry(), gan_run)], data, "probe")
    assert not found.failed
    encoder, discriminator = (row.values["probe_accuracy"] for row in found.rows)
    assert min(encoder, discriminator) > 0.8
    features = [row["protocol"]["probe_features"] for row in found.as_dict()["rows"]]
    assert features == [4, 16 * (8 + 16)]
    assert found.protocol["probe_train_pictures"] == 300


def test_a_run_gives_the_discriminator_of_its_last_checkpoint(gan_run):
    subject = from_run(registry(), gan_run)
    assert subject.networks is not None
    assert subject.extractor is not None
    stored = load_file(sorted((gan_run / "checkpoints").glob("step-*"))[-1] / "networks.safetensors")
    own = subject.networks["discriminator"].state_dict()
    assert own
    assert all(torch.equal(value, stored[f"discriminator.{name}"]) for name, value in own.items())
    features = subject.extractor.features(Batch(torch.rand(3, 3, 28, 28)))
    assert features.shape == (3, 16 * (8 + 16))
    assert features.isfinite().all()


def test_memorisation_compares_samples_with_what_was_taught_and_held_out(gan, data, tmp_path):
    subject = from_step(registry(), str(gan))
    row = measure([subject], data, "memorisation", folder=tmp_path, seed=3).rows[0]
    labels = class_labels(data.test, 40)
    draws = Draws(Drawing(subject.loaded, choose_runtime("cpu", "fp32")), 40, seed=3, labels=labels)
    ours, train, test = (
        Averages().features(torch.from_numpy(np.array(x)).permute(0, 3, 1, 2))
        for x in (draws.pictures(range(40)), *([s.picture(i) for i in range(len(s))] for s in (data.train, data.test)))
    )
    assert row.values == pytest.approx(memorisation(ours, train, test).values, rel=1e-6)
    assert row.facts["train_pictures"] == 300
    assert row.facts["held_out_pictures"] == 120
    sheets = [images.read(tmp_path / name).pixels for name in ("samples.png", "neighbours.png")]
    assert all(sheet.std() > 10 for sheet in sheets)


def class_labels(source, count):
    return balanced_labels(np.bincount(source.labels).tolist(), count)


def test_distances_are_those_of_the_samples_to_the_split_that_is_asked_for(gan, data):
    subject = from_step(registry(), str(gan))
    for split, source in (("test", data.test), ("train", data.train)):
        row = measure([subject], data, "frechet-averages", "kernel-averages", split=split).rows[0]
        draws = Draws(Drawing(subject.loaded, choose_runtime("cpu", "fp32")), 40, labels=class_labels(source, 40))
        real = torch.stack([torch.from_numpy(np.array(source.picture(i))) for i in range(len(source))])
        ours, theirs = (Averages().features(x) for x in (torch.cat(list(draws.pixels())), real.permute(0, 3, 1, 2)))
        expected = frechet_distance(Moments.of(ours), Moments.of(theirs))
        assert row.values["frechet-averages"] == pytest.approx(expected, rel=1e-6)
        assert row.standard_errors["kernel-averages"] > 0
        wanted = {"reference_split": split, "reference_pictures": len(source), "samples": 40}
        assert wanted.items() <= row.facts.items()
        assert row.facts["averages_network"] == "averages"


def test_what_the_real_pictures_look_like_is_computed_once_for_all_generators(gan, vae, data):
    told = []
    subjects = [from_step(registry(), str(name)) for name in (gan, vae)]
    measure(
        subjects, data, "frechet-averages", "memorisation", listener=lambda what, done, _: told.append((what, done))
    )
    assert told.count(("features of test pictures", 120)) == told.count(("features of train pictures", 300)) == 1


def test_a_generator_that_copies_is_found_out_and_shown(vae, npz, tmp_path, monkeypatch):
    data = open_splits([str(npz)])
    subject = from_step(registry(), str(vae))
    taught = torch.stack([torch.from_numpy(np.array(data.train.picture(i))) for i in range(300)]).permute(0, 3, 1, 2)
    monkeypatch.setattr(subject.loaded.generator, "decode", lambda latents, labels=None: taught[: len(latents)] / 255)
    row = measure([subject], data, "memorisation", folder=tmp_path).rows[0]
    assert row.values["authenticity"] == 0
    assert row.values["copying_z"] < -5


def test_one_that_fails_is_a_row_with_its_reason_and_the_others_go_on(gan, vae, data):
    found = measure([from_step(registry(), str(gan)), from_step(registry(), str(vae))], data, "probe")
    assert found.failed
    assert "--run" in found.rows[0].error
    assert found.rows[1].values["probe_accuracy"] > 0.5
    cells = found.cells()
    assert cells[0][1] == "failed"
    assert "±" in cells[1][1]
    with pytest.raises(NotAvailable, match="--run"):
        measure([from_step(registry(), str(gan))], data, "probe")


def test_the_json_holds_one_row_a_generator_and_what_they_do_not_share(gan, vae, data):
    told = measure([from_step(registry(), str(n)) for n in (gan, vae)], data, "memorisation", "likelihood").as_dict()
    json.dumps(told)
    assert set(told) == {"protocol", "data", "rows", "notes", "files"}
    first, second = told["rows"]
    assert first["elbo"] is None
    assert second["elbo"] < 0
    assert first["weights_sha256"] != second["weights_sha256"]
    assert first["protocol"]["latents"] == "prior"
    assert second["protocol"]["latents"] == "mixture"
    assert told["protocol"]["samples"] == 40


def test_two_benchmarks_are_compared_metric_by_metric(vae, gan, data):
    def told(*metrics, name=vae, **asked):
        return measure([from_step(registry(), str(name))], data, *metrics, **asked)

    earlier = told("likelihood", "frechet-averages").as_dict()
    now = told("frechet-averages", "memorisation")
    (line,) = compared(now, json.loads(json.dumps(earlier)))
    assert (line.generator, line.metric, line.now - line.before) == (str(vae), "frechet-averages", 0)
    assert protocol_differences(now, earlier) == []
    assert protocol_differences(told("likelihood", test_count=50), earlier) == [
        "likelihood_pictures 50 here, 120 there"
    ]
    other = told("frechet-averages", name=gan)
    assert protocol_differences(other, earlier) == ["latents prior here, mixture there"]
    assert compared(other, earlier)[0].now == other.rows[0].values["frechet-averages"]
    with pytest.raises(UsageError, match="no number in common"):
        compared(told("probe"), earlier)


def test_progress_is_told_to_the_end(vae, data):
    told = []
    measure([from_step(registry(), str(vae))], data, "memorisation", listener=lambda *what: told.append(what))
    ends = {what: (done, total) for what, done, total in told}
    totals = {"samples of vae": 40, "train pictures": 300, "test pictures": 120}
    assert ends == {f"features of {what}": (total, total) for what, total in totals.items()}


def test_what_cannot_be_asked_is_refused_before_anything_is_computed(gan, vae, data, tmp_path):
    pictures, labels = strokes(30, 1)
    unlabelled = Splits(ArraySource("plain", pictures), None)
    one = Splits(ArraySource("one", pictures, labels), None)
    gan_alone, vae_alone = [from_step(registry(), str(gan))], [from_step(registry(), str(vae))]
    with pytest.raises(UsageError, match="plain: has no labels"):
        measure(vae_alone, unlabelled, "probe")
    with pytest.raises(UsageError, match="--test"):
        measure(vae_alone, one, "probe")
    with pytest.raises(UsageError, match="dcgan cannot tell how likely"):
        measure(gan_alone, data, "likelihood")
    with pytest.raises(UsageError, match="2 or more"):
        measure(gan_alone, data, "memorisation", count=1)
    with pytest.raises(UsageError, match="pictures of its own"):
        measure([from_step(registry(), "bicubic")], data, "memorisation")
    three = Splits(ArraySource("three", pictures, labels + 1), None)
    with pytest.raises(UsageError, match=r"3 classes, and .* knows 2"):
        measure(gan_alone, three, "memorisation")
    (tmp_path / "samples.png").write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists"):
        measure(gan_alone, data, "memorisation", folder=tmp_path)
    assert (tmp_path / "samples.png").read_bytes() == b"mine"


def test_a_network_that_answers_nan_is_named(vae, data, monkeypatch):
    monkeypatch.setattr(Averages, "features", lambda _, images: torch.full((len(images), 147), torch.nan))
    with pytest.raises(RestorekitError, match="averages: makes NaN or infinity of number 0 of the samples"):
        measure([from_step(registry(), str(vae))], data, "memorisation")


def test_untrained_weights_and_folders_that_are_no_runs_are_refused(tmp_path, vae_run):
    with pytest.raises(NotAvailable, match="has not learned anything yet"):
        from_step(registry(), "translate")
    with pytest.raises(NotAvailable, match="holds no training run"):
        from_run(registry(), tmp_path)
    (tmp_path / "config.json").write_text((vae_run / "config.json").read_text())
    with pytest.raises(NotAvailable, match="--resume"):
        from_run(registry(), tmp_path)
