"""Protocols: what differs is named, whatever its type."""

from hypothesis import given
from hypothesis import strategies as st

from restorekit.evaluation import described, differences

FACTS = st.dictionaries(
    st.sampled_from(["colour", "crop_border", "region", "depth", "clipped"]),
    st.one_of(st.none(), st.booleans(), st.integers(0, 9), st.sampled_from(["rgb", "y"])),
)


@given(FACTS)
def test_a_protocol_does_not_differ_from_itself(facts):
    assert differences(facts, dict(reversed(facts.items()))) == []


@given(FACTS, FACTS)
def test_what_differs_one_way_round_differs_the_other_way_round(ours, theirs):
    assert len(differences(ours, theirs)) == len(differences(theirs, ours))
    assert bool(differences(ours, theirs)) == (ours != theirs)


def test_a_difference_names_the_fact_and_both_values():
    assert differences({"colour": "y", "crop_border": 4}, {"colour": "y", "crop_border": 0}) == [
        "crop_border 4 here, 0 there"
    ]


def test_a_fact_of_one_side_alone_is_a_difference():
    assert differences({}, {"clipped": False}) == ["clipped not stated here, no there"]
    assert differences({"modcrop": None}, {}) == ["modcrop none here, not stated there"]


def test_facts_that_may_differ_are_passed_over():
    assert differences({"pictures": 5, "colour": "y"}, {"pictures": 9, "colour": "y"}, ignoring=("pictures",)) == []


def test_a_protocol_is_written_in_one_line_without_what_does_not_apply():
    assert described({"colour": "y", "modcrop": None, "clipped": True}) == "colour y; clipped yes"
