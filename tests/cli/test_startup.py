"""Listing and help stay light."""

import json
import statistics
import subprocess
import sys
import time

import pytest

HEAVY = ("torch", "cv2", "skimage", "scipy", "numpy", "PIL", "tifffile")


@pytest.mark.parametrize("arguments", [["--help"], ["generators"], ["plugins", "--json"], ["restore", "--help"]])
def test_help_and_listings_import_nothing_heavy(arguments):
    code = (
        "import sys; sys.argv[1:] = " + repr(arguments) + "\n"
        "from restorekit.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("HEAVY []"), done.stdout[-300:]


def test_help_costs_at_most_two_and_a_half_times_importing_typer():
    def seconds(*command: str) -> float:
        begun = time.perf_counter()
        subprocess.run([sys.executable, *command], capture_output=True, check=True)
        return time.perf_counter() - begun

    # In turn, so that a busy moment of the machine falls on both.
    pairs = [(seconds("-m", "restorekit", "--help"), seconds("-c", "import typer")) for _ in range(9)]
    assert statistics.median(ours / typer for ours, typer in pairs) <= 2.5


def test_a_first_picture_does_not_import_what_only_compiling_and_training_need(tmp_path):
    arguments = ["restore", "data/samples/small.png", "-o", str(tmp_path), "--with", "super-resolver:x4"]
    code = (
        "import sys; sys.argv[1:] = " + repr(arguments) + "\n"
        "from restorekit.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('HEAVY', [name for name in ('torch._dynamo', 'sympy', 'torchvision') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("HEAVY []"), done.stdout[-300:]


def test_generators_as_json_has_the_documented_shape(cli):
    rows = json.loads(cli("generators", "--json").stdout)
    assert all(set(row) == {"name", "tasks", "summary", "distribution", "version", "weights"} for row in rows)
    assert {"auto", "bicubic", "telea", "nlmeans"} <= {row["name"] for row in rows}


def test_plugins_as_json_has_the_documented_shape(cli):
    rows = json.loads(cli("plugins", "--json").stdout)
    assert all(set(row) == {"name", "distribution", "version", "status", "reason"} for row in rows)


def test_a_disabled_plugin_is_listed_and_its_generators_are_gone(cli):
    environment = {"RESTOREKIT_DISABLE_PLUGINS": "classical"}
    rows = {row["name"]: row for row in json.loads(cli("plugins", "--json", env=environment).stdout)}
    assert rows["classical"]["status"] == "disabled"
    names = {row["name"] for row in json.loads(cli("generators", "--json", env=environment).stdout)}
    assert "telea" not in names


def test_one_generator_is_shown_with_its_settings(cli):
    shown = json.loads(cli("generators", "bicubic", "--json").stdout)
    assert [setting["name"] for setting in shown["settings"]] == ["scale"]


def test_info_says_what_will_be_used_and_why(cli):
    facts = json.loads(cli("info", "--json").stdout)
    assert facts["device"] in facts["devices"]
    assert facts["precision"] in {"fp32", "bf16"}
    assert facts["precision_reason"]


def test_an_unknown_generator_is_one_line_and_status_2(cli):
    done = cli("generators", "telae", check=2)
    assert done.stderr.count("\n") == 1
    assert "did you mean telea" in done.stderr


def test_debug_shows_the_traceback_wherever_it_stands(cli):
    assert "Traceback" in cli("generators", "telae", "--debug", check=None).stderr
    assert "Traceback" not in cli("generators", "telae", check=None).stderr
