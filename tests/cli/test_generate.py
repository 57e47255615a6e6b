"""``restorekit generate`` and the library under it: the same seed gives the same bytes, and nothing is overwritten."""

import json

import numpy as np
import pytest
import torch

from restorekit import images, sampling
from restorekit.errors import NotAvailable, UsageError
from restorekit.inference import choose_runtime
from restorekit.registry import registry
from restorekit.weights import networks_of, save


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Of a small generator of two classes, untrained but with contrast."""
    torch.manual_seed(0)
    network = {"architecture": "mlp", "size": 28, "channels": 1, "width": 8, "latent": 6, "classes": 2}
    network["class_names"] = ["heron", "otter"]
    loaded = registry().build("dcgan", network)
    with torch.no_grad():
        for parameter in networks_of(loaded.generator)["network"].parameters():
            parameter.mul_(2)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save(loaded.generator, path, spec=loaded.spec, config=loaded.config)
    return path


@pytest.fixture
def drawing(weights):
    return draw(weights)


def draw(weights, **options):
    return sampling.Drawing(registry().load(str(weights)), choose_runtime("cpu", "fp32"), **options)


def test_the_command_writes_grey_pictures_and_says_which(cli, weights, tmp_path):
    told = json.loads(cli("generate", weights, "-n", 3, "-o", "made", "--seed", 5, "--json").stdout)
    assert told["files"] == [f"made/0000{i}.png" for i in range(3)]
    assert (told["generator"], told["seed"], told["pictures"]) == ("dcgan", 5, 3)
    assert images.read(tmp_path / "made" / "00002.png").pixels.shape == (28, 28, 1)
    refused = cli("generate", weights, "-n", 1, "-o", "made", check=2)
    assert "exists" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_an_untrained_network_is_refused_and_so_is_what_makes_no_pictures():
    runtime = choose_runtime("cpu", "fp32")
    with pytest.raises(NotAvailable, match="no trained weights"):
        sampling.Drawing(registry().build("vae", {"architecture": "mlp", "width": 4}), runtime)
    with pytest.raises(UsageError, match="pictures of its own"):
        sampling.Drawing(registry().load("bicubic"), runtime)


def test_the_same_seed_gives_the_same_bytes_however_many_are_made(drawing, weights, tmp_path):
    few = sampling.write_pictures(sampling.samples(drawing, 3, seed=4), tmp_path / "few")
    many = sampling.write_pictures(sampling.samples(draw(weights), 21, seed=4), tmp_path / "many")
    assert [path.read_bytes() for path in few] == [path.read_bytes() for path in many[:3]]
    assert not np.array_equal(sampling.samples(drawing, 3, seed=5), sampling.samples(drawing, 3, seed=4))


def test_labels_are_taken_in_turn_and_all_classes_where_none_is_given(weights):
    every = sampling.samples(draw(weights), 4)
    ones = sampling.samples(draw(weights, labels=(1,)), 4)
    assert np.array_equal(every[1::2], ones[1::2])
    assert not np.array_equal(every[0], ones[0])
    with pytest.raises(UsageError, match="0 to 1"):
        draw(weights, labels=(2,))


def test_a_class_is_chosen_by_its_name_or_number(cli, weights, tmp_path):
    cli("generate", weights, "-n", 1, "-o", "named", "--label", "otter")
    made = images.read(tmp_path / "named" / "00000.png").pixels
    otter, heron = (sampling.samples(draw(weights, labels=(label,)), 1)[0] for label in (1, 0))
    assert np.array_equal(made, otter[..., :1])
    assert not np.array_equal(otter, heron)
    loaded = registry().load(str(weights))
    assert sampling.labels_of(loaded, ["otter", "0", "heron"]) == [1, 0, 0]
    with pytest.raises(UsageError, match="heron, otter"):
        sampling.labels_of(loaded, ["oter"])


def test_truncation_makes_pictures_more_alike(weights):
    wide, narrow = (sampling.samples(draw(weights, truncation=t, labels=(0,)), 16).std(axis=0).mean() for t in (1, 0.3))
    assert narrow < 0.6 * wide
    same = sampling.samples(draw(weights, truncation=0.0, labels=(0,)), 3)
    assert (same == same[0]).all()


def test_ways_pass_through_the_samples_in_small_steps(weights):
    drawing = draw(weights, labels=(0,))
    way = sampling.interpolated(drawing, 3, steps=20)
    ends = sampling.samples(drawing, 3)
    assert len(way) == 41
    assert np.abs(way[::20].astype(int) - ends).max() <= 1
    jumps = np.abs(np.diff(way.astype(int), axis=0)).mean(axis=(1, 2, 3))
    assert jumps.max() < 0.3 * np.abs(ends[0].astype(int) - ends[1]).mean()
    with pytest.raises(UsageError, match="two"):
        sampling.interpolated(drawing, 1, steps=5)


def test_a_traversal_changes_one_number_at_a_time(weights):
    drawing = draw(weights, labels=(0,))
    rows = sampling.traversal(drawing, 2, steps=5, reach=2.0).reshape(2, 5, 28, 28, 3)
    start = drawing.latents(sampling.sample_seeds(0, np.arange(1)))
    changed = start.repeat(2, 1)
    changed[0, 1], changed[1, 1] = -2.0, 2.0
    assert np.array_equal(rows[1, [0, 4]], drawing.pictures(changed, [0, 0]))
    with pytest.raises(UsageError, match="6 numbers"):
        sampling.traversal(drawing, 7)


def test_a_sheet_holds_every_picture_with_gaps_between():
    pictures = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 6, 3), np.uint8)
    sheet = sampling.contact_sheet(pictures, columns=3)
    assert sheet.shape == (10, 22, 3)
    assert (sheet[6:, 8:14] == 4).all()
    assert (sheet[6:, 16:] == 255).all()
    assert sampling.contact_sheet(pictures[:1]).shape == (4, 6, 3)


def test_a_network_without_classes_refuses_labels(tmp_path):
    loaded = registry().build("vae", {"architecture": "mlp", "width": 4})
    save(loaded.generator, tmp_path / "vae.safetensors", spec=loaded.spec, config=loaded.config)
    with pytest.raises(UsageError, match="not trained on classes"):
        draw(tmp_path / "vae.safetensors", labels=(0,))
    assert len(sampling.samples(draw(tmp_path / "vae.safetensors"), 2)) == 2


def test_nothing_is_written_where_one_file_exists(drawing, tmp_path):
    (tmp_path / "00001.png").write_bytes(b"mine")
    made = sampling.samples(drawing, 3)
    with pytest.raises(UsageError, match="exists"):
        sampling.write_pictures(made, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["00001.png"]
    sampling.write_pictures(made, tmp_path, overwrite=True)
    assert len(list(tmp_path.iterdir())) == 3
