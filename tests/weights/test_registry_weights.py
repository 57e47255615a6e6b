"""A step with weights: by variant, by default, by file."""

import dataclasses
import shutil

import pytest
import torch

from restorekit.contract import Batch
from restorekit.errors import NotAvailable, UsageError
from restorekit.specs import Step, WeightsSource
from restorekit.weights import Header, read, save, state_of, write
from restorekit.weights.files import file_sha256

from .conftest import make_tiny, registry_of, save_tiny
from .tiny import BUNDLED, tiny_spec
from .tiny_network import TinyConfig


def equal(generator, expected) -> bool:
    own, other = state_of(generator), state_of(expected)
    return set(own) == set(other) and all(torch.equal(own[name], other[name]) for name in own)


@pytest.mark.parametrize(("step", "seed"), [("tiny", 0), ("tiny:plain", 0), ("tiny:other", 1)])
def test_the_variant_asked_for_is_loaded_and_the_first_is_the_default(site, registry, step, seed):
    loaded = registry.load(step)
    assert equal(loaded.generator, make_tiny(seed))
    file = "other.safetensors" if seed else "plain.safetensors"
    assert loaded.weights_sha256 == file_sha256(site / "tiny_weights" / file)
    assert not loaded.generator.training
    assert all(p.device.type == "cpu" for p in loaded.generator.parameters())


def test_a_file_names_its_generator_and_brings_its_configuration(saved, registry):
    save_tiny(saved, seed=3, features=7)
    loaded = registry.load(str(saved))
    assert loaded.config == TinyConfig(features=7)
    assert loaded.spec.name == "tiny"
    assert loaded.weights_sha256 == file_sha256(saved)
    assert equal(loaded.generator, make_tiny(3, features=7))
    assert registry.spec_of(Step(str(saved))).name == "tiny"


def test_a_file_of_a_generator_that_declares_no_variants_is_loaded_too(saved):
    assert registry_of(tiny_spec(weights=())).load(str(saved)).weights_sha256


def test_settings_may_be_chosen_beside_weights_and_the_network_may_not(saved, registry):
    loaded = registry.load(f"{saved},amount=0.5")
    assert loaded.settings == {"amount": 0.5}
    with pytest.raises(UsageError, match=r"no setting 'features'; it has amount"):
        registry.load(f"{saved},features=5")
    with pytest.raises(UsageError, match=r"amount=much is not allowed"):
        registry.load(f"{saved},amount=much")


@pytest.mark.usefixtures("site")
def test_an_unknown_variant_suggests_the_nearest(registry):
    with pytest.raises(UsageError, match=r"no weights 'plian'; did you mean plain\?"):
        registry.load("tiny:plian")


def test_a_bundled_file_that_is_not_installed_is_said(registry):
    with pytest.raises(NotAvailable, match=r"tiny:plain: its file tiny_weights:plain\.safetensors is not installed"):
        registry.load("tiny:plain")


def test_weights_that_were_not_fetched_name_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path))
    remote = WeightsSource(name="remote", url="https://example.org/w.safetensors", sha256="0" * 64)
    with pytest.raises(NotAvailable, match="`restorekit weights fetch tiny:remote`"):
        registry_of(tiny_spec(weights=(remote,))).load("tiny")


def test_a_file_that_is_not_the_promised_one_is_not_used(site):
    promised = dataclasses.replace(BUNDLED, sha256="0" * 64)
    with pytest.raises(NotAvailable, match="not the file that the plugin promises"):
        registry_of(tiny_spec(weights=(promised,))).load("tiny")
    right = dataclasses.replace(BUNDLED, sha256=file_sha256(site / "tiny_weights/plain.safetensors").upper())
    assert registry_of(tiny_spec(weights=(right,))).load("tiny").weights_sha256


def test_a_file_for_a_generator_that_is_not_installed_says_which(saved):
    with pytest.raises(NotAvailable, match="is for generator tiny, which is not installed"):
        registry_of(tiny_spec(name="small")).load(str(saved))


def test_a_variant_that_holds_another_generators_weights_is_refused(site):
    other = tiny_spec(name="small", weights=(BUNDLED,))
    with pytest.raises(NotAvailable, match="is for generator tiny, not for small"):
        registry_of(other, tiny_spec()).load("small")


def rewritten(path, **changes):
    header, tensors = read(path)
    write(path, dataclasses.replace(header, **changes), tensors)
    return str(path)


def test_a_configuration_of_a_newer_plugin_is_refused_rather_than_half_understood(saved, registry):
    step = rewritten(saved, config={"features": 4, "attention": True})
    with pytest.raises(NotAvailable, match=r"sets 'attention', which the installed tiny does not have; update"):
        registry.load(step)


def test_a_configuration_value_that_is_not_allowed_is_named(saved, registry):
    step = rewritten(saved, config={"features": "many"})
    with pytest.raises(NotAvailable, match="sets features to what the installed tiny does not take"):
        registry.load(step)


def test_a_configuration_that_is_not_that_of_the_tensors_is_refused(saved, registry):
    with pytest.raises(NotAvailable, match=r"'network\.first\.bias' is \[4\] instead of \[5\]"):
        registry.load(rewritten(saved, config={"features": 5}))


def test_a_small_file_that_claims_a_giant_network_costs_nothing(saved, registry):
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(NotAvailable, match=r"instead of \[1000000000\]"):
        registry.load(rewritten(saved, config={"features": 1_000_000_000}))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes; the network has 220 GB


def test_what_no_tensor_tells_comes_from_the_header(tmp_path, registry):
    config = TinyConfig(sharpen=True)
    save(make_tiny(sharpen=True), tmp_path / "w.safetensors", spec=tiny_spec(), config=config)
    shutil.move(tmp_path / "w.safetensors", tmp_path / "renamed.safetensors")
    generator = registry.load(str(tmp_path / "renamed.safetensors")).generator
    image = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(generator.restore(Batch(image)), make_tiny(sharpen=True).restore(Batch(image)))


def test_a_generator_to_be_trained_is_built_without_weights(registry):
    built = registry.build("tiny", {"features": "9", "sharpen": True})
    assert built.config == TinyConfig(features=9, sharpen=True)
    assert built.weights_sha256 == ""
    with pytest.raises(UsageError, match="no setting 'amount'"):
        registry.build("tiny", {"amount": 1})


def test_headers_of_unknown_generators_still_describe_themselves(tmp_path):
    from restorekit.weights import read_header

    write(tmp_path / "w.safetensors", Header(generator="unheard-of", config={}), {"network.a": torch.ones(1)})
    assert read_header(tmp_path / "w.safetensors").generator == "unheard-of"
