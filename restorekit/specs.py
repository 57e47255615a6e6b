"""The torch-free records that describe generators and the steps of a restoration.

What ``api: 1`` promises
------------------------
A plugin that is written for api 1 works with every restorekit whose `API` is 1:

- Every name in `restorekit.plugin`, and in the modules of `restorekit.nn`, stays and means the same.
- Records (`GeneratorSpec`, `Batch`, `Geometry`, `Phase`, ...) may gain fields; each new one has a default with which
  everything is as it was. None is taken away, or changes its type, unit or range.
- The hook may be given arguments: one that is not asked for is not passed.
- Methods that are called today keep their arguments. What is asked for besides is optional, looked up by name.
- Weights files and checkpoints of networks whose parameters and configuration are the same are read.

What is to go is kept, with a warning that names the release without it (`restorekit.deprecation`), for two minor
releases and at least half a year. A change that breaks any of this makes `API` 2. A plugin for another api is listed as
broken, with the release to install, and takes no other plugin down.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from restorekit.errors import UsageError

__all__ = ["API", "TASKS", "GeneratorSpec", "Step", "WeightsSource"]

#: The contract's version. A plugin states the one it was written for in its specs.
API = 1

#: The standard names of tasks. A plugin may bring another one; use these where they fit.
TASKS = (
    "generate",
    "reconstruct",
    "inpaint",
    "super-resolve",
    "denoise",
    "deblock",
    "deblur",
    "enhance",
    "colorize",
    "dehaze",
    "stylize",
    "detect",
    "plan",
)

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_VARIANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSource:
    """One named variant of a generator's weights.

    Parameters
    ----------
    name : str
        The variant, as in ``super-resolver:NAME``.
    file : str, optional
        A bundled file as ``package:path/in/package.safetensors``.
    url, sha256 : str, optional
        A file to download on request, and its checksum.
    summary : str, optional
        One line: what these weights are for.
    """

    name: str
    file: str = ""
    url: str = ""
    sha256: str = ""
    summary: str = ""

    def __post_init__(self) -> None:
        if not _VARIANT.fullmatch(self.name):
            raise ValueError(f"weights {self.name!r}: use letters, digits, '.', '-' and '_'")
        if bool(self.file) == bool(self.url):
            raise ValueError(f"weights {self.name!r}: give either a bundled file or a url")
        if self.url and not self.sha256:
            raise ValueError(f"weights {self.name!r}: a url needs its sha256")
        if self.sha256 and not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"weights {self.name!r}: a sha256 has 64 hexadecimal digits")


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorSpec:
    """What a plugin yields for each generator: cheap to import, free of torch.

    Parameters
    ----------
    name : str
        Lower-case words joined by ``-``; unique among all installed plugins.
    summary : str
        One line for the listings.
    tasks : frozenset of str
        What it does, in the words of `TASKS`.
    factory : str
        ``"package.module:Name"`` of a callable that takes a configuration and returns an object satisfying one or
        more of the protocols in `restorekit.contract`. Imported on first use.
    config : str
        ``"package.module:Name"`` of the configuration class: a frozen pydantic dataclass whose fields all have
        defaults. For a trained network these are the network's settings, which its weights file records.
    settings : str, optional
        ``"package.module:Name"`` of a frozen pydantic dataclass with what a user may choose at each call
        (``Batch.settings``), for generators whose configuration is fixed by their weights.
    choice : str, optional
        The configuration (or settings) field that ``NAME:CHOICE`` sets, for generators without weights.
    weights : tuple of WeightsSource, optional
        Named variants; the first is the default.
    weights_setting : str, optional
        The configuration field that names a file, or a folder, with weights that the user brings:
        ``NAME,FIELD=FILE``. For generators that have no weights of their own and compute nothing without some. The
        core sees that there is such a file, hands its path on, and records the checksum of what it holds.
    files : tuple of str, optional
        Further configuration fields that name files which the user brings beside ``weights_setting``, such as a picture
        to imitate: what they hold counts into the checksum that is recorded.
    trainer : str, optional
        ``"package.module:Name"`` of a callable that takes the generator (a ``torch.nn.Module``) and a recipe, and
        returns a `restorekit.contract.Trainable`.
    recipe : str, optional
        ``"package.module:Name"`` of a frozen pydantic dataclass with what training needs beside the network:
        losses, learning rates, degradation.
    converter : str, optional
        ``"package.module:name"`` of a `restorekit.contract.Converter`: recognises this network in foreign weights.
    concurrent : bool, optional
        ``restore`` uses one core and may be called from several threads at once.
    slow : bool, optional
        One picture takes minutes, as where a network is fitted to it: the generator works when it is asked for by name,
        and takes part neither in benchmarks nor in plans of its own accord.
    api : int, optional
        The contract's version this generator was written for.
    """

    name: str
    summary: str
    tasks: frozenset[str]
    factory: str
    config: str
    settings: str = ""
    choice: str = ""
    weights: tuple[WeightsSource, ...] = ()
    weights_setting: str = ""
    files: tuple[str, ...] = ()
    trainer: str = ""
    recipe: str = ""
    converter: str = ""
    concurrent: bool = False
    slow: bool = False
    api: int = API

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"generator name {self.name!r}: use lower-case words joined by '-'")
        if not self.tasks or not all(_NAME.fullmatch(task) for task in self.tasks):
            raise ValueError(f"generator {self.name!r}: tasks {sorted(self.tasks)} are not lower-case words")
        if bool(self.trainer) != bool(self.recipe):
            raise ValueError(f"generator {self.name!r}: a trainer and its recipe go together")
        if self.weights_setting and (self.weights or self.trainer):
            raise ValueError(f"generator {self.name!r}: weights that the user brings exclude weights of its own")
        if self.files and not self.weights_setting:
            raise ValueError(f"generator {self.name!r}: files {self.files} go with a weights_setting")
        for label in ("factory", "config", "settings", "trainer", "recipe", "converter"):
            reference = getattr(self, label)
            optional = label not in ("factory", "config")
            if not _REFERENCE.fullmatch(reference) and not (optional and reference == ""):
                raise ValueError(
                    f"generator {self.name!r}: {label} {reference!r} is not of the form 'package.module:Name'"
                )
        if len({source.name for source in self.weights}) != len(self.weights):
            raise ValueError(f"generator {self.name!r}: two weights variants share a name")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a restoration (or degradation): ``NAME[:CHOICE][,key=value]...``.

    Parameters
    ----------
    name : str
        A generator's (or degradation's) name, or the path of a ``.safetensors`` file.
    choice : str
        The thing's main choice: a weights variant, or the value of the field that the spec names; ``""`` for none.
    settings : mapping of str to str
        The other choices, as written; their owner validates them.
    reason : str
        Why a planner asks for this step; shown in the manifest and the report.
    """

    name: str
    choice: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    reason: str = field(default="", compare=False)

    @property
    def is_file(self) -> bool:
        """Whether it names a weights file instead of a generator."""
        return self.name.endswith(".safetensors")

    @classmethod
    def parse(cls, text: str) -> Step:
        """Read the command line's form of a step.

        >>> Step.parse("nlmeans:10,search=21")
        Step(name='nlmeans', choice='10', settings={'search': '21'}, reason='')

        What follows a comma and has no ``=`` belongs to the value before it:

        >>> Step.parse("diffusers,prompt=a wall, old").settings
        {'prompt': 'a wall, old'}

        Raises
        ------
        UsageError
            The text does not follow the grammar.
        """
        head, *pairs = text.split(",")
        name, _, choice = (head, "", "") if head.endswith(".safetensors") else head.partition(":")
        if not name.strip() or head.rstrip().endswith(":"):
            raise UsageError(repr(text), "is no step", "write NAME[:CHOICE][,key=value]..., for example nlmeans:10")
        settings: dict[str, str] = {}
        key = ""
        for pair in pairs:
            if key and pair.strip() and "=" not in pair:  # a comma inside a value, as prompts have them
                settings[key] += f",{pair.rstrip()}"
                continue
            key, equals, value = (part.strip() for part in pair.partition("="))
            if not key or not equals or not value:
                raise UsageError(repr(text), f"{pair!r} is no key=value", "write NAME[:CHOICE][,key=value]...")
            if key in settings:
                raise UsageError(repr(text), f"{key!r} is given twice", "give it once")
            settings[key] = value
        return cls(name.strip(), choice.strip(), settings)

    def because(self, reason: str) -> Step:
        """Return the same step with the planner's reason."""
        return replace(self, reason=reason)

    def __str__(self) -> str:
        head = f"{self.name}:{self.choice}" if self.choice else self.name
        return ",".join([head, *(f"{key}={value}" for key, value in self.settings.items())])
