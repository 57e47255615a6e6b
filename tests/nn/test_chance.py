"""Random numbers are functions of the seed alone, and random."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from restorekit.nn.chance import normals, uniforms

SEEDS = st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 9), st.integers(0, 40))
def test_a_draw_depends_on_its_own_seed_place_and_stream_alone(seeds, count, stream):
    together = normals(torch.tensor(seeds), count, stream)
    for row, seed in enumerate(seeds):
        assert torch.equal(normals(torch.tensor([seed]), count + 3, stream)[0, :count], together[row])


def test_uniforms_equal_splitmix64_computed_with_unsigned_words():
    def mixed(word):
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) % 2**64
        return word ^ (word >> 31)

    for seed, stream in ((0, 0), (1, 3), (2**63 - 1, 7), (123456789, 16)):
        use = mixed((stream + 1) * (0xD1B54A32D192ED03 - 2**64) % 2**63)
        key = mixed(mixed(seed) ^ use)
        expected = [(mixed((key + i * 0x9E3779B97F4A7C15) % 2**64) >> 11) / 2**53 for i in range(1, 6)]
        assert uniforms(torch.tensor([seed]), 5, stream)[0].tolist() == expected


@pytest.mark.parametrize("axis", [0, 1])
def test_normals_are_normal_and_uncorrelated_along_seeds_and_places(axis):
    drawn = normals(torch.arange(600), 600).numpy()
    assert abs(drawn.mean()) < 0.01
    assert abs(drawn.std() - 1) < 0.01
    assert abs((drawn**4).mean() - 3) < 0.1
    ahead, behind = np.take(drawn, range(1, 600), axis), np.take(drawn, range(599), axis)
    assert abs((ahead * behind).mean()) < 0.01


def test_streams_are_independent():
    one, other = (normals(torch.arange(500), 200, stream) for stream in (0, 1))
    assert abs(float((one * other).mean())) < 0.015
