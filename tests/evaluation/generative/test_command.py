"""``restorekit benchmark`` of generators that make pictures."""

import json
import sys
from dataclasses import dataclass

import pytest
import torch
from safetensors.torch import save_file

from restorekit import cli
from restorekit.nn.features import SqueezeNet


@dataclass
class Done:
    """What a command said."""

    stdout: str
    stderr: str


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run the command line within this process: torch is loaded already."""

    def run(*arguments, check=0):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["restorekit", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = Done(*capsys.readouterr())
        assert (ended.value.code or 0) == check, f"exit {ended.value.code}\n{said.stdout}\n{said.stderr}"
        return said

    return run


@pytest.fixture(scope="session")
def squeezenet(tmp_path_factory):
    """SqueezeNet's file, with random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("networks") / "squeezenet.safetensors"
    save_file(SqueezeNet().state_dict(), path)
    return path


def test_one_table_holds_what_each_generator_can_be_asked(command, vae_run, gan_run, npz, tmp_path):
    asked = ("--run", vae_run, "--run", gan_run, "--data", npz, "--metric", "likelihood,probe", "-o", "sheets")
    done = command("benchmark", *asked, "--save", "numbers.json")
    head, vae, gan = done.stdout.splitlines()[:3]
    assert head.split() == ["generator", "elbo", "iwae100", "probe_accuracy"]
    assert vae.count("±") == 3
    assert gan.count("±") == 1
    assert "likelihood_unit nats a picture" in done.stdout
    names = sorted(path.name for path in (tmp_path / "sheets").iterdir())
    assert names == ["1-likelihood.json", "1-samples.png", "2-samples.png"]
    saved = json.loads((tmp_path / "numbers.json").read_text())
    assert [row["generator"] for row in saved["rows"]] == [str(vae_run), str(gan_run)]
    assert saved["rows"][0]["elbo"] < saved["rows"][0]["iwae100"]
    refused = command("benchmark", *asked, check=2)
    assert "--overwrite" in refused.stderr


def test_samples_are_compared_on_the_network_that_the_metric_names(command, vae, npz, squeezenet):
    asked = ("benchmark", vae, "--data", npz, "--metric", "frechet-squeezenet", "-n", 8, "--test-count", 10)
    asked += ("--features", squeezenet, "--json")
    first, second = (command(*asked).stdout for _ in range(2))
    assert first == second
    told = json.loads(first)
    assert told["rows"][0]["frechet-squeezenet"] > 0
    facts = told["protocol"]
    expected = {"samples": 8, "seed": 0, "truncation": 1.0, "latents": "mixture", "reference_data": "strokes.npz"}
    expected |= {"reference_split": "test", "reference_pictures": 10, "squeezenet_network": "squeezenet-1.1"}
    assert expected.items() <= facts.items()
    assert '"fid"' not in first
    assert len(told["rows"][0]["weights_sha256"]) == 64
    prior = json.loads(command(*asked, "--latents", "prior").stdout)
    assert prior["rows"][0]["frechet-squeezenet"] != told["rows"][0]["frechet-squeezenet"]


def test_what_was_measured_of_samples_goes_into_the_header(command, vae, npz, squeezenet, tmp_path):
    file = tmp_path / "vae.safetensors"
    file.write_bytes(vae.read_bytes())
    measure = ("--data", npz, "--metric", "frechet-squeezenet", "-n", 8, "--test-count", 10, "--features", squeezenet)
    told = json.loads(command("benchmark", file, *measure, "--save", "b.json", "--json").stdout)
    card = json.loads(command("weights", "record", file, "b.json", "--json").stdout)
    metric = next(metric for metric in card["metrics"] if metric["name"] == "frechet-squeezenet")
    assert metric["value"] == told["rows"][0]["frechet-squeezenet"]
    assert metric["data"] == "strokes.npz"
    assert {"samples 8", "reference_split test", "reference_pictures 10"} <= set(metric["protocol"].split("; "))


def test_numbers_of_another_protocol_are_compared_by_force_alone(command, vae, npz):
    asked = ("benchmark", vae, "--data", npz, "--metric", "likelihood")
    command(*asked, "--save", "all.json")
    same = command(*asked, "--compare", "all.json").stdout
    assert "+0" in same.splitlines()[-1]
    refused = command(*asked, "--test-count", 50, "--compare", "all.json", check=2)
    assert "likelihood_pictures 50 here, 120 there" in refused.stderr
    forced = command(*asked, "--test-count", 50, "--compare", "all.json", "--force")
    assert "compared by force: likelihood_pictures 50 here, 120 there" in forced.stderr
    assert "iwae100" in forced.stdout.splitlines()[-1]


def test_markdown_holds_the_numbers_and_their_protocol(cli, vae, npz):
    lines = cli("benchmark", vae, "--data", npz, "--metric", "probe", "--markdown").stdout.splitlines()
    assert lines[:2] == ["| generator | probe_accuracy |", "| --- | ---: |"]
    assert "probe_test_pictures 120" in lines[-1]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("WEIGHTS", "--metric", "psnr"), 2, "'psnr' measures no generator of pictures"),
        (("WEIGHTS", "--metric", "memorisation", "-n", 1, "--features", "NETWORK"), 2, "2 or more"),
        (("WEIGHTS", "--metric", "likelihood", "--tile", 64), 2, "--tile: is of restorers alone"),
        (("WEIGHTS", "--metric", "likelihood", "-o", "a.html"), 2, "name a folder"),
        (("WEIGHTS", "--metric", "likelihood", "--split", "third"), 2, "choose train or test"),
        (("missing.safetensors",), 3, "missing.safetensors: cannot be read"),
        (("--run", "nowhere"), 3, "nowhere: holds no training run"),
        (("bicubic", "-n", 5), 2, "-n: is of generators that make pictures"),
        (("WEIGHTS", "bicubic", "--metric", "likelihood"), 1, "bicubic: does not make pictures of its own"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(command, vae, npz, squeezenet, arguments, status, said):
    files = {"WEIGHTS": vae, "NETWORK": squeezenet}
    done = command("benchmark", *(files.get(a, a) for a in arguments), "--data", npz, check=status)
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_the_inception_file_the_way_to_get_it_is_told(command, vae, npz, tmp_path, monkeypatch):
    for name in ("RESTOREKIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("RESTOREKIT_INCEPTION", raising=False)
    done = command("benchmark", vae, "--data", npz, check=3)
    assert "restorekit weights fetch inception" in done.stderr
