"""Community networks through spandrel: what its own inference makes of a picture, restorekit makes of a folder."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from restorekit import api
from restorekit.batch.restore import Options
from restorekit.contract import Batch
from restorekit.errors import NotAvailable, UsageError
from restorekit.registry import registry
from restorekit.testing import checks_for
from tests.community import let_import, written

if importlib.util.find_spec("spandrel") is None:
    pytest.skip("spandrel is not installed: pip install 'restorekit[spandrel]'", allow_module_level=True)


#: Networks of several families, small: (architecture, class, settings).
NETWORKS = {
    "compact": ("Compact", "Compact", {"num_feat": 8, "num_conv": 2, "upscale": 2}),
    "esrgan-folded": ("ESRGAN", "ESRGAN", {"in_nc": 12, "num_filters": 8, "num_blocks": 2, "shuffle_factor": 2}),
    "swinir": (
        "SwinIR",
        "SwinIR",
        {"embed_dim": 8, "depths": [2], "num_heads": [2], "window_size": 8, "upscale": 2, "upsampler": "pixelshuffle"},
    ),
    "drct": ("DRCT", "DRCT", {"embed_dim": 16, "depths": (2,), "num_heads": (2,), "upsampler": ""}),
    "nafnet": ("NAFNet", "NAFNet", {"width": 8, "enc_blk_nums": [1], "dec_blk_nums": [1]}),
    "cugan": ("RealCUGAN", "UpCunet2x_fast", {}),
    "scunet": ("SCUNet", "SCUNet", {"config": [2] * 7, "dim": 64}),
    "rcan": ("RCAN", "RCAN", {"n_resgroups": 1, "n_resblocks": 1, "n_feats": 16, "scale": 2}),
}


@pytest.fixture(scope="module")
def spandrel():
    """The library itself."""
    let_import()
    return importlib.import_module("spandrel")


@pytest.fixture(scope="module")
def nets(spandrel, tmp_path_factory):
    """Make the file of a network with random weights, by name; ``.pth`` files as their trainers write them."""
    folder = tmp_path_factory.mktemp("networks")

    def make(name: str, suffix: str = ".safetensors", seed: int = 0) -> Path:
        architecture, class_name, settings = NETWORKS[name]
        torch.manual_seed(seed)
        module = importlib.import_module(f"spandrel.architectures.{architecture}")
        state = {key: value.clone() for key, value in getattr(module, class_name)(**settings).state_dict().items()}
        path = folder / f"{name}-{seed}{suffix}"
        if suffix == ".safetensors":
            save_file(state, path)
        else:
            torch.save({"params_ema": state, "iteration": 1}, path)
        return path

    return make


@pytest.mark.parametrize("name", NETWORKS)
def test_a_picture_becomes_what_spandrel_makes_of_it(name, spandrel, nets, photo):
    path, picture = nets(name), photo[:45, :61]
    own = spandrel.ModelLoader().load_from_file(path).eval()
    expected = own(torch.from_numpy(picture).permute(2, 0, 1)[None] / 255)[0].permute(1, 2, 0).mul(255).round()
    made = api.restore(picture, f"spandrel,weights={path}", precision="fp32")
    assert made.shape == (45 * own.scale, 61 * own.scale, 3)
    assert np.abs(made.astype(int) - expected.numpy()).max() <= 1
    assert made.std() > 0


def test_a_folder_is_restored_resumed_and_restored_anew_with_other_weights(
    cli, nets, photo, tmp_path, beside_torch, monkeypatch
):
    cv2.imwrite(str(tmp_path / "grey.png"), photo[:40, :50, 0])
    cv2.imwrite(str(tmp_path / "alpha.png"), np.dstack([photo[:40, :50], np.full((40, 50), 128, np.uint8)]))
    weights = tmp_path / "weights.pth"
    weights.write_bytes(nets("compact", ".pth").read_bytes())
    pictures, step = ("grey.png", "alpha.png"), "spandrel,weights=weights.pth"
    assert json.loads(cli("restore", *pictures, "-o", "out", "--with", step, "--json").stdout)["done"] == 2
    made = [written(tmp_path / "out" / name) for name in pictures]
    assert [picture.shape for picture in made] == [(80, 100), (80, 100, 4)]
    result = json.loads((tmp_path / "out/manifest.jsonl").read_text().splitlines()[-1])
    assert result["weights_sha256"] == {step: hashlib.sha256(weights.read_bytes()).hexdigest()}
    assert result["steps"][0]["step"] == step

    monkeypatch.chdir(tmp_path)
    options = Options(steps=api.parse_steps(step))
    assert api.restore_folder(pictures, "out", options).skipped == 2
    weights.write_bytes(nets("compact", ".pth", seed=1).read_bytes())
    assert api.restore_folder(pictures, "out", options).done == 2
    assert (written(tmp_path / "out/grey.png") != made[0]).any()


def test_a_pickle_and_a_safetensors_file_of_one_network_restore_the_same(spandrel, nets, photo):
    made = [api.restore(photo[:32, :32], f"spandrel,weights={nets('compact', s)}") for s in (".pth", ".safetensors")]
    np.testing.assert_array_equal(*made)


def test_tiles_make_what_the_whole_picture_makes(spandrel, nets, photo):
    step = f"spandrel,weights={nets('esrgan-folded')}"
    whole, tiled = (api.restore(photo, step, precision="fp32", tile=tile) for tile in (None, 96))
    assert np.abs(whole.astype(int) - tiled).max() <= 1


def test_a_network_that_spandrel_would_not_tile_is_tiled_on_demand(spandrel, nets):
    path = nets("swinir")
    advised, forced = (registry().load(f"spandrel,weights={path}{more}").generator for more in ("", ",halo=16"))
    assert advised.geometry.whole_image  # pyright: ignore[reportAttributeAccessIssue]
    assert not forced.geometry.whole_image  # pyright: ignore[reportAttributeAccessIssue]
    assert forced.geometry.halo == 16  # pyright: ignore[reportAttributeAccessIssue]


def test_views_are_averaged_as_with_other_weights(spandrel, nets, photo):
    step = f"spandrel,weights={nets('compact')},ensemble=2"
    plain = registry().load(f"spandrel,weights={nets('compact')}").generator
    images = torch.from_numpy(photo[:24, :32]).permute(2, 0, 1)[None] / 255
    both = [plain.restore(Batch(images)), plain.restore(Batch(images.flip(3))).flip(3)]  # pyright: ignore
    expected = torch.stack(both).mean(dim=0)[0].permute(1, 2, 0).mul(255).numpy()
    made = api.restore(photo[:24, :32], step, precision="fp32")
    assert np.abs(made - expected).max() < 1


def test_a_grey_network_restores_each_channel_of_a_colour_picture(spandrel, tmp_path, photo):
    module = importlib.import_module("spandrel.architectures.DnCNN")
    torch.manual_seed(0)
    network = module.DnCNN(in_nc=1, out_nc=1, nc=8, nb=4)
    save_file({key: value.clone() for key, value in network.state_dict().items()}, tmp_path / "grey.safetensors")
    step = f"spandrel,weights={tmp_path / 'grey.safetensors'}"
    picture = np.ascontiguousarray(photo[:32, :32])
    made = api.restore(picture, step, precision="fp32")
    for channel in range(3):
        alone = api.restore(np.ascontiguousarray(picture[..., channel]), step, precision="fp32")
        assert np.abs(made[..., channel].astype(int) - alone).max() <= 1


class Drawing(nn.Module):
    """Fills holes with noise; its parameter has five axes, and it cannot read every memory layout."""

    def __init__(self):
        super().__init__()
        self.drawing_amount = nn.Parameter(torch.ones(1, 1, 1, 1, 1))
        self.convolution = nn.Conv2d(3, 3, 1)

    def forward(self, image, mask):
        noise = torch.rand_like(image) * self.drawing_amount[0]
        image *= 1 - mask
        return image + noise * mask + 0 * self.convolution(image).view(image.shape[0], -1).sum()


@pytest.fixture
def drawing(spandrel, tmp_path):
    """The file of a network that fills holes, of an architecture that spandrel is told of."""

    class Architecture(spandrel.Architecture):
        def __init__(self):
            super().__init__(id="Drawing", detect=lambda state: "drawing_amount" in state)

        def load(self, state_dict):
            return spandrel.MaskedImageModelDescriptor(
                Drawing(), state_dict, self, "Inpainting", [], True, True, 3, 3, spandrel.SizeRequirements(16, 8)
            )

    found = spandrel.MAIN_REGISTRY
    kept = found._architectures, found._ordered, found._by_id
    found.add(spandrel.ArchSupport.from_architecture(Architecture()))
    save_file(Drawing().state_dict(), tmp_path / "drawing.safetensors")
    yield tmp_path / "drawing.safetensors"
    found._architectures, found._ordered, found._by_id = kept


def test_an_inpainting_network_fills_holes_and_nothing_else_and_draws_by_seed(drawing, photo):
    picture, mask = np.ascontiguousarray(photo[:45, :61]), np.zeros((45, 61), bool)
    mask[10:20, 30:50] = True
    step = f"spandrel-inpaint,weights={drawing}"
    made, again, other = (api.restore(picture, step, mask=mask, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(made[~mask], picture[~mask])
    np.testing.assert_array_equal(made, again)
    assert (made[mask] != picture[mask]).any()
    assert (made[mask] != other[mask]).any()


def test_the_other_generator_is_named_where_a_network_is_of_the_other_kind(drawing, nets):
    with pytest.raises(UsageError, match="fills holes; write spandrel-inpaint,weights="):
        registry().load(f"spandrel,weights={drawing}")
    with pytest.raises(UsageError, match="fills no holes; write spandrel,weights="):
        registry().load(f"spandrel-inpaint,weights={nets('compact')}")


@pytest.mark.slow  # fifty million parameters
def test_lama_fills_holes_as_spandrel_does(spandrel, tmp_path, photo):
    torch.manual_seed(0)
    network = importlib.import_module("spandrel.architectures.LaMa").LaMa(in_nc=4)
    path = tmp_path / "lama.safetensors"
    save_file({key: value.clone() for key, value in network.state_dict().items()}, path)
    picture, mask = np.ascontiguousarray(photo[:45, :61]), np.zeros((45, 61), bool)
    mask[10:20, 30:50] = True
    images = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        own = spandrel.ModelLoader().load_from_file(path).eval()(images, torch.from_numpy(mask)[None, None].float())
    made = api.restore(picture, f"spandrel-inpaint,weights={path}", mask=mask, precision="fp32")
    expected = own[0].permute(1, 2, 0).mul(255).round().numpy()
    assert np.abs(made.astype(int) - expected)[mask].max() <= 1
    np.testing.assert_array_equal(made[~mask], picture[~mask])


def test_it_keeps_the_contract(nets, beside_torch):
    checks = {bound.check.name: bound for bound in checks_for(f"spandrel,weights={nets('compact')}")}
    assert {"shape", "tiles", "determinism", "new-process", "no-pickle"} <= set(checks)
    for bound in checks.values():
        bound()


class Evil:
    def __reduce__(self):
        return (os.system, ("touch was-here",))


def test_files_that_cannot_be_used_are_refused_in_one_line_and_run_nothing(nets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"params": {"weight": torch.zeros(3)}, "hook": Evil()}, "evil.pth")
    torch.jit.script(nn.Conv2d(3, 3, 3)).save("program.pt")  # pyright: ignore[reportFunctionMemberAccess]
    save_file({"some.weight": torch.zeros(3, 3)}, "strange.safetensors")
    Path("empty.pth").write_bytes(b"")
    whole = nets("compact").read_bytes()
    Path("torn.safetensors").write_bytes(whole[: len(whole) // 2])
    state = {"body.0.weight": torch.zeros(8, 3, 3, 3), "body.1.weight": torch.zeros(8)}
    save_file(state, "partial.safetensors")
    for name, problem in {
        "evil.pth": "asks for code .* and was not loaded",
        "program.pt": "is damaged, or no file of tensors",
        "strange.safetensors": "holds no network that spandrel .* knows",
        "empty.pth": "is empty",
        "torn.safetensors": "is cut off",
        "partial.safetensors": "looks like a network of architecture .*Compact, and is none",
        "missing.pth": "is not there",
    }.items():
        with pytest.raises(NotAvailable, match=problem) as caught:
            registry().load(f"spandrel,weights={name}")
        assert str(caught.value).startswith(name)
        assert "\n" not in str(caught.value)
    assert not Path("was-here").exists()


def test_what_is_missing_is_told_with_the_way_out(nets, monkeypatch):
    path = nets("compact")
    with pytest.raises(UsageError, match="write spandrel,weights=PATH"):
        registry().load("spandrel")
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(NotAvailable, match=r"needs spandrel, .*pip install 'restorekit\[spandrel\]'"):
        registry().load(f"spandrel,weights={path}")

    def broken(name):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(importlib, "import_module", broken)
    from restorekit_spandrel.loading import described

    with pytest.raises(NotAvailable, match=r"torchvision does not fit torch .*pip install torchvision torch=="):
        described(str(path))
