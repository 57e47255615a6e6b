"""Diffusion pipelines from a folder: holes and pictures as the library itself makes them, by seed, and nothing else."""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
import string
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from restorekit import api
from restorekit.contract import Batch
from restorekit.errors import NotAvailable, UsageError
from restorekit.registry import registry
from restorekit.testing import checks_for
from restorekit.weights.checksums import content_sha256
from tests.community import let_import, written

for library in ("diffusers", "transformers"):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: pip install 'restorekit[diffusers]'", allow_module_level=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A Stable Diffusion pipeline with small random networks, and a tokenizer that spells."""
    let_import()
    diffusers, transformers = importlib.import_module("diffusers"), importlib.import_module("transformers")
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(16, 32),
        layers_per_block=1,
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=8,
        norm_num_groups=8,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=[8, 16],
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=4,
        norm_num_groups=8,
    )
    text = transformers.CLIPTextConfig(
        hidden_size=32,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=2,
        vocab_size=200,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    words = tmp_path_factory.mktemp("tokenizer")
    letters = string.ascii_lowercase + string.digits + ",."
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    (words / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (words / "merges.txt").write_text("#version: 0.2\n")
    pipeline = diffusers.StableDiffusionPipeline(
        unet=unet,
        vae=vae,
        scheduler=diffusers.EulerAncestralDiscreteScheduler(beta_start=0.00085, beta_end=0.012, steps_offset=1),
        text_encoder=transformers.CLIPTextModel(text),
        tokenizer=transformers.CLIPTokenizer(str(words / "vocab.json"), str(words / "merges.txt"), model_max_length=77),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    path = tmp_path_factory.mktemp("pipeline")
    pipeline.save_pretrained(path)
    return path


def test_holes_are_filled_as_the_library_fills_them(folder, photo):
    picture, mask = np.ascontiguousarray(photo[:32, :32]), np.zeros((32, 32), bool)
    mask[8:24, 10:20] = True
    loaded = registry().load(f"diffusers,pipeline={folder},prompt=a wall, old,steps=3,redraw=0.7")
    assert loaded.config.prompt == "a wall, old"  # pyright: ignore[reportAttributeAccessIssue]
    images, masks = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255, torch.from_numpy(mask)[None, None].float()
    with torch.no_grad():
        made = loaded.generator.restore(Batch(images, masks, seeds=torch.tensor([5])))  # pyright: ignore
    library = importlib.import_module("diffusers")
    own = library.StableDiffusionInpaintPipeline.from_pretrained(folder, safety_checker=None)
    expected = own(
        prompt="a wall, old",
        image=images,
        mask_image=masks,
        height=32,
        width=32,
        strength=0.7,
        num_inference_steps=3,
        generator=torch.Generator().manual_seed(5),
        output_type="pt",
    ).images
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


def test_a_picture_keeps_what_is_no_hole_and_its_seed_decides(folder, photo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture, mask = np.ascontiguousarray(photo[:90, :120]), np.zeros((90, 120), bool)
    mask[40:50, 60:75] = True
    step = f"diffusers,pipeline={folder},steps=2"
    made, again, other = (api.restore(picture, step, mask=mask, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(made[~mask], picture[~mask])
    np.testing.assert_array_equal(made, again)
    assert (made[mask] != other[mask]).any()


def test_pictures_are_made_from_the_command_line(cli, folder, tmp_path, beside_torch):
    step = f"diffusers,pipeline={folder},prompt=a house,steps=2"
    told = json.loads(cli("generate", step, "-n", 2, "-o", "many", "--json").stdout)
    assert told["weights_sha256"] == content_sha256(folder)
    many = [written(tmp_path / "many" / f"0000{number}.png") for number in range(2)]
    assert many[0].shape == (32, 32, 3)
    assert (many[0] != many[1]).any()
    generator = registry().load(step).generator
    with torch.no_grad():
        latents = generator.latents(torch.tensor([1, 2]))  # pyright: ignore[reportAttributeAccessIssue]
        both = generator.decode(latents)  # pyright: ignore[reportAttributeAccessIssue]
        alone = generator.decode(latents[1:])  # pyright: ignore[reportAttributeAccessIssue]
    torch.testing.assert_close(both[1:], alone)


@pytest.mark.slow  # denoises some three hundred pictures
def test_it_keeps_the_contract(folder, beside_torch):
    for bound in checks_for(f"diffusers,pipeline={folder},steps=1"):
        bound()


def test_folders_that_cannot_be_used_are_refused_in_one_line_and_run_nothing(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def changed(name: str, index: dict[str, object]) -> Path:
        shutil.copytree(folder, name)
        told = json.loads(Path(name, "model_index.json").read_text())
        Path(name, "model_index.json").write_text(json.dumps({**told, **index}))
        return Path(name)

    Path("empty").mkdir()
    changed("torn", {}).joinpath("model_index.json").write_text("{")
    changed("alien", {"unet": ["os", "system"]})
    (changed("program", {}) / "unet/custom.py").write_text("open('was-here', 'w')")
    changed("custom", {"_class_name": ["custom", "Pipeline"]})
    pickled = changed("pickled", {}) / "unet"
    (pickled / "diffusion_pytorch_model.safetensors").rename(pickled / "diffusion_pytorch_model.bin")
    changed("other", {"_class_name": "NoSuchPipeline"})
    for name, problem in {
        "empty": r"is no pipeline folder \(model_index.json: No such file",
        "torn": "is damaged",
        "alien": "wants code of 'os', and was not loaded",
        "program": "is a program in a pipeline's folder",
        "custom": "names no class of diffusers",
        "pickled": "cannot be loaded as a pipeline",
        "other": "cannot be loaded as a pipeline",
        "nowhere": "is not there",
    }.items():
        with pytest.raises(NotAvailable, match=problem) as caught:
            registry().load(f"diffusers,pipeline={name}")
        assert "\n" not in str(caught.value)
    assert not Path("was-here").exists()


def test_settings_are_validated_and_what_is_missing_is_told(folder, monkeypatch):
    with pytest.raises(UsageError, match="steps=0 is not allowed"):
        registry().load(f"diffusers,pipeline={folder},steps=0")
    with pytest.raises(UsageError, match="side=30 is not allowed"):
        registry().load(f"diffusers,pipeline={folder},side=30")
    with pytest.raises(UsageError, match="write diffusers,pipeline=PATH"):
        registry().load("diffusers")
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(NotAvailable, match=r"needs diffusers, .*pip install 'restorekit\[diffusers\]'"):
        registry().load(f"diffusers,pipeline={folder}")
