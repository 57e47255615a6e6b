"""Style transfer brings a picture nearer to another one's manner, and tells which files it worked with."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from restorekit.contract import Batch
from restorekit.errors import NotAvailable, RestorekitError, UsageError
from restorekit.nn.features import SqueezeNet
from restorekit.registry import registry
from restorekit.testing import checks_for
from restorekit_style_transfer.config import Settings
from restorekit_style_transfer.painting import CONTENT, STYLE, gram, painted, style_distance

#: What the kit does in a process of its own.
ELSEWHERE = {"light-import", "new-process", "no-pickle", "no-network", "no-programs", "no-writes"}


@pytest.fixture(scope="module")
def network() -> SqueezeNet:
    """A network that has learned nothing: even so its features tell stripes from squares."""
    torch.manual_seed(0)
    return SqueezeNet().eval()


@pytest.fixture(scope="module")
def files(tmp_path_factory, network) -> Path:
    """A feature file and two styles."""
    folder = tmp_path_factory.mktemp("files")
    state = {name.replace(".", "/", name.count(".") - 1): t.half() for name, t in network.state_dict().items()}
    np.savez(folder / "net.npz", **{name: tensor.numpy() for name, tensor in state.items()})
    save_file(network.state_dict(), folder / "net.safetensors")
    stripes = np.zeros((40, 64, 3), np.uint8)
    stripes[:, ::4] = (250, 120, 20)
    cv2.imwrite(str(folder / "stripes.png"), stripes)
    cv2.imwrite(str(folder / "other.png"), np.rot90(stripes))
    return folder


@pytest.fixture(scope="module")
def picture() -> Tensor:
    return torch.rand(1, 3, 33, 41, generator=torch.Generator().manual_seed(1))


def image(path: Path) -> Tensor:
    pixels = cv2.imread(str(path))
    assert pixels is not None
    return torch.from_numpy(pixels[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255


def test_correlations_equal_their_definition():
    features = torch.rand(1, 5, 3, 4)
    wanted = torch.einsum("aij,bij->ab", features[0], features[0]) / 12
    torch.testing.assert_close(gram(features), wanted)
    mirrored = gram(features.flip(3))
    torch.testing.assert_close(mirrored, wanted)


def test_a_picture_comes_nearer_to_the_style_and_stays_near_itself(network, files, picture):
    style = image(files / "stripes.png")
    wanted = {name: gram(made) for name, made in network(style, STYLE).items()}

    def distances(made: Tensor) -> tuple[float, float]:
        content = network(made, (CONTENT,))[CONTENT] - network(picture, (CONTENT,))[CONTENT]
        return float(style_distance(network(made, STYLE), wanted)), float(content.square().mean())

    with torch.no_grad():
        options = {"steps": 25, "learning_rate": 0.05}
        strong, weak = (
            painted(picture, style, network, Settings(weight=weight, **options), lambda done: None)  # pyright: ignore
            for weight in (1000.0, 0.01)
        )
    assert strong.shape == picture.shape
    assert 0 <= strong.min() <= strong.max() <= 1
    assert distances(strong)[0] < 0.5 * distances(picture)[0]
    assert distances(strong)[0] < distances(weak)[0]
    assert distances(weak)[1] < distances(strong)[1]


def test_total_variation_smooths(network, files, picture):
    style = image(files / "stripes.png")
    rough, smooth = (
        painted(picture, style, network, Settings(steps=15, smoothness=s, weight=0.1), lambda done: None)
        for s in (0.0, 1000.0)
    )
    assert smooth.diff(dim=3).abs().mean() < 0.7 * rough.diff(dim=3).abs().mean()


def test_progress_is_told_over_all_pictures(files, picture):
    shares: list[float] = []
    generator = registry().load(f"style-transfer:{files}/stripes.png,features={files}/net.npz").generator
    batch = Batch(torch.cat([picture, picture]), settings={"steps": 2}, progress=shares.append)
    with torch.no_grad():
        made = generator.restore(batch)  # pyright: ignore[reportAttributeAccessIssue]
    assert shares == [0, 0.25, 0.5, 0.75]
    assert torch.equal(made[0], made[1])


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("style-transfer", "features=FILE"),
        ("style-transfer,features=FILES/net.npz", "style=PICTURE"),
        ("style-transfer:FILES/net.npz,features=FILES/net.npz", "is no picture"),
        ("style-transfer:FILES/stripes.png,features=FILES/stripes.png", "cannot be read as .npz or .safetensors"),
        ("style-transfer:FILES/stripes.png,features=FILES/none.npz", "none.npz"),
        ("style-transfer:FILES/none.png,features=FILES/net.npz", "none.png"),
        ("style-transfer:FILES/stripes.png,features=FILES/net.npz,weight=-1", "weight=-1 is not allowed"),
    ],
)
def test_bad_files_and_settings_are_one_line(files, step, told):
    with pytest.raises((UsageError, NotAvailable)) as caught:
        registry().load(step.replace("FILES", str(files)))
    assert isinstance(caught.value, RestorekitError)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_records_its_files_and_does_again_what_they_changed(tmp_path, files, cli):
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "a.png"), np.full((24, 30, 3), 90, np.uint8))
    for name in ("net.npz", "stripes.png"):
        (tmp_path / name).write_bytes((files / name).read_bytes())
    step = "style-transfer:stripes.png,features=net.npz,steps=2"
    command = ("restore", "in", "-o", "out", "--no-report", "--with", step)
    cli(*command)
    cli(*command)
    (tmp_path / "stripes.png").write_bytes((files / "other.png").read_bytes())
    cli(*command, check=None)
    lines = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    done = [line for line in lines if line.get("status") == "done"]
    assert len(done) == 2
    first, second = (line["weights_sha256"] for line in done)
    assert first
    assert first != second


def test_it_keeps_the_contract_with_its_files(files):
    bound = checks_for(f"style-transfer,features={files}/net.safetensors,style={files}/stripes.png")
    assert len(bound) > 15
    for check in bound:
        if check.check.name not in ELSEWHERE:
            check()
