"""Each thing that can be wrong with a plugin is caught by the check it belongs to, which says what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest

from restorekit.testing import Failure, checks_for

from .conftest import Install
from .plugins import BASES, GAN

#: Checks that need another process or a run of the runner: looked at by the tests that are about them.
SLOW = {"light-import", "new-process", "no-pickle", "no-network", "no-programs", "no-writes", "resume"}


@dataclass(frozen=True)
class Broken:
    """A right plugin, what makes it wrong, the check that has to notice, what it says, and which others may."""

    base: str
    changes: list[tuple[str, str]]
    check: str
    message: str
    also: set[str] = field(default_factory=set)


LAST = "        return F.avg_pool2d(padded, side, 1)"
#: A network that adds a large number and takes it away again.
WIDE_SUM = (
    "    def restore(",
    "    def coarse(self, images):\n"
    "        high = F.conv2d(images, 100 * torch.eye(3)[:, :, None, None])\n"
    "        low = F.conv2d(images, 99 * torch.eye(3)[:, :, None, None])\n"
    "        return (high - low).float() + 0 * self.second(torch.relu(self.first(images)))\n\n"
    "    def restore(",
)
LOSS = "return F.l1_loss(self.generator(batch.images), batch.targets), {}"

BROKEN = {
    "misspelt-hook": Broken(
        "restorer", [("def restorekit_generators", "def restorekit_generator")], "loads", "called restorekit_generators"
    ),
    "newer-api": Broken("restorer", [('summary="For', 'api=2, summary="For')], "loads", "api 2.*newer.*pip install"),
    "missing-module": Broken(
        "restorer", [('factory="@_code', 'factory="@_code_elsewhere')], "spec", "No module named", {"builds", "config"}
    ),
    "long-summary": Broken("restorer", [('"For tests."', '"For tests. " * 20')], "spec", "220 characters"),
    "unknown-task": Broken("restorer", [('"denoise"', '"make-nice"')], "spec", "'make-nice' is no standard one"),
    "choice-of-nothing": Broken(
        "restorer", [('summary="For', 'choice="strength", summary="For')], "spec", "'strength' is no field"
    ),
    "no-restore": Broken("restorer", [("def restore(", "def repair(")], "builds", "no restorer, detector", set()),
    "task-of-another-kind": Broken("restorer", [('"denoise"', '"detect"')], "builds", "that of a detector"),
    "mask-without-inpaint": Broken(
        "restorer",
        [("Geometry(halo=2)", "Geometry(halo=2, needs_mask=True)")],
        "builds",
        "'inpaint' is none of its tasks",
        {"masks"},
    ),
    "takes-misspelt-settings": Broken(
        "restorer", [('(frozen=True, config=ConfigDict(extra="forbid"))', "(frozen=True)")], "config", "does not have"
    ),
    "takes-anything": Broken("restorer", [("radius: int = 2", "radius: Any = 2")], "config", "anything at all"),
    "undocumented-setting": Broken(
        "restorer", [("radius : int\n        Pixels.", "")], "config", "no line on 'radius'"
    ),
    "setting-without-default": Broken(
        "restorer", [("radius: int = 2", "radius: int")], "config", "radius has no default", {"builds"}
    ),
    "thawed-config": Broken("restorer", [("frozen=True, ", "")], "config", "not frozen"),
    "crops-odd-sizes": Broken(
        "restorer", [(LAST, f"{LAST}[..., : images.shape[3] // 2 * 2]")], "shape", "instead of", {"tiles", "halo"}
    ),
    "fails-on-one-pixel": Broken(
        "restorer", [('mode="replicate"', 'mode="reflect"')], "shape", r"fails on images of shape \(1, 3, 1, 1\)"
    ),
    "wrong-scale": Broken(
        "restorer",
        [(LAST, "        return F.interpolate(padded[..., 2:-2, 2:-2], scale_factor=2)")],
        "shape",
        "enlarges 2 times, and geometry.scale says 1",
        {"halo", "tiles"},
    ),
    "returns-bytes": Broken(
        "restorer", [(LAST, f"{LAST}.mul(255).byte()")], "shape", "torch.uint8", {"range", "depth"}
    ),
    "levels-of-255": Broken("restorer", [(LAST, f"{LAST} * 255")], "range", "values from", {"batch-independence"}),
    "nan-in-black": Broken(
        "restorer", [(LAST, f"{LAST} / images.amax(dim=(1, 2, 3), keepdim=True)")], "range", "NaN", {"halo", "tiles"}
    ),
    "unseeded-noise": Broken(
        "restorer",
        [(LAST, f"{LAST} + 0.02 * torch.randn_like(images)")],
        "determinism",
        "depends on the global random state",
        {"batch-independence", "layout", "halo", "tiles"},
    ),
    "remembers-calls": Broken(
        "restorer",
        [
            ("        side = 2", "        self.calls = getattr(self, 'calls', 0) + 1\n        side = 2"),
            (LAST, f"{LAST} + 0.001 * self.calls"),
        ],
        "determinism",
        "the same call gives another result",
        {"batch-independence", "layout", "halo", "tiles", "range"},
    ),
    "normalises-over-the-batch": Broken(
        "restorer",
        [(LAST, f"{LAST} * 0.8 / images.max() if images.max() else padded[..., 2:-2, 2:-2]")],
        "batch-independence",
        "with those beside it",
        {"halo", "tiles"},
    ),
    "writes-into-its-input": Broken(
        "restorer",
        [("        side = 2", "        images.mul_(0.9)\n        side = 2")],
        "input",
        "writes into batch.images",
        {"determinism", "batch-independence", "layout", "depth", "halo", "tiles"},
    ),
    "needs-contiguous-memory": Broken(
        "restorer", [(LAST, f"{LAST} + 0 * images.view(-1)[0]")], "layout", "view", {"halo", "tiles"}
    ),
    "halo-too-small": Broken(
        "restorer", [("radius: int = 2", "radius: int = 6")], "halo", "halo of 2 px, and looks 6 px far", {"tiles"}
    ),
    "whole-picture-in-tiles": Broken(
        "restorer",
        [(LAST, f"{LAST} - 0.5 * images.mean(dim=(2, 3), keepdim=True)"), ("halo=2", "halo=2")],
        "tiles",
        "in tiles of 48 px",
        {"halo"},
    ),
    "grid-of-eight": Broken(
        "restorer",
        [(LAST, f"{LAST} + 0.1 * (torch.arange(images.shape[3]) % 8 == 0)")],
        "tiles",
        "in tiles of 48 px",
        {"halo"},
    ),
    "geometry-of-its-own-kind": Broken(
        "restorer", [("Geometry(halo=2)", '{"halo": 2}')], "geometry", "its geometry is a dict"
    ),
    "keeps-pictures-during-calls": Broken(
        "restorer",
        [
            ("        images = batch.images", "        self.images = images = batch.images"),
            (LAST, "        import time\n\n        time.sleep(0.02)\n" + LAST + " + 0 * images + 0.1 * self.images"),
            ('summary="For', 'concurrent=True, summary="For'),
        ],
        "threads",
        "from several threads at once it gives other results",
        {"layout"},
    ),
    "repaints-outside-the-mask": Broken(
        "restorer",
        [("Geometry(halo=2)", "Geometry(halo=2, needs_mask=True)")],
        "masks",
        "pixels outside the mask are changed",
        {"builds"},
    ),
    "weights-that-are-not-there": Broken(
        "trainable",
        [
            ("import GeneratorSpec, hookimpl", "import GeneratorSpec, WeightsSource, hookimpl"),
            ('summary="For', 'weights=(WeightsSource(name="photo", file="restorekit:no.safetensors"),), summary="For'),
        ],
        "weights",
        "the variant 'photo' cannot be loaded",
    ),
    "eight-bits": Broken(
        "restorer", [(LAST, f"{LAST}.mul(255).round().div(255)")], "depth", "thousands of levels", {"halo"}
    ),
    "detector-with-log-odds": Broken(
        "detector", [("> 0.9).float()", "- 0.9) * 5")], "range", "values from -3.6", {"halo", "tiles"}
    ),
    "planner-without-reasons": Broken("planner", [('.because("for tests")', "")], "plan", "has no reason"),
    "planner-of-what-is-not-there": Broken("planner", [('"median"', '"no-such-thing"')], "plan", "is no generator"),
    "latents-of-the-place": Broken(
        "sampler",
        [("normals(seeds, 3)", "normals(torch.arange(len(seeds)), 3)")],
        "latents",
        "depend on the seeds beside them",
    ),
    "latents-of-chance": Broken(
        "sampler", [("normals(seeds, 3)", "torch.randn(len(seeds), 3)")], "latents", "different ones the second time"
    ),
    "decodes-to-minus-one": Broken("sampler", [("torch.sigmoid(", "torch.tanh(")], "decode", "values from -"),
    "not-fit-for-bf16": Broken(
        "trainable",
        [("return images + self.second(torch.relu(self.first(images)))", "return self.coarse(images)"), WIDE_SUM],
        "bf16",
        "in bf16 it differs by",
        {"learns", "phases"},
    ),
    "hidden-state-in-buffers": Broken(
        "trainable",
        [
            ("        self.first =", '        self.register_buffer("calls", torch.zeros(()))\n        self.first ='),
            ("        return self(batch.images)", "        self.calls += 1\n        return self(batch.images)"),
        ],
        "evaluation-mode",
        "changes network.calls",
    ),
    "no-generator-among-networks": Broken(
        "trainable",
        [('return {"generator": self.generator}', 'return {"net": self.generator}'), ('("generator",)', '("net",)')],
        "trainer",
        "no 'generator'",
    ),
    "two-phases-one-network": Broken(
        "trainable",
        [
            (
                'return {"pixel": Phase(',
                'return {"other": Phase(networks=("generator",), learning_rate=1), "pixel": Phase(',
            )
        ],
        "trainer",
        "both move 'generator'",
        {"phases"},
    ),
    "a-network-nobody-moves": Broken(
        "trainable",
        [('return {"generator": self.generator}', 'return {"generator": self.generator, "judge": self.judge}')],
        "trainer",
        "no phase moves 'judge'",
    ),
    "clips-weights-itself": Broken(
        "trainable",
        [
            *GAN,
            (
                "        return -self.judge(",
                "        for p in self.judge.parameters():\n            p.data.clamp_(-0.01, 0.01)\n"
                "        return -self.judge(",
            ),
        ],
        "phases",
        "judge.layer.* is changed besides the core's update",
        {"learns"},
    ),
    "calls-backward-itself": Broken(
        "trainable",
        [
            (
                LOSS,
                "loss = F.l1_loss(self.generator(batch.images), batch.targets); loss.backward(retain_graph=True); "
                "return loss, {}",
            )
        ],
        "phases",
        "calls backward",
        {"learns"},
    ),
    "gradients-for-nothing": Broken(
        "trainable",
        [*GAN, ("with torch.no_grad():", "if True:")],
        "phases",
        "in phase 'judge' gradients of 'generator' are computed",
        {"learns"},
    ),
    "parameters-that-nobody-saves": Broken(
        "trainable",
        [(LOSS, f"return {LOSS[7:-4]} + self.judge(batch.images).mean(), {{}}")],
        "phases",
        "2 parameters that are in none of networks",
        {"learns"},
    ),
    "detached-loss": Broken(
        "trainable",
        [(LOSS, "return F.l1_loss(self.generator(batch.images).detach(), batch.targets), {}")],
        "phases",
        "no gradient",
        {"learns"},
    ),
    "does-not-learn": Broken(
        "trainable", [("learning_rate: float = 1e-3", "learning_rate: float = 1e-9")], "learns", "after 60 steps"
    ),
}


def failures(name: str, registry, skipped: set[str]) -> dict[str, Failure]:
    """Run the checks that concern a generator; return those that fail."""
    found = {}
    for bound in checks_for(name, registry):
        if bound.check.name not in skipped:
            try:
                bound()
            except Failure as failure:
                found[bound.check.name] = failure
    return found


@pytest.mark.parametrize("base", BASES)
def test_right_plugins_pass(base: str, install: Install):
    assert failures(f"right-{base}", install(f"right-{base}", base), SLOW) == {}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_fails_the_check_it_belongs_to(name: str, install: Install):
    broken = BROKEN[name]
    found = failures(name, install(name, broken.base, broken.changes), SLOW)
    assert broken.check in found, found
    failure = found.pop(broken.check)
    assert re.search(broken.message, failure.problem), failure.problem
    assert failure.why
    assert failure.way_out
    assert set(found) <= broken.also, {check: failure.problem for check, failure in found.items()}


def test_state_outside_the_networks_is_found_by_resuming(install: Install):
    counting = [(LOSS, "self.count += 1\n        " + LOSS.replace(", {}", " * self.count, {}"))]
    registry = install("counts-steps", "trainable", counting)
    (resume,) = (bound for bound in checks_for("counts-steps", registry) if bound.check.name == "resume")
    with pytest.raises(Failure, match="2 steps and 2 more give other weights than 4"):
        resume()


@pytest.fixture
def evil(install: Install, tmp_path, monkeypatch):
    """A restorer that does everything but restoring."""
    monkeypatch.chdir(tmp_path)  # it is called in this process, too
    (tmp_path / "data.pickle").write_bytes(__import__("pickle").dumps({"a": 1}))
    deeds = f"""
        import os, pickle, socket, subprocess
        with open({str(tmp_path / "data.pickle")!r}, "rb") as file:
            pickle.load(file)
        try:
            socket.create_connection(("127.0.0.1", 9), timeout=1)
        except OSError:
            pass
        subprocess.run(["true"])
        open("log.txt", "a").close()
        side = 2"""
    order = "        return F.avg_pool2d(padded, side, 1) + hash('order') % 7919 / 100_000"
    changes = [
        ("\n        side = 2", deeds),
        (LAST, order),
        ("from restorekit.plugin import GeneratorSpec", "import torch\nfrom restorekit.plugin import GeneratorSpec"),
    ]
    return {bound.check.name: bound for bound in checks_for("evil", install("evil", "restorer", changes))}


def test_what_a_plugin_does_besides_restoring_is_seen_in_a_process_of_its_own(evil):
    expected = {
        "light-import": "imports torch",
        "new-process": "something else is restored",
        "no-pickle": r"reads a pickle: pickle.load \(evil_code.py, line \d+\)",
        "no-network": r"uses the network: socket\.getaddrinfo 127.0.0.1:9 ",
        "no-programs": "starts another program: subprocess.Popen 'true'",
        "no-writes": "writes outside the temporary folder: open log.txt",
    }
    for check, message in expected.items():
        with pytest.raises(Failure, match=message):
            evil[check]()


@pytest.mark.parametrize("base", ["planner", "sampler"])
def test_what_makes_no_pictures_of_pictures_is_compared_between_processes_too(base: str, install: Install):
    by_chance = {
        "planner": ('because("for tests")', "because(str(hash('order')))"),
        "sampler": ("torch.sigmoid(latents)", "torch.sigmoid(latents + hash('order') % 7919 / 7919)"),
    }
    registry = install(f"chance-{base}", base, [by_chance[base]])
    (check,) = (bound for bound in checks_for(f"chance-{base}", registry) if bound.check.name == "new-process")
    with pytest.raises(Failure, match="something else is " + {"planner": "planned", "sampler": "sampled"}[base]):
        check()


def test_every_check_has_a_plugin_that_it_catches():
    from restorekit.testing.checks import CHECKS

    assert {check.name for check in CHECKS} <= {broken.check for broken in BROKEN.values()} | SLOW
