"""``restorekit weights`` as a user meets it: another process, a plugin found by its entry point."""

import json
import os
import pickle
import subprocess
import sys

import pytest
import torch

from restorekit.weights.files import file_sha256
from tests.weights.conftest import make_tiny, save_tiny, saved, server, site  # noqa: F401  # pyright: ignore
from tests.weights.tiny_network import to_foreign

pytestmark = pytest.mark.usefixtures("site")


def test_every_variant_is_listed_with_its_state(cli, site):  # noqa: F811
    (site / "tiny_weights/other.safetensors").unlink()
    remote = {"TINY_URL": "http://127.0.0.1:9/w.safetensors", "TINY_SHA256": "0" * 64}
    rows = {row["variant"]: row for row in json.loads(cli("weights", "list", "--json", env=remote).stdout)}
    own = {name: row for name, row in rows.items() if row["generator"] == "tiny"}
    assert {name: row["status"] for name, row in own.items()} == {
        "plain": "bundled",
        "other": "missing",
        "remote": "missing",
    }
    assert set(rows["plain"]) == {"generator", "variant", "summary", "status", "path", "url", "bytes"}
    assert rows["plain"]["bytes"] == (site / "tiny_weights/plain.safetensors").stat().st_size
    assert "tiny:plain" in cli("weights", "list").stdout


def test_a_card_says_what_the_weights_are_and_where_they_come_from(cli, site):  # noqa: F811
    card = json.loads(cli("weights", "show", "tiny:plain", "--json").stdout)
    assert card["sha256"] == file_sha256(site / "tiny_weights/plain.safetensors")
    assert card["parameters"] == 4 * 27 + 4 + 4 * 4 + 3 * 36 + 3
    assert card["dtypes"] == {"F32": card["parameters"], "I64": 1}
    shown = cli("weights", "show", "tiny").stdout
    for fact in ("features 4", "CID22", "CC BY-SA 4.0", "PSNR 31.5 on CID22 val (RGB, uint8)", "CC-BY-SA-4.0"):
        assert fact in shown


def test_a_card_is_shown_of_a_file_whose_generator_is_not_installed(cli, saved):  # noqa: F811
    environment = {"RESTOREKIT_DISABLE_PLUGINS": "tiny"}
    assert json.loads(cli("weights", "show", saved, "--json", env=environment).stdout)["generator"] == "tiny"


def test_a_card_cannot_drive_the_terminal(cli, tmp_path):
    save_tiny(tmp_path / "w.safetensors", licence="free\x1b[2J\n\x07")
    shown = cli("weights", "show", "w.safetensors").stdout
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_a_generator_without_weights_says_so(cli):
    assert "bicubic: has no weights" in cli("weights", "show", "bicubic", check=2).stderr


def test_sound_files_verify_and_one_bad_file_does_not_hide_the_others(cli, saved, tmp_path):  # noqa: F811
    damaged = bytearray(saved.read_bytes())
    damaged[-3] ^= 1
    (tmp_path / "damaged.safetensors").write_bytes(damaged)
    (tmp_path / "x.pth").write_bytes(b"PK")
    done = cli("weights", "verify", "damaged.safetensors", "x.pth", "gone.safetensors", saved, "--json", check=3)
    rows = json.loads(done.stdout)
    assert [row["ok"] for row in rows] == [False, False, False, True]
    assert "is damaged" in rows[0]["problem"]
    assert rows[3]["sha256"] == file_sha256(saved)
    assert "Traceback" not in done.stderr


def test_foreign_weights_are_converted_and_restore_pictures(cli, tmp_path, samples):
    torch.save({"params": to_foreign(make_tiny())}, tmp_path / "theirs.pth")
    done = cli("weights", "convert", "theirs.pth", "ours.safetensors", "--json")
    assert json.loads(done.stdout)["generator"] == "tiny"
    assert "--with ours.safetensors" in done.stderr
    cli("restore", samples / "small.png", "-o", "out", "--with", "ours.safetensors", "--no-report")
    assert (tmp_path / "out/small.png").exists()
    assert "use --overwrite" in cli("weights", "convert", "theirs.pth", "ours.safetensors", check=2).stderr


def test_a_hostile_pickle_is_one_line(cli, tmp_path):
    class Command:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Command(), protocol=2))
    done = cli("weights", "convert", "evil.pth", "ours.safetensors", check=3)
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "ran").exists()


def test_weights_are_fetched_and_then_used(cli, tmp_path, samples, server):  # noqa: F811
    web, address, _ = server
    save_tiny(web / "w.safetensors", seed=4)
    remote = {"TINY_URL": f"{address}/w.safetensors", "TINY_SHA256": file_sha256(web / "w.safetensors")}
    restore = ("restore", samples / "small.png", "-o", "out", "--with", "tiny:remote", "--no-report")
    assert "restorekit weights fetch tiny:remote" in cli(*restore, env=remote, check=3).stderr
    fetched = json.loads(cli("weights", "fetch", "tiny:remote", "--json", env=remote).stdout)
    assert fetched["path"].startswith(str(tmp_path / "cache"))
    (web / "w.safetensors").unlink()
    cli(*restore, env=remote)
    assert "was here already" in cli("weights", "fetch", "tiny:remote", env=remote).stderr


def test_no_network_is_one_line_with_a_way_out(cli):
    remote = {"TINY_URL": "http://127.0.0.1:9/w.safetensors", "TINY_SHA256": "0" * 64}
    done = cli("weights", "fetch", "tiny:remote", env=remote, check=3)
    assert done.stderr.count("\n") == 1
    assert "check the connection, or put the file" in done.stderr


def test_listing_weights_does_not_load_torch(cli):
    code = (
        "import sys; sys.argv[1:] = ['weights', 'list']\n"
        "from restorekit.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.endswith("False\n")
