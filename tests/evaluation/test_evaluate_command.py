"""``restorekit evaluate`` as people use it: on folders, with every kind of bad input told in one line."""

import json
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest

from restorekit.cli import main
from restorekit.evaluation import Fidelity


@pytest.fixture
def folders(photo, tmp_path):
    """Three pictures and noisy versions of them in ``clean`` and ``noisy``."""
    for index, name in enumerate(("a.png", "b.png", "c/d.png")):
        clean = photo[8 * index : 8 * index + 48, 16 * index : 16 * index + 64]
        noise = np.random.default_rng(index).normal(0, 5 + 5 * index, clean.shape)
        for folder, pixels in (("clean", clean), ("noisy", np.clip(clean + noise, 0, 255).astype(np.uint8))):
            save(tmp_path / folder / name, pixels)
    return tmp_path


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, pixels[..., ::-1] if pixels.ndim == 3 else pixels)[1].tobytes())


def read(path):
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return pixels[..., ::-1]


@pytest.fixture
def evaluate(folders, monkeypatch, capsys):
    """Run the command in this process, which takes a tenth of the time of one of its own."""

    def run(*arguments, check=0):
        monkeypatch.chdir(folders)
        monkeypatch.setenv("RESTOREKIT_CACHE", str(folders / "cache"))
        monkeypatch.setattr(sys, "argv", ["restorekit", "evaluate", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        status = ended.value.code or 0
        assert status == check, shown
        return subprocess.CompletedProcess(arguments, check, shown.out, shown.err)

    return run


def test_json_has_the_documented_shape_and_the_library_s_numbers(cli, folders):
    options = ("--metric", "psnr,ssim", "--metric", "mae", "--protocol", "y", "--crop-border", 4)
    shown = json.loads(cli("evaluate", "noisy", "clean", *options, "--json").stdout)
    assert list(shown) == ["protocol", "mean", "interval", "pictures", "missing", "extra", "failed", "notes"]
    assert shown["protocol"]["colour"] == "y"
    assert shown["protocol"]["metrics"] == "psnr, ssim, mae"
    fidelity = Fidelity(metrics=("psnr", "ssim", "mae"), colour="y", crop_border=4)
    assert shown["pictures"] == [
        {"name": name, **fidelity.measure(read(folders / "noisy" / name), read(folders / "clean" / name))}
        for name in ("a.png", "b.png", "c/d.png")
    ]
    assert shown["mean"]["mae"] == pytest.approx(np.mean([each["mae"] for each in shown["pictures"]]))


def test_the_same_call_gives_the_same_bytes(cli, folders):
    first, second = (cli("evaluate", "noisy", "clean", "--json", "--protocol", "y").stdout for _ in range(2))
    assert first == second


def test_the_table_ends_with_the_mean_and_the_protocol(evaluate, folders):
    shown = evaluate("noisy", "clean", "--sort", "worst").stdout.splitlines()
    assert [line.split()[0] for line in shown[:6]] == ["picture", "c/d.png", "b.png", "a.png", "mean", "95"]
    assert shown[6].startswith("protocol: metrics psnr, ssim; colour rgb; crop_border 0; region whole; ssim gaussian")


def test_the_published_protocol_of_super_resolution(cli, evaluate, folders, photo):
    save(folders / "hr/a.png", photo[:157, :198])
    save(folders / "cut/a.png", photo[:156, :196])
    cli("degrade", "cut", "-o", "lr", "--with", "downscale:4", "--no-report")
    cli("restore", "lr", "-o", "sr", "--with", "bicubic", "--scale", 4, "--no-report")
    shown = json.loads(evaluate("sr", "hr", "--protocol", "y", "--crop-border", 4, "--modcrop", 4, "--json").stdout)
    fidelity = Fidelity(colour="y", crop_border=4)
    expected = fidelity.measure(read(folders / "sr/a.png"), photo[:156, :196])
    assert shown["mean"] == pytest.approx(expected)
    assert 20 < shown["mean"]["psnr"] < 35


def test_holes_are_measured_with_the_masks_that_degrade_wrote(cli, evaluate):
    cli("degrade", "clean", "-o", "holed", "--with", "holes", "--no-report")
    shown = json.loads(
        evaluate("holed", "clean", "--region", "mask", "--metric", "psnr", "--masks", "holed", "--json").stdout
    )
    whole = json.loads(evaluate("holed", "clean", "--metric", "psnr", "--json").stdout)
    assert len(shown["pictures"]) == 3
    assert shown["mean"]["psnr"] < whole["mean"]["psnr"]
    assert shown["protocol"]["region"] == "mask"


def test_pictures_that_cannot_be_measured_are_told_and_the_status_is_1(evaluate, folders, photo):
    (folders / "noisy/a.png").write_bytes(b"not a picture")
    save(folders / "noisy/b.png", photo[:20, :30])
    save(folders / "noisy/more.png", photo)
    save(folders / "clean/none.png", photo)
    shown = json.loads(evaluate("noisy", "clean", "--json", check=1).stdout)
    assert [each["name"] for each in shown["pictures"]] == ["c/d.png"]
    assert [each["name"] for each in shown["failed"]] == ["a.png", "b.png"]
    assert shown["missing"] == ["none.png"]
    assert shown["extra"] == ["more.png"]
    assert shown["interval"] == {"psnr": [None, None], "ssim": [None, None]}
    lines = evaluate("noisy", "clean", check=1).stdout
    for line in ("missing (no restored picture): none.png", "extra (no reference): more.png", "failed: a.png: "):
        assert line in lines
    assert "failed: b.png: 30x20 restored, 64x48 reference; restore to the reference's size" in lines


def test_two_single_pictures_are_measured(evaluate, folders):
    shown = json.loads(evaluate("noisy/a.png", "clean/a.png", "--json").stdout)
    assert [each["name"] for each in shown["pictures"]] == ["a.png"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["empty", "clean"], 2, "empty: holds no picture; name a folder of pictures"),
        (["noisy", "empty"], 2, "empty: holds no picture; name a folder of pictures"),
        (["nowhere", "clean"], 2, "nowhere: does not exist; check the spelling"),
        (["noisy/a.png", "clean"], 2, "noisy/a.png: cannot be paired with clean; give two folders or two files"),
        (["noisy"], 2, "REFERENCE: is missing; name the folder of references"),
        (["broken", "clean"], 1, "broken: no picture could be measured: a.png: broken/a.png: "),
        (["noisy", "clean", "--metric", "pnsr"], 2, "--metric: 'pnsr' is not known; choose from psnr, ssim, "),
        (["noisy", "clean", "--protocol", "hsv"], 2, "protocol: 'hsv' is not known; choose rgb or y"),
        (["noisy", "clean", "--crop-border", "30"], 1, "nothing is left of 64x48 without a border of 30 px; choose"),
        (["noisy", "clean", "--crop-border", "20"], 1, "24x8 is too small for the 11 px window of SSIM; measure psnr"),
        (["noisy", "clean", "--sort", "best"], 2, "--sort: 'best' is no order; choose name or worst"),
        (["noisy", "clean", "--region", "mask"], 1, "a.png: has no mask; give one for each picture"),
        (["noisy", "clean", "--masks", "nowhere"], 2, "nowhere: is no folder"),
        (["noisy", "clean", "--modcrop", "0"], 2, "--modcrop: 0 is less than 1; give 1 or more"),
        (["noisy", "clean", "--compare", "clean/a.png"], 2, "clean/a.png: is no measurement; give a file that"),
        (["noisy", "clean", "--compare", "nowhere.json"], 2, "nowhere.json: cannot be read"),
        (["noisy", "clean", "--report", "x.html", "--metric", "fid"], 2, "--report: shows pictures beside their"),
    ],
)
def test_bad_input_is_one_clear_line(evaluate, folders, arguments, status, message):
    (folders / "empty").mkdir()
    (folders / "broken").mkdir()
    (folders / "broken/a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = evaluate(*arguments, check=status)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("restorekit: ")
    assert message in last
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_measuring_fidelity_needs_no_torch(folders):
    code = (
        "import sys; sys.argv[1:] = ['evaluate', 'noisy', 'clean']\n"
        "from restorekit.cli import main\n"
        "try: main()\n"
        "except SystemExit: print('TORCH', 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folders)
    assert done.stdout.endswith("TORCH False\n"), done.stderr


def test_grey_beside_colour_is_measured_and_said(evaluate, folders):
    save(folders / "grey/a.png", read(folders / "noisy/a.png")[..., 0])
    save(folders / "one/a.png", read(folders / "clean/a.png"))
    shown = evaluate("grey", "one").stdout
    assert "1 of 1 pictures: grey beside colour: the grey picture counts as three equal channels" in shown


def test_comparing_needs_one_protocol_or_force(evaluate, folders):
    evaluate("noisy", "clean", "--crop-border", 4, "-o", "before.json")
    refused = evaluate("noisy", "clean", "--compare", "before.json", check=2)
    assert "restorekit: --compare: the protocols differ: crop_border 0 here, 4 there; measure both" in refused.stderr
    assert "mean" in refused.stdout
    forced = evaluate("noisy", "clean", "--compare", "before.json", "--force")
    assert "warning: forced, though the protocols differ: crop_border 0 here, 4 there" in forced.stderr


def test_a_comparison_shows_paired_differences_of_what_both_have(evaluate, folders, photo):
    evaluate("noisy", "clean", "--metric", "psnr,mae", "-o", "before.json")
    for name in ("a.png", "c/d.png"):  # halve the noise
        clean, noisy = (read(folders / folder / name).astype(float) for folder in ("clean", "noisy"))
        save(folders / "better" / name, np.rint((clean + noisy) / 2).astype(np.uint8))
    done = evaluate("better", "clean", "--metric", "ssim,psnr", "--compare", "before.json", "--json", check=1)
    comparison = json.loads(done.stdout)["comparison"]
    before = {each["name"]: each["psnr"] for each in json.loads((folders / "before.json").read_text())["pictures"]}
    after = {each["name"]: each["psnr"] for each in json.loads(done.stdout)["pictures"]}
    (difference,) = comparison["differences"]
    assert difference["metric"] == "psnr"
    assert difference["pictures"] == 2
    assert difference["difference"] == pytest.approx(np.mean([after[name] - before[name] for name in after]))
    assert 4 < difference["interval"][0] <= difference["difference"] <= difference["interval"][1] < 8
    assert comparison["unshared"] == 1
    shown = evaluate("better", "clean", "--compare", "before.json", check=1).stdout
    assert re.search(r"psnr +[\d.]+ +[\d.]+ +\+\d\.\d\d +\+\d\.\d\d \.\. \+\d\.\d\d +2", shown)


def test_two_measurements_without_a_common_picture_or_metric_are_refused(evaluate, folders):
    evaluate("noisy/a.png", "clean/a.png", "-o", "a.json")
    evaluate("noisy", "clean", "--metric", "mae", "-o", "mae.json")
    assert (
        "no metric of the same pictures in common"
        in evaluate("noisy/b.png", "clean/b.png", "--compare", "a.json", check=2).stderr
    )
    assert "in common" in evaluate("noisy", "clean", "--compare", "mae.json", check=2).stderr


def test_the_report_is_one_file_with_the_worst_median_and_best_picture(evaluate, folders):
    save(folders / "clean/odd.png", read(folders / "clean/a.png")[:20])
    save(folders / "noisy/odd.png", read(folders / "clean/a.png"))
    evaluate("noisy", "clean", "--report", "report.html", check=1)
    page = (folders / "report.html").read_text()
    assert [page.index(f"{label}: {name}") for label, name in (("Worst", "c/d"), ("Median", "b"), ("Best", "a"))]
    assert page.index("Worst: c/d.png") < page.index("Median: b.png") < page.index("Best: a.png")
    assert page.count('src="data:image/jpeg;base64,') == 9
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert "64x48 restored, 64x20 reference" in page
    assert "colour rgb; crop_border 0" in page


def test_a_report_of_names_with_markup_and_broken_bytes_is_safe(evaluate, folders):
    for folder in ("clean", "noisy"):
        save(folders / "odd" / folder / "<script>&.png", read(folders / folder / "a.png"))
    evaluate("odd/noisy", "odd/clean", "--report", "report.html")
    page = (folders / "report.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;&amp;.png" in page


def test_distribution_metrics_stand_beside_the_others_with_their_own_protocol(evaluate, folders, tmp_path):
    features = tmp_path / "squeezenet.npz"
    np.savez(features, **random_squeezenet())
    metrics = ("--metric", "psnr,squeezenet,frechet-squeezenet", "--features", features)
    shown = json.loads(evaluate("noisy", "clean", *metrics, "--json", "-o", "before.json").stdout)
    assert set(shown["mean"]) == {"psnr", "squeezenet"}
    assert shown["distribution"]["values"]["frechet-squeezenet"] > 0
    assert shown["distribution"]["protocol"]["samples"] == 3
    assert shown["protocol"]["squeezenet"].startswith("unit-length features of 7 layers")
    alone = evaluate("noisy", "clean", *metrics[:1], "frechet-squeezenet", *metrics[2:], "--compare", "before.json")
    assert re.search(r"frechet-squeezenet +\S+ +\S+ +\+0 +- \.\. - +-", alone.stdout)


def random_squeezenet():
    """Weights of the published layout, of no use but to run."""
    generator = np.random.default_rng(0)
    layers = {"conv1": (64, 3, 3)}
    sizes = [(64, 16, 64), (128, 16, 64), (128, 32, 128), (256, 32, 128)]
    sizes += [(256, 48, 192), (384, 48, 192), (384, 64, 256), (512, 64, 256)]
    for number, (inputs, squeezed, expanded) in enumerate(sizes, 2):
        layers[f"fire{number}/squeeze1x1"] = (squeezed, inputs, 1)
        layers[f"fire{number}/expand1x1"] = (expanded, squeezed, 1)
        layers[f"fire{number}/expand3x3"] = (expanded, squeezed, 3)
    tensors = {}
    for name, (outputs, inputs, side) in layers.items():
        scale = np.sqrt(2 / (inputs * side * side))
        tensors[f"{name}.weight"] = generator.normal(0, scale, (outputs, inputs, side, side)).astype(np.float16)
        tensors[f"{name}.bias"] = np.zeros(outputs, np.float16)
    return tensors
