"""Recipes are read as they are written, and mistakes are told with the way out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from restorekit.degradations import DEGRADATIONS, Range, build, parse
from restorekit.errors import UsageError
from restorekit.specs import Step


def test_the_main_choice_and_further_keys_reach_their_fields():
    blur = build("blur:0.5-3,kind=motion,angle=30")
    assert blur == DEGRADATIONS["blur"](amount=Range(0.5, 3), kind="motion", angle=Range(30, 30))  # pyright: ignore[reportCallIssue]


def test_a_recipe_is_written_as_it_was_read():
    text = ["downscale:4", "noise:0-50,gray=true", "jpeg:30-90"]
    assert str(parse(text)) == " ".join(text)
    assert parse([Step.parse(step) for step in text]) == parse(text)


def test_an_empty_recipe_changes_nothing(photo):
    assert torch.equal(parse([])(photo, torch.tensor([1])).images, photo)


@pytest.mark.parametrize("name", sorted(DEGRADATIONS))
def test_every_degradation_works_with_its_defaults(photo, name):
    assert len(parse([name])(photo, torch.tensor([1])).images) == 1


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("niose:25", "'niose': is no degradation; did you mean noise?"),
        (
            "sharpen",
            "there are blur, cracks, downscale, dust, fade, gray, haze, holes, jpeg, noise, poisson, real, scratches, "
            "text",
        ),
        ("noise,sigm=3", "noise has no setting 'sigm'; did you mean sigma?"),
        ("jpeg,xyz=3", "jpeg has no setting 'xyz'; there are quality, chroma"),
        ("gray,foo=1", "gray has no setting 'foo'; it has none"),
        ("gray:3", "gray has no amount to choose; write gray"),
        ("noise:3,sigma=4", "'sigma' is given twice"),
        ("noise:abc", "sigma=abc is not allowed; write a number or LOW-HIGH, for example 25 or 0-50"),
        ("noise:-5", "write a number or LOW-HIGH"),
        ("noise:300", "sigma=300 is not allowed; stay within 0 to 255"),
        ("noise:50-10", "write the smaller number first: 10-50"),
        ("jpeg:40.5", "write whole numbers"),
        ("jpeg:0-50", "stay within 1 to 100"),
        ("jpeg,chroma=411", "chroma=411 is not allowed; it should be '420', '422' or '444'"),
        ("holes:square", "it should be 'irregular', 'center' or 'random'"),
        ("holes,coverage=2", "stay within 0.001 to 0.95"),
        ("downscale:0.5", "it should be greater than or equal to 1"),
        ("downscale:nan", "it should be a finite number"),
        ("noise,gray=maybe", "it should be a valid boolean"),
        ("noise:", "is no step"),
    ],
)
def test_mistakes_are_one_line_with_the_way_out(step, told):
    with pytest.raises(UsageError) as caught:
        parse([step])
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_tensors_are_refused(photo):
    recipe = parse(["noise:5"])
    with pytest.raises(TypeError, match="float32 or float64"):
        recipe((photo * 255).to(torch.uint8), torch.tensor([1]))
    with pytest.raises(TypeError, match="float32 or float64"):
        recipe(photo[0], torch.tensor([1]))
    with pytest.raises(ValueError, match="as many seeds"):
        recipe(photo, torch.tensor([1, 2]))


amounts = st.floats(0, 1e6, allow_nan=False)


@given(amounts, amounts)
def test_a_range_is_read_as_it_is_written(first, second):
    low, high = sorted((float(f"{first:g}"), float(f"{second:g}")))
    drawn = Range(low, high)
    assert Range.read(str(drawn)) == drawn
    assert Range.read((low, high)) == drawn
    assert Range.read(drawn) is drawn


@given(st.text(max_size=12))
def test_any_text_is_a_range_or_a_value_error(text):
    try:
        drawn = Range.read(text)
    except ValueError:
        return
    assert drawn.low <= drawn.high
