"""Inception against an independent reading of the published architecture, from a dict of tensors."""

import hashlib
import json

import pytest
import torch
from torch.nn import functional as F

from restorekit.errors import NotAvailable, UsageError
from restorekit.evaluation.distribution import feature_network, published
from restorekit.evaluation.distribution.inception import InceptionV3, folded


def conv(state, name, x, stride=1, padding: int | tuple[int, int] = 0):
    x = F.conv2d(x, state[f"{name}.conv.weight"], None, stride, padding)
    mean, var = state[f"{name}.bn.running_mean"], state[f"{name}.bn.running_var"]
    return F.relu(F.batch_norm(x, mean, var, state[f"{name}.bn.weight"], state[f"{name}.bn.bias"], eps=0.001))


def block_a(s, m, x):
    one = conv(s, f"{m}.branch1x1", x)
    five = conv(s, f"{m}.branch5x5_2", conv(s, f"{m}.branch5x5_1", x), padding=2)
    three = conv(s, f"{m}.branch3x3dbl_2", conv(s, f"{m}.branch3x3dbl_1", x), padding=1)
    three = conv(s, f"{m}.branch3x3dbl_3", three, padding=1)
    pool = conv(s, f"{m}.branch_pool", average_of_what_is_there(x))
    return torch.cat([one, five, three, pool], 1)


def average_of_what_is_there(x):
    """A 3 x 3 mean that counts real neighbours only, from two sums."""
    box = torch.ones(1, 1, 3, 3)
    n, c, h, w = x.shape
    total = F.conv2d(x.reshape(n * c, 1, h, w), box, padding=1)
    number = F.conv2d(torch.ones(1, 1, h, w), box, padding=1)
    return (total / number).reshape(n, c, h, w)


def block_b(s, m, x):
    three = conv(s, f"{m}.branch3x3", x, stride=2)
    double = conv(s, f"{m}.branch3x3dbl_2", conv(s, f"{m}.branch3x3dbl_1", x), padding=1)
    return torch.cat([three, conv(s, f"{m}.branch3x3dbl_3", double, stride=2), F.max_pool2d(x, 3, 2)], 1)


def block_c(s, m, x):
    seven = conv(s, f"{m}.branch7x7_2", conv(s, f"{m}.branch7x7_1", x), padding=(0, 3))
    seven = conv(s, f"{m}.branch7x7_3", seven, padding=(3, 0))
    double = conv(s, f"{m}.branch7x7dbl_1", x)
    for number, padding in ((2, (3, 0)), (3, (0, 3)), (4, (3, 0)), (5, (0, 3))):
        double = conv(s, f"{m}.branch7x7dbl_{number}", double, padding=padding)
    pool = conv(s, f"{m}.branch_pool", average_of_what_is_there(x))
    return torch.cat([conv(s, f"{m}.branch1x1", x), seven, double, pool], 1)


def block_d(s, m, x):
    three = conv(s, f"{m}.branch3x3_2", conv(s, f"{m}.branch3x3_1", x), stride=2)
    seven = conv(s, f"{m}.branch7x7x3_2", conv(s, f"{m}.branch7x7x3_1", x), padding=(0, 3))
    seven = conv(s, f"{m}.branch7x7x3_3", seven, padding=(3, 0))
    return torch.cat([three, conv(s, f"{m}.branch7x7x3_4", seven, stride=2), F.max_pool2d(x, 3, 2)], 1)


def block_e(s, m, x, pooled):
    three = conv(s, f"{m}.branch3x3_1", x)
    double = conv(s, f"{m}.branch3x3dbl_2", conv(s, f"{m}.branch3x3dbl_1", x), padding=1)
    parts = [conv(s, f"{m}.branch1x1", x)]
    for name, inner in (("branch3x3_2", three), ("branch3x3dbl_3", double)):
        parts += [conv(s, f"{m}.{name}a", inner, padding=(0, 1)), conv(s, f"{m}.{name}b", inner, padding=(1, 0))]
    return torch.cat([*parts, conv(s, f"{m}.branch_pool", pooled)], 1)


BLOCKS = {
    **{f"Mixed_5{letter}": block_a for letter in "bcd"},
    "Mixed_6a": block_b,
    **{f"Mixed_6{letter}": block_c for letter in "bcde"},
    "Mixed_7a": block_d,
    "Mixed_7b": lambda s, m, x: block_e(s, m, x, average_of_what_is_there(x)),
    "Mixed_7c": lambda s, m, x: block_e(s, m, x, F.max_pool2d(x, 3, 1, 1)),
}
CHANNELS = (192, 256, 288, 288, 768, 768, 768, 768, 768, 1280, 2048)


@pytest.fixture(scope="module")
def network(inception_state):
    return InceptionV3.from_state(inception_state, "random")


