"""Nearest neighbours are those of a search through everything, whatever the numbers' size."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from restorekit.evaluation.generative import neighbours
from restorekit.evaluation.generative.neighbours import nearest


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    queries=st.integers(1, 30),
    among=st.integers(1, 40),
    count=st.integers(1, 6),
    offset=st.sampled_from([0.0, 1e4]),
    held=st.sampled_from([1, 100, 1 << 24]),
)
def test_they_are_those_of_a_search_through_everything(seed, queries, among, count, offset, held):
    chance = np.random.default_rng(seed)
    ours = (chance.normal(size=(queries, 5)) + offset).astype(np.float32)
    theirs = (chance.normal(size=(among, 5)) + offset).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_HELD", held)
        found = nearest(torch.from_numpy(ours), torch.from_numpy(theirs), count)
    exact = cdist(ours.astype(float), theirs.astype(float))
    order = np.argsort(exact, axis=1, kind="stable")[:, :count]
    assert found.distances.numpy() == pytest.approx(np.take_along_axis(exact, order, 1), rel=1e-9, abs=1e-12)
    assert np.array_equal(found.indices.numpy(), order)


def test_a_copy_has_distance_zero_among_large_numbers():
    theirs = torch.randn(500, 64) * 1000 + 30_000
    found = nearest(theirs[[7, 300]].clone(), theirs)
    assert found.distances.flatten().tolist() == [0.0, 0.0]
    assert found.indices.flatten().tolist() == [7, 300]


def test_a_vector_is_not_its_own_neighbour_but_its_twin_is():
    theirs = torch.tensor([[0.0], [1.0], [1.0], [5.0]])
    found = nearest(theirs[[1, 3]], theirs, itself=torch.tensor([1, 3]))
    assert found.indices.flatten().tolist() == [2, 1]
    assert found.distances.flatten().tolist() == [0.0, 4.0]
    assert nearest(theirs[:1], theirs, 9, itself=torch.tensor([0])).indices.tolist() == [[1, 2, 3]]
