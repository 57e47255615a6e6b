"""Chains as a whole: planners, failures that stay alone, the same bytes every time, threads."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from restorekit.contract import Geometry, PictureInfo, Request
from restorekit.errors import NotAvailable, PictureError, UsageError
from restorekit.inference import Target
from restorekit.inference.device import Runtime
from restorekit.inference.executor import Cancelled
from restorekit.specs import Step

from .fakes import (
    BLUR,
    CPU,
    DOUBLE,
    KINDS,
    Finds,
    Plans,
    Restores,
    any_picture,
    identity,
    invert,
    job,
    noise,
    outcome,
    picture,
    restoration,
    restored,
    some_mask,
)

GIVEN = any_picture(0, 20, 24, (np.uint8, 3, False))


def planning(*steps: Step) -> Plans:
    return Plans(lambda request: steps)


# Planners


def test_a_planners_reasons_arrive_in_the_outcome():
    planner = planning(Step("blur").because("it is noisy"), Step("double").because("it is small"))
    result = outcome(GIVEN, ["plan", "median:3"], plan=planner, blur=BLUR, double=DOUBLE)
    assert [(str(step), step.reason) for step in result.steps] == [
        ("blur", "it is noisy"),
        ("double", "it is small"),
        ("median:3", ""),
    ]


def test_each_picture_keeps_its_own_reasons_where_the_steps_are_the_same():
    planner = Plans(lambda request: [Step("blur").because(f"{request.image.mean():.3f}")])
    jobs = [job(picture(np.full((8, 8), level, np.uint8))) for level in (0, 51, 255)]
    results = restoration("plan", plan=planner, blur=BLUR).restore(jobs)
    assert [result.steps[0].reason for result in results] == ["0.000", "0.200", "1.000"]


def test_a_planner_is_shown_the_picture_its_mask_and_what_is_wanted():
    seen: list[Request] = []

    def look(request: Request):
        seen.append(request)
        return ()

    mask = some_mask(0, 20, 24)
    grey = any_picture(0, 20, 24, (np.float32, 1, False))
    restoration("plan", plan=Plans(look), target=Target(2.5)).plan(job(grey, mask))
    (request,) = seen
    assert request.image.shape == (3, 20, 24)
    assert request.image.dtype == torch.float32
    assert request.image.max() <= 1
    np.testing.assert_array_equal(request.image[1].numpy() * 4, grey.pixels[..., 0])
    assert request.mask is not None
    np.testing.assert_array_equal(request.mask.numpy() > 0, mask[None])
    assert request.scale == 2.5
    assert isinstance(request.info, PictureInfo)
    assert {"auto", "bicubic"} <= {spec.name for spec in request.generators}


def test_a_planner_that_wants_nothing_returns_the_very_same_picture():
    for kind in KINDS:
        given_ = any_picture(1, 9, 8, kind)
        result = outcome(given_, "plan", plan=planning())
        assert result.picture is given_
        assert result.steps == ()


@pytest.mark.parametrize(
    ("wanted", "problem"), [("plan", "a planner asked for another planner"), ("blurr", "is no generator")]
)
def test_what_a_planner_may_not_ask_for_fails_only_its_picture(wanted, problem):
    planner = Plans(lambda request: [Step(wanted if request.image.mean() > 0.9 else "blur")])
    jobs = [job(GIVEN), job(picture(np.full((20, 24, 3), 255, np.uint8))), job(GIVEN)]
    results = restoration("plan", plan=planner, blur=BLUR).restore(jobs)
    assert isinstance(results[1].error, UsageError)
    assert problem in str(results[1].error)
    expected = restored(GIVEN, "blur", blur=BLUR).pixels
    for result in (results[0], results[2]):
        assert result.picture is not None
        np.testing.assert_array_equal(result.picture.pixels, expected)


# Failures


def moody(batch):
    """Fail as the top left pixel says."""
    mood = batch.images[:, 0, 0, 0]
    if (mood == 1).any():
        raise ZeroDivisionError("a defect of the generator")
    poison = torch.where(mood == 128 / 255, torch.nan, 0.0)
    return 1 - batch.images + poison[:, None, None, None]


@pytest.mark.parametrize("batch_size", [1, 2, 8])
@pytest.mark.parametrize("geometry", [Geometry(halo=0), Geometry(whole_image=True), Geometry(size=(20, 24))])
def test_pictures_that_fail_do_not_take_the_others_down(batch_size, geometry):
    moods = [3, 255, 7, 128, 9, 200, 255, 128]
    jobs = []
    for number, mood in enumerate(moods):
        pixels = noise(number, (20, 24, 3), np.uint8)
        pixels[0, 0] = mood
        jobs.append(job(picture(pixels), name=f"{number}.png"))
    results = restoration("moody", moody=Restores(moody, geometry), batch_size=batch_size).restore(jobs)
    for mood, given_, result in zip(moods, jobs, results, strict=True):
        if mood == 255:
            assert isinstance(result.error, ZeroDivisionError)
            assert result.picture is None
        elif mood == 128:
            assert isinstance(result.error, PictureError)
            assert str(result.error).startswith(f"{given_.name}: the generator's output is not finite")
        else:
            assert result.picture is not None
            np.testing.assert_array_equal(result.picture.pixels, 255 - given_.picture.pixels)


def test_a_picture_without_a_mask_does_not_keep_the_others_from_being_inpainted():
    inpaint = Restores(invert, Geometry(halo=0, needs_mask=True))
    mask = some_mask(0, 20, 24)
    results = restoration("inpaint", inpaint=inpaint).restore([job(GIVEN, mask), job(GIVEN), job(GIVEN, mask)])
    assert [result.error is None for result in results] == [True, False, True]


class Overflowing(torch.nn.Module):
    """A network whose bf16 or fp16 result is not finite where the picture is dark."""

    geometry = Geometry(halo=0)

    def restore(self, batch):
        low = torch.is_autocast_enabled("cpu")
        dark = batch.images.mean(dim=(1, 2, 3), keepdim=True) < 0.3
        result = batch.images / 2 + (0.25 if low else 0)
        return torch.where(dark & low, torch.inf, result)


def test_only_the_picture_that_overflows_is_computed_again_in_fp32():
    half = Runtime(torch.device("cpu"), "bf16", "tests")
    jobs = [job(picture(np.full((8, 8, 3), level, np.uint8))) for level in (200, 20, 100)]
    results = restoration("net", net=Overflowing(), runtime=half, batch_size=3).restore(jobs)
    levels = [int(result.picture.pixels[0, 0, 0]) for result in results if result.picture is not None]
    assert levels == [164, 10, 114]
    assert [bool(result.warnings) for result in results] == [False, True, False]
    assert results[1].warnings == ("the output was not finite in bf16; computed again in fp32",)


@pytest.mark.parametrize("shape", [(1, 1, 20, 24), (1, 4, 20, 24), (1, 3, 40, 48), (2, 3, 20, 24), (3, 20, 24)])
def test_an_output_of_the_wrong_shape_is_told_in_one_line(shape):
    with pytest.raises(PictureError, match=r"a\.png: the generator returned shape .* report it to the plugin's author"):
        restored(GIVEN, "odd", odd=Restores(lambda batch: torch.zeros(shape)))


def test_a_stop_is_no_failure_of_a_picture():
    with pytest.raises(Cancelled):
        restoration("blur", blur=BLUR, stopped=lambda: True).restore([job(GIVEN), job(GIVEN)])


def test_what_cannot_restore_is_refused_before_any_picture():
    with pytest.raises(UsageError, match="sampler: restores nothing"):
        restoration("sampler", sampler=object())
    with pytest.raises(UsageError, match="did you mean median"):
        restoration("medain")
    with pytest.raises(UsageError, match="median:4"):
        restoration("median:4")
    with pytest.raises(NotAvailable, match=r"nowhere\.safetensors"):
        restoration("nowhere.safetensors")


# The same bytes


CHAINS = {
    "tiled": (["blur", "double"], {"tile": 24}),
    "auto": (["auto"], {"target": Target(2.0)}),
    "classical": (["nlmeans", "unsharp"], {"tile": 40}),
    "measured": (["unknown"], {"tile": 32}),
    "sized": (["sized", "blur"], {"strength": 0.7}),
}


class Learned(torch.nn.Module):
    """A small network with random weights, whose halo is not declared."""

    geometry = Geometry()

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = torch.nn.Conv2d(3, 3, 5, padding=2)

    def restore(self, batch):
        return self.body(batch.images)


def generators():
    return {"blur": BLUR, "double": DOUBLE, "sized": Restores(identity, Geometry(size=(16, 20))), "unknown": Learned()}


def many(count: int) -> list:
    kinds = [KINDS[i % len(KINDS)] for i in range(count)]
    return [
        job(any_picture(i, 30 + 7 * (i % 5), 41 + 5 * (i % 3), kind), some_mask(i, 30 + 7 * (i % 5), 41 + 5 * (i % 3)))
        for i, kind in enumerate(kinds)
    ]


def same(results, expected):
    for result, other in zip(results, expected, strict=True):
        assert result.picture is not None, result.error
        np.testing.assert_array_equal(result.picture.pixels, other.picture.pixels)
        np.testing.assert_array_equal(result.picture.alpha, other.picture.alpha)  # pyright: ignore
        assert result.warnings == other.warnings
        assert result.steps == other.steps


@pytest.mark.parametrize("name", sorted(CHAINS))
def test_a_picture_becomes_the_same_alone_with_others_in_any_order_and_in_threads(name):
    steps, choices = CHAINS[name]
    jobs = many(12)
    alone = [restoration(steps, **choices, **generators(), batch_size=3).restore([each])[0] for each in jobs]
    chain = restoration(steps, **choices, **generators(), batch_size=3)
    same(chain.restore(jobs), alone)
    same(chain.restore(jobs[::-1]), alone[::-1])
    fresh = restoration(steps, **choices, **generators(), batch_size=3)
    start = threading.Barrier(4)

    def work(number, each):
        if number < 4:
            start.wait(20)  # first uses, with their loading and measuring, meet
        return fresh.run([(each, fresh.plan(each))])[0]

    with ThreadPoolExecutor(4) as threads:
        same(threads.map(work, range(len(jobs)), jobs), alone)


def test_a_generator_is_loaded_once_however_many_threads_ask():
    chain = restoration("auto")
    loads = []
    load = chain._registry.load

    def slow(step):
        loads.append(str(step))
        time.sleep(0.05)
        return load(step)

    object.__setattr__(chain, "_registry", type("Slow", (), {"load": staticmethod(slow), "generators": ()})())
    step = Step.parse("median:3")
    with ThreadPoolExecutor(8) as threads:
        assert len({id(loaded) for loaded in threads.map(lambda _: chain._load(step), range(40))}) == 1
    assert loads == ["median:3"]


def test_seeds_reach_the_generator_and_are_its_only_randomness():
    def speckle(batch):
        assert batch.seeds is not None
        assert batch.seeds.dtype == torch.int64
        return torch.stack(
            [
                torch.rand(image.shape, generator=torch.Generator().manual_seed(int(seed)))
                for image, seed in zip(batch.images, batch.seeds, strict=True)
            ]
        )

    chain = restoration("speckle", speckle=Restores(speckle), batch_size=3)
    jobs = [job(GIVEN, seed=seed) for seed in (5, 6, 5, 2**63 - 1, 0)]
    pixels = [result.picture.pixels for result in chain.restore(jobs) if result.picture is not None]
    np.testing.assert_array_equal(pixels[0], pixels[2])
    assert len({each.tobytes() for each in pixels}) == 4


def test_a_generator_that_cannot_be_tiled_says_so_for_every_picture():
    whole = Restores(lambda batch: batch.images * batch.images.mean(), Geometry())
    chain = restoration("whole", whole=whole, tile=32, batch_size=4)
    large, small = any_picture(0, 50, 50, KINDS[0]), any_picture(0, 30, 30, KINDS[0])
    results = chain.restore([job(large), job(small), job(large)])
    assert [len(result.warnings) for result in results] == [1, 0, 1]


def test_whole_pictures_that_are_larger_than_a_tile_are_not_computed_several_times():
    samples = []

    def glance(batch):
        samples.append((len(batch.images), batch.images.shape[-1]))
        return batch.images * batch.images.mean()

    chain = restoration("whole", whole=Restores(glance, Geometry()), tile=32, batch_size=4)
    chain.restore([job(any_picture(0, 50, 50, KINDS[0]))] * 2)
    samples.clear()  # of measuring
    chain.restore([job(any_picture(0, side, side, KINDS[0])) for side in (50, 30, 50, 30)])
    assert sorted(samples) == [(1, 50), (1, 50), (4, 30)]


def test_networks_are_moved_and_set_to_evaluate_also_inside_a_generator():
    class Wrapping:
        geometry = Geometry(halo=0)

        def __init__(self):
            self.network = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3, padding=1), torch.nn.Dropout(0.5))
            self.modes: set[bool] = set()

        def networks(self):
            return {"generator": self.network}

        def restore(self, batch):
            self.modes.add(self.network.training)
            return self.network(batch.images)

    wrapping = Wrapping()
    restored(GIVEN, "wrapping", wrapping=wrapping)
    assert wrapping.modes == {False}


def test_a_generator_is_not_asked_to_remember_gradients():
    grads = []

    def watch(batch):
        grads.append(torch.is_grad_enabled())
        return batch.images

    restored(GIVEN, "watch", watch=Restores(watch))
    outcome(GIVEN, "find", find=Finds(lambda batch: watch(batch)[:, :1]))
    assert grads == [False, False]


def test_pictures_that_may_not_be_written_to_are_restored_without_a_warning(recwarn):
    torch.set_warn_always(True)  # some warnings come once a process
    for kind in KINDS:
        given_ = any_picture(0, 20, 24, kind)
        mask = some_mask(0, 20, 24)
        for array in (given_.pixels, given_.alpha, mask):
            if array is not None:
                array.flags.writeable = False
        steps = ["auto", "inpaint", "sized", "double"]
        inpaint = Restores(invert, Geometry(halo=0, needs_mask=True))
        outcome(given_, steps, mask, **generators(), inpaint=inpaint, target=Target(1.7))
    torch.set_warn_always(False)
    assert [str(warning.message) for warning in recwarn] == []


def test_the_runtime_reaches_the_generator():
    seen = []

    def look(batch):
        seen.append(batch.images.device)
        return batch.images

    restored(GIVEN, "look", look=Restores(look), runtime=CPU)
    assert seen == [torch.device("cpu")]
