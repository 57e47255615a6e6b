"""Cores are those that this process may use, not those that the machine has."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from restorekit.inference import threads
from restorekit.inference.threads import cores, quota


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux")
def test_cores_that_a_scheduler_withholds_do_not_count(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 5, 6})
    assert cores() == 3


@pytest.mark.parametrize(("limit", "expected"), [(math.inf, 8), (2.0, 2), (2.5, 3), (0.3, 1), (20.0, 8)])
def test_a_container_that_may_use_a_share_of_the_time_has_that_many_cores(monkeypatch, limit, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(threads, "quota", lambda: limit)
    assert cores() == expected


@pytest.mark.parametrize(
    ("limits", "group", "expected"),
    [
        ({"": "200000 100000"}, "/", 2.0),
        ({"a/b": "max 100000", "a": "150000 100000"}, "/a/b", 1.5),
        ({"a/b": "50000 100000", "a": "150000 100000"}, "/a/b", 0.5),
        ({"other": "50000 100000"}, "/a/b", math.inf),
        ({"": "nonsense"}, "/", math.inf),
    ],
)
def test_the_least_that_a_group_and_those_around_it_allow_is_the_limit(tmp_path, limits, group, expected):
    for folder, text in limits.items():
        (tmp_path / "groups" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / folder / "cpu.max").write_text(text + "\n")
    (tmp_path / "cpu.max").write_text("1 100000\n")  # outside
    (tmp_path / "own").write_text(f"1:name=systemd:/x\n0::{group}\n")
    assert quota(tmp_path / "groups", tmp_path / "own") == expected


def test_where_there_are_no_groups_nothing_is_limited(tmp_path):
    assert quota(tmp_path, Path("nowhere")) == math.inf
    (tmp_path / "own").write_text("4:memory:/x\n1:cpu:/\n")  # of version 1
    assert quota(tmp_path, tmp_path / "own") == math.inf
