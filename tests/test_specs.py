"""The grammar of steps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restorekit.errors import UsageError
from restorekit.specs import Step, WeightsSource

words = st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)*", fullmatch=True)
values = st.from_regex(r"[A-Za-z0-9.\-/#]+", fullmatch=True)


@given(name=words, choice=st.one_of(st.just(""), values), settings=st.dictionaries(words, values, max_size=4))
def test_what_a_step_prints_reads_back_as_the_same_step(name, choice, settings):
    step = Step(name, choice, settings)
    assert Step.parse(str(step)) == step


@pytest.mark.parametrize("text", ["", ":", "nlmeans:", ",a=1", "nlmeans,", "nlmeans,h", "nlmeans,=3", "nlmeans,h="])
def test_what_is_no_step_is_refused_with_the_grammar(text):
    with pytest.raises(UsageError, match="NAME"):
        Step.parse(text)


def test_a_setting_given_twice_is_refused():
    with pytest.raises(UsageError, match="twice"):
        Step.parse("nlmeans,h=1,h=2")


def test_a_weights_file_may_hold_colons_in_its_path():
    assert Step.parse("C:/nets/a.safetensors,tile=2").name == "C:/nets/a.safetensors"


@pytest.mark.parametrize("source", [{}, {"file": "a:b", "url": "x"}, {"url": "https://example.org/w"}])
def test_weights_come_from_a_file_or_from_a_checked_url(source):
    with pytest.raises(ValueError, match="weights 'x4'"):
        WeightsSource(name="x4", **source)
