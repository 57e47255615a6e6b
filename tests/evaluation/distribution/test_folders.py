"""Folders, statistics in files, and the lines that say what is wrong with them."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from restorekit.errors import NotAvailable, PictureError, UsageError
from restorekit.evaluation.distribution import (
    DISTRIBUTION_METRICS,
    Moments,
    Reading,
    Settings,
    Statistics,
    compare_folders,
    distribution_scores,
    folder_statistics,
    frechet_distance,
    is_distribution_metric,
    metrics_on,
    networks,
    read_statistics,
    register_feature_network,
    write_statistics,
)
from restorekit.nn.features import SqueezeNet
from tests.evaluation.distribution.conftest import Averages, write_pictures


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(networks, "_FACTORIES", dict(networks._FACTORIES))
    calls = []

    def factory(file, resize, device):
        network = Averages()
        original = network.features
        network.features = lambda images: calls.append(len(images)) or original(images)
        return network

    register_feature_network("averages", factory)
    return calls


ALL = metrics_on("averages")


def test_every_metric_of_a_registered_network_carries_its_name_and_protocol(tmp_path, registered):
    ours, theirs = write_pictures(tmp_path / "a", 9), write_pictures(tmp_path / "b", 8, seed=1, base=120)
    scores = compare_folders(ours, theirs, ALL)
    assert set(scores.values) == set(ALL)
    assert scores.values["frechet-averages"] > 100
    assert set(scores.standard_errors) == {"kernel-averages"}
    assert scores.facts["network"] == "averages"
    assert (scores.facts["samples"], scores.facts["reference_samples"]) == (9, 8)
    assert "100 of 4, seed 0" in str(scores.facts["kernel_subsets"])
    assert compare_folders(ours, theirs, ALL) == scores
    with pytest.raises(UsageError, match="name of another"):
        register_feature_network("averages", None)  # pyright: ignore[reportArgumentType]


def test_pictures_of_all_kinds_become_8_bit_rgb(tmp_path, averages):
    folder = write_pictures(tmp_path / "a", 9)
    found = folder_statistics(folder, averages, features=True, reading=Reading(batch_size=2))
    whole = folder_statistics(folder, averages, features=True)
    assert found.features is not None
    assert whole.features is not None
    assert torch.equal(found.features, whole.features)
    assert found.count == 9
    assert torch.equal(found.features[0, 0], found.features[0, 2])  # grey
    assert 40 < float(found.mean.mean()) < 80  # 16 bit as 8 bit


def test_a_reference_is_computed_once_until_one_of_its_pictures_changes(tmp_path, registered):
    ours, theirs = write_pictures(tmp_path / "a", 5), write_pictures(tmp_path / "b", 6, seed=1)
    first = compare_folders(ours, theirs, ["frechet-averages"])
    computed = sum(registered)
    assert compare_folders(ours, theirs, ["frechet-averages"]) == first
    assert sum(registered) - computed == 5
    compare_folders(ours, theirs, ["recall-averages"])  # needs the features
    assert sum(registered) - computed == 5 + 11
    write_pictures(theirs, 1, seed=9)
    assert compare_folders(ours, theirs, ["frechet-averages"]).values != first.values
    for stored in (tmp_path / "cache/statistics").iterdir():
        stored.write_bytes(b"damaged")
    compare_folders(ours, theirs, ["frechet-averages"])


def test_bad_pictures_are_named_and_left_out_unless_asked_otherwise(tmp_path, registered):
    ours, theirs = write_pictures(tmp_path / "a", 5), write_pictures(tmp_path / "b", 6, seed=1)
    wanted = compare_folders(ours, theirs, ["frechet-averages"], cache=False)
    (ours / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    (ours / "notes.txt").write_text("no picture")
    (ours / "000.mask.png").write_bytes((ours / "000.png").read_bytes())
    scores = compare_folders(ours, theirs, ["frechet-averages"])
    assert scores.values == wanted.values
    assert [name for name, _ in scores.skipped] == ["bad.png"]
    with pytest.raises(PictureError, match=r"bad\.png"):
        compare_folders(ours, theirs, ["frechet-averages"], reading=Reading(strict=True))


def test_too_few_pictures_are_one_line(tmp_path, registered):
    theirs = write_pictures(tmp_path / "b", 6)
    (tmp_path / "empty").mkdir()
    for folder, told in (
        (tmp_path / "empty", "holds no picture"),
        (tmp_path / "gone", "does not exist"),
        (write_pictures(tmp_path / "one", 1), "has one picture"),
    ):
        with pytest.raises(UsageError, match=told) as caught:
            compare_folders(folder, theirs, ["frechet-averages"])
        assert "\n" not in str(caught.value)
    few = write_pictures(tmp_path / "few", 3)
    with pytest.raises(UsageError, match="3 neighbours"):
        compare_folders(few, theirs, ["precision-averages"])
    with pytest.raises(UsageError, match="subsets of 5"):
        compare_folders(few, theirs, ["kernel-averages"], settings=Settings(subset_size=5))


def test_features_that_are_no_numbers_name_their_picture(tmp_path, averages):
    averages.features = lambda images: torch.full((len(images), 3), torch.nan)
    with pytest.raises(PictureError, match=r"000\.png: the network averages makes NaN"):
        folder_statistics(write_pictures(tmp_path / "a", 3), averages)
    with pytest.raises(PictureError, match=r"picture 1: .*NaN"):
        distribution_scores([torch.zeros(2, 3, 8, 8).byte()], [], averages, ["frechet-averages"])


def test_samples_in_memory_score_as_their_files_do(tmp_path, averages, registered):
    rng = np.random.default_rng(0)
    sides = [torch.from_numpy(rng.integers(0, high, (6, 1, 8, 8), dtype=np.uint8)) for high in (200, 255)]
    found = distribution_scores(sides[0].split(4), sides[1].split(5), averages, ALL)
    rows = [averages.features(side.expand(-1, 3, -1, -1)) for side in sides]
    stored = [Statistics.of(Moments.of(made), {}, made) for made in rows]
    assert distribution_scores(stored[0], stored[1], averages, ALL).values == pytest.approx(found.values)
    with pytest.raises(UsageError, match="hold none"):
        distribution_scores(dataclasses.replace(stored[0], features=None), stored[1], averages, ["recall-averages"])
    with pytest.raises(ValueError, match="uint8"):
        distribution_scores([torch.zeros(2, 3, 8, 8)], [], averages, ["frechet-averages"])


@pytest.mark.parametrize("count", [4, 9])
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_statistics_survive_a_file_and_can_be_the_reference(tmp_path, registered, averages, suffix, count):
    ours, theirs = write_pictures(tmp_path / "a", 5), write_pictures(tmp_path / "b", count, seed=1)
    path = tmp_path / f"stats{suffix}"
    write_statistics(path, folder_statistics(theirs, averages))
    before = path.read_bytes()
    write_statistics(path, folder_statistics(theirs, averages))
    assert path.read_bytes() == before
    wanted = compare_folders(ours, theirs, ["frechet-averages"], cache=False).values["frechet-averages"]
    scores = compare_folders(ours, path, ["frechet-averages"])
    assert scores.values["frechet-averages"] == pytest.approx(wanted, rel=1e-9)
    assert scores.facts["reference_samples"] == (None if suffix == ".npz" else count)
    assert "reference_sha256" in scores.facts
    with pytest.raises(UsageError, match="Fréchet distance alone"):
        compare_folders(ours, path, ["kernel-averages"])


def test_others_statistics_are_arrays_and_nothing_else(tmp_path):
    path = tmp_path / "theirs.npz"
    rows = np.random.default_rng(0).normal(size=(50, 6))
    sigma = np.cov(rows, rowvar=False).astype(np.float32)
    np.savez(path, mu=rows.mean(0), sigma=sigma)
    read = read_statistics(path)
    assert frechet_distance(read, Moments.of(torch.from_numpy(rows))) < 1e-6
    np.savez(path, mu=np.array([{"an": "object"}], object), sigma=sigma)
    with pytest.raises(NotAvailable, match="mu and sigma"):
        read_statistics(path)
    for content in ({"mu": rows[0]}, {"mu": rows[0], "sigma": sigma[:3]}, {"mu": rows[0] * np.nan, "sigma": sigma}):
        np.savez(path, **content)
        with pytest.raises(NotAvailable):
            read_statistics(path)
    path.write_bytes(b"PK no zip")
    with pytest.raises(NotAvailable):
        read_statistics(path)
    weights = tmp_path / "weights.safetensors"
    save_file({"mean": torch.zeros(2)}, weights)
    with pytest.raises(NotAvailable, match="no statistics"):
        read_statistics(weights)
    with pytest.raises(NotAvailable, match="does not exist"):
        read_statistics(tmp_path / "gone.npz")


def test_statistics_of_another_network_or_resizing_are_refused(tmp_path, registered, averages):
    ours = write_pictures(tmp_path / "a", 5)
    statistics = folder_statistics(ours, averages)
    path = tmp_path / "stats.safetensors"
    write_statistics(path, dataclasses.replace(statistics, facts={"network": "averages", "resize": "clean"}))
    with pytest.raises(UsageError, match="resize not stated here, clean there"):
        compare_folders(ours, path, ["frechet-averages"])
    write_statistics(path, Statistics.of(Moments.of(torch.rand(9, 5)), {}))
    with pytest.raises(UsageError, match="5 numbers, and averages makes 3"):
        compare_folders(ours, path, ["frechet-averages"])


def test_metrics_are_known_by_name_and_stay_on_one_network(tmp_path):
    assert {"fid", "kid", "inception-score", "precision", "recall", "frechet-squeezenet"} <= set(DISTRIBUTION_METRICS)
    assert is_distribution_metric("frechet-mine")
    assert not is_distribution_metric("psnr")
    assert not is_distribution_metric("frechet-inception")  # its name is fid
    for metrics, told in ((["fid", "kernel-squeezenet"], "different networks"), (["fdi"], "no metric"), ([], "no met")):
        with pytest.raises(UsageError, match=told):
            compare_folders(tmp_path, tmp_path, metrics)


def test_squeezenet_compares_without_inception(tmp_path, monkeypatch):
    torch.manual_seed(0)
    state = SqueezeNet().state_dict()
    save_file(state, tmp_path / "squeeze.safetensors")
    ours, theirs = write_pictures(tmp_path / "a", 4), write_pictures(tmp_path / "b", 3, seed=1, base=150)
    with pytest.raises(NotAvailable, match="--features FILE or RESTOREKIT_SQUEEZENET"):
        compare_folders(ours, theirs, ["frechet-squeezenet"])
    monkeypatch.setenv("RESTOREKIT_SQUEEZENET", str(tmp_path / "squeeze.safetensors"))
    scores = compare_folders(ours, theirs, ["frechet-squeezenet"], device="cpu")
    assert scores.values["frechet-squeezenet"] > 0
    assert scores.facts["features"] == "fire9 averaged, 512, float32"


def test_inception_scores_a_folder(tmp_path, inception_file):
    ours, theirs = write_pictures(tmp_path / "a", 3), write_pictures(tmp_path / "b", 2, seed=1)
    scores = compare_folders(
        ours, theirs, ["fid", "inception-score"], files={"inception": inception_file}, device="cpu"
    )
    assert scores.values["fid"] > 0
    assert scores.values["inception-score"] >= 1
    assert any("depends on their number" in note for note in scores.notes)
