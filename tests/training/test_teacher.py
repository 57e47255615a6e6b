"""A restorer that helps to teach another."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from restorekit.contract import Batch
from restorekit.errors import NotAvailable, UsageError
from restorekit.inference.device import Runtime
from restorekit.registry import registry
from restorekit.training.teacher import Teacher
from restorekit.weights.files import file_sha256, read_header

CPU = Runtime(torch.device("cpu"), "fp32", "tests")


QUICK = ["run.log_every=50", "recipe.learning_rate=2e-3", "run.checkpoint_every=200"]


@pytest.fixture
def enlarged_twice(tmp_path, teach) -> Path:
    """Weights of a super-resolver that was taught a little."""
    return teach(tmp_path / "teacher", horizon=20, settings=QUICK, terms="CC0").weights


def test_its_share_of_the_target_pixels_is_the_teachers():
    student = registry().build("super-resolver", {"scale": 2, "features": 8, "blocks": 1})
    images, clean = torch.rand(3, 3, 32, 32), torch.rand(3, 3, 64, 64)
    batch = Batch(images, targets=clean, seeds=torch.arange(3))
    teacher = Teacher("nearest:2", 0.25, registry(), student, CPU)
    taught = teacher.taught(batch)
    assert taught.images is images
    assert taught.targets is not None
    theirs = (taught.targets == F.interpolate(images, scale_factor=2)).all(dim=1)
    ours = (taught.targets == clean).all(dim=1)
    assert (theirs ^ ours).all(), "whole pixels, of the one or the other"
    assert theirs.float().mean(dim=(1, 2)) == pytest.approx([0.25] * 3, abs=0.03)
    assert not torch.equal(theirs[0], theirs[1])
    alone = teacher.taught(Batch(images[1:2], targets=clean[1:2], seeds=torch.tensor([1])))
    torch.testing.assert_close(alone.targets, taught.targets[1:2], msg="a sample's share is its own seed's")


def test_a_student_learns_from_its_teacher_alone(tmp_path, teach, tiles):
    untaught = teach(tmp_path / "untaught", horizon=1, validation=tiles).metrics["psnr"]
    teacher = teach(tmp_path / "teacher", horizon=200, settings=QUICK, validation=tiles)
    settings = [*QUICK, f"run.teacher={teacher.weights}", "run.teacher_share=1", "run.seed=1"]
    student = teach(tmp_path / "student", horizon=200, settings=settings, validation=tiles).metrics["psnr"]
    assert teacher.metrics["psnr"] > untaught + 0.2
    assert student - untaught > (teacher.metrics["psnr"] - untaught) / 2


def test_the_header_tells_the_teacher_with_its_data_and_terms(tmp_path, teach, enlarged_twice):
    taught = teach(tmp_path / "taught", horizon=1, settings=[f"run.teacher={enlarged_twice}"])
    told = read_header(taught.weights).training["teacher"]
    assert isinstance(told, dict)
    assert told["step"] == f"super-resolver {file_sha256(enlarged_twice)}"
    assert (told["share"], told["terms"], told["data"], told["steps"]) == (0.5, "CC0", "tiles", 20)


def test_a_taught_run_in_two_parts_ends_with_the_same_bits_as_one(tmp_path, teach, enlarged_twice):
    settings = [f"run.teacher={enlarged_twice},ensemble=2"]
    whole = teach(tmp_path / "whole", settings=settings)
    teach(tmp_path / "parts", settings=settings, steps=4)
    parts = teach(tmp_path / "parts", settings=settings, resume=True)
    assert whole.weights.read_bytes() == parts.weights.read_bytes()


@pytest.mark.parametrize(
    ("name", "teacher", "message"),
    [
        (
            "super-resolver",
            "bicubic:4",
            "bicubic:4 enlarges by 4, and super-resolver by 2; name one",
        ),
        ("super-resolver", "top-hat", "top-hat restores no pictures; name a restorer"),
        ("scratch-detector", "nlmeans", "scratch-detector restores no pictures; leave it out"),
        ("dcgan", "nlmeans", "dcgan learns from undamaged pictures; leave it out"),
        ("denoiser", "nothing", "'nothing': is no generator"),
    ],
)
def test_teachers_that_cannot_be_are_refused_in_one_line(tmp_path, teach, name, teacher, message):
    with pytest.raises((UsageError, NotAvailable), match=message):
        teach(tmp_path / "run", name, settings=[f"run.teacher={teacher}"])
