"""Style transfer brings a picture nearer to another one's manner, and tells which files it worked with."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from restorekit.batch.manifest import Record
from restorekit.batch.restore import Options
from restorekit.batch.restore import restore as restore_files
from restorekit.contract import Batch
from restorekit.errors import NotAvailable, RestorekitError, UsageError
from restorekit.nn.features import SqueezeNet
from restorekit.registry import registry
from restorekit.specs import Step
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
    cv2.imwrite(str(folder / "other-stripes.png"), np.rot90(stripes))
    np.savez(folder / "other-net.npz", **{name: -tensor.numpy() for name, tensor in state.items()})
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
        options = {"steps": 30, "learning_rate": 0.05}
        strong, weak = (
            painted(picture, style, network, Settings(weight=weight, **options), lambda done: None)  # pyright: ignore
            for weight in (1000.0, 0.01)
        )
    assert strong.shape == picture.shape
    assert 0 <= strong.min() <= strong.max() <= 1
    assert distances(strong)[0] < 0.8 * distances(picture)[0]
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
        ("style-transfer", "computes with weights that you bring; write style-transfer,features=PATH,style=PATH"),
        ("style-transfer,features=FILES/net.npz", "computes with a file that you bring"),
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


def test_a_run_records_its_files_and_does_again_what_they_changed(tmp_path, files):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((24, 30, 3), 90, np.uint8))
    for name in ("net.npz", "stripes.png"):
        (tmp_path / name).write_bytes((files / name).read_bytes())
    step = Step.parse(f"style-transfer:{tmp_path}/stripes.png,features={tmp_path}/net.npz,steps=2")

    def again() -> Record:
        options = Options(steps=(step,), report=False)
        return restore_files([tmp_path / "a.png"], tmp_path / "out", options, registry=registry()).records[0]

    first = again()
    assert first.status == "done"
    assert list(first.weights_sha256) == [str(step)]
    assert again().status == "skipped"
    seen = {first.weights_sha256[str(step)]}
    for name in ("stripes.png", "net.npz"):
        (tmp_path / name).write_bytes((files / f"other-{name}").read_bytes())
        changed = again()
        assert changed.status == "done"
        assert changed.weights_sha256[str(step)] not in seen
        seen.add(changed.weights_sha256[str(step)])


def test_it_keeps_the_contract_with_its_files(files):
    bound = checks_for(f"style-transfer,features={files}/net.safetensors,style={files}/stripes.png")
    assert len(bound) > 15
    for check in bound:
        if check.check.name not in ELSEWHERE:
            check()