@pytest.mark.parametrize(("name", "channels"), list(zip(BLOCKS, CHANNELS, strict=True)))
def test_every_block_is_equal_to_the_last_bit_where_averages_are_summed_in_one_order(
    network, inception_state, monkeypatch, name, channels
):
    def average(x):
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)

    monkeypatch.setitem(globals(), "average_of_what_is_there", average)
    x = torch.rand(1, channels, 7, 9, generator=torch.Generator().manual_seed(1))
    assert torch.equal(network.get_submodule(name)(x), BLOCKS[name](inception_state, name, x))


@pytest.mark.parametrize(("name", "channels"), list(zip(BLOCKS, CHANNELS, strict=True)))
def test_every_block_is_as_published(network, inception_state, name, channels):
    x = torch.rand(1, channels, 7, 9, generator=torch.Generator().manual_seed(1))
    ours, theirs = network.get_submodule(name)(x), BLOCKS[name](inception_state, name, x)
    assert ours.shape == theirs.shape
    # Blocks without an average do the same operations; the others sum nine numbers in another order.
    limit = 0.0 if name in ("Mixed_6a", "Mixed_7a", "Mixed_7c") else 1e-5
    assert (ours - theirs).abs().max() <= limit


def test_the_whole_is_as_published_and_folding_changes_rounding_alone(network, inception_state):
    x = 2 * torch.rand(2, 3, 299, 299, generator=torch.Generator().manual_seed(2)) - 1
    ours = network(x)
    y = conv(inception_state, "Conv2d_2a_3x3", conv(inception_state, "Conv2d_1a_3x3", x, stride=2))
    y = F.max_pool2d(conv(inception_state, "Conv2d_2b_3x3", y, padding=1), 3, 2)
    y = conv(inception_state, "Conv2d_4a_3x3", conv(inception_state, "Conv2d_3b_1x1", y))
    y = F.max_pool2d(y, 3, 2)
    for name, block in BLOCKS.items():
        y = block(inception_state, name, y)
    theirs = F.adaptive_avg_pool2d(y, 1).flatten(1)
    scale = theirs.abs().max()
    assert ours.shape == (2, 2048)
    assert (ours - theirs).abs().max() < 1e-5 * scale
    assert (folded(network)(x) - ours).abs().max() < 1e-5 * scale
    assert torch.equal(network.logits(ours), ours @ inception_state["fc.weight"].T)


def test_the_layout_is_that_of_the_published_file(inception_state):
    floats = {name: tensor for name, tensor in inception_state.items() if tensor.is_floating_point()}
    assert sum(tensor.numel() for tensor in floats.values()) * 4 == pytest.approx(published.BYTES, rel=0.002)
    assert inception_state["Mixed_7c.branch3x3dbl_3b.conv.weight"].shape == (384, 384, 3, 1)
    # Files of before torch 1.0 do not count batches.
    InceptionV3.from_state(floats, "old")


def test_features_of_a_picture_do_not_depend_on_its_batch_or_layout(inception_file):
    network = feature_network("inception", inception_file, device="cpu")
    images = torch.randint(0, 256, (3, 3, 20, 30), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    together = network.features(images)
    assert together.dtype == torch.float32
    alone = torch.cat([network.features(image[None].contiguous()) for image in images])
    assert torch.allclose(together, alone, atol=1e-5)
    assert together.clone().requires_grad_().sum().requires_grad  # others may go on with them


def test_a_named_file_is_taken_and_stamped_and_others_are_refused(inception_file, monkeypatch):
    facts = feature_network("inception", inception_file, device="cpu").facts()
    assert facts["network_sha256"] == hashlib.sha256(inception_file.read_bytes()).hexdigest()
    assert facts["network_published"] is False
    monkeypatch.setenv("RESTOREKIT_INCEPTION", str(inception_file))
    with pytest.raises(NotAvailable, match="checksum is another"):
        feature_network()


def test_without_a_file_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    with pytest.raises(NotAvailable, match=r"restorekit weights fetch inception.*https://.*--inception FILE"):
        feature_network()
    monkeypatch.setenv("RESTOREKIT_INCEPTION", str(tmp_path / "gone.pth"))
    with pytest.raises(NotAvailable, match="RESTOREKIT_INCEPTION names it"):
        feature_network()


@pytest.mark.parametrize("content", [{"fc.weight": torch.zeros(2)}, [1, 2], b"no zip at all"])
def test_other_files_are_one_line(tmp_path, content):
    path = tmp_path / "other.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(NotAvailable) as caught:
        feature_network("inception", path)
    assert "\n" not in str(caught.value)


def test_misspelt_names_are_told_before_anything_is_read(tmp_path):
    with pytest.raises(UsageError, match="choose one of inception, squeezenet"):
        feature_network("inceptoin")
    with pytest.raises(UsageError, match="pytorch-fid, clean, tf1"):
        feature_network("inception", tmp_path / "gone.pth", resize="bilinear")


def test_the_command_line_lists_and_keeps_the_network(cli, tmp_path):
    environment = {"RESTOREKIT_CACHE": str(tmp_path / "cache")}
    rows = json.loads(cli("weights", "list", "--json", env=environment).stdout)
    row = next(row for row in rows if row["generator"] == "inception")
    assert row["status"] == "missing"
    assert row["url"] == published.URL
