"""The report in a real browser: mouse, keyboard and search work, and nothing leaves the page."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from restorekit.batch.report import Entry, Summary, preview, write_report
from restorekit.contract import PictureInfo
from restorekit.images.picture import Picture

pytestmark = pytest.mark.browser

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1280,900",
)
SCRIPT_NAME = "<script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">.png"
MANY = 2000


@dataclass(frozen=True)
class Browser:
    """Chromium, with what the tests ask of it."""

    driver: Any

    def open(self, path: Path) -> None:
        self.driver.get(path.as_uri())

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def shown(self) -> list[str]:
        """Names of the pictures that are not filtered away."""
        return self.run("return [...document.querySelectorAll('.item:not([hidden]) h3')].map(node => node.title)")

    def prefer(self, **features: str) -> None:
        listed = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": listed})

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=chromedriver))
    yield Browser(driver)
    driver.quit()


def picture(height: int, width: int, seed: int, alpha: bool = False) -> Picture:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    cover = np.full((height, width), 90, np.uint8) if alpha else None
    info = PictureInfo(format="png", width=width, height=height, alpha=alpha)
    return Picture(pixels=pixels, alpha=cover, info=info)


def summary(done: int = 0, skipped: int = 0, failed: int = 0) -> Summary:
    return Summary(
        title="Report",
        command="restorekit restore in -o out",
        version="1.0",
        started="2026-03-14 15:09",
        seconds=3.0,
        device="cpu",
        precision="float32",
        done=done,
        skipped=skipped,
        failed=failed,
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    steps = [{"step": "median", "reason": "salt and pepper"}]
    wide = preview(picture(480, 640, 1), picture(960, 1280, 2))
    tall = preview(picture(700, 100, 3, alpha=True), picture(700, 100, 4, alpha=True))
    entries = [
        Entry(input="wide.png", output="wide.png", status="done", steps=steps, preview=wide),
        Entry(input="tall.png", output="tall.png", status="done", steps=steps, preview=tall, warnings=["odd"]),
        Entry(input=SCRIPT_NAME, output=SCRIPT_NAME, status="failed", reason="cut off in the middle"),
        Entry(input="fine.png", output="fine.png", status="done", reason="sharp"),
        Entry(input="old.png", output="old.png", status="skipped", reason="done by an earlier run"),
    ]
    path = tmp_path_factory.mktemp("report") / "report #1.html"
    write_report(path, summary(done=3, skipped=1, failed=1), entries)
    return path


@pytest.fixture
def page(browser, report) -> Browser:
    browser.prefer(prefers_color_scheme="light")
    browser.resize(1280, 900)
    browser.open(report)
    browser.run("localStorage.clear()")
    browser.open(report)
    for log in ("browser", "performance"):
        browser.driver.get_log(log)
    return browser


def split(page: Browser) -> float:
    """Where the before picture ends, in percent of the width, as the browser clips it."""
    clip = page.run("return getComputedStyle(document.querySelector('.stage .old')).clipPath")
    stage = page.run("return document.querySelector('.stage').getBoundingClientRect().width")
    cut = clip.removeprefix("inset(").split()[1].rstrip(")")
    if cut.startswith("calc("):  # "calc(100% - 30%)" is kept as written
        return float(page.run("return parseFloat(document.querySelector('.stage').style.getPropertyValue('--at'))"))
    return 100 - float(cut.rstrip("%")) if cut.endswith("%") else 100 - 100 * float(cut.rstrip("px")) / stage


def colour_at(page: Browser, x: float, y: float) -> np.ndarray:
    """RGB that the screen shows there, ``x`` and ``y`` in the window."""
    shot = cv2.imdecode(np.frombuffer(page.driver.get_screenshot_as_png(), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert shot is not None
    return shot[round(y), round(x)].astype(int)


def test_the_slider_moves_by_keyboard(page):
    from selenium.webdriver.common.keys import Keys

    slider = page.find(".stage input")
    assert split(page) == 50
    slider.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert split(page) == 52
    slider.send_keys(Keys.HOME)
    assert split(page) == 0
    slider.send_keys(Keys.END)
    assert split(page) == 100
    assert slider.get_attribute("aria-valuetext") == "100 % before"
    assert slider.accessible_name == "Compare before and after: wide.png"


def test_dragging_on_the_picture_moves_the_border_between_before_and_after(page):
    from selenium.webdriver import ActionChains

    stage = page.find(".stage")
    page.run("arguments[0].scrollIntoView({block: 'center'})", stage)
    box = page.run("return arguments[0].getBoundingClientRect().toJSON()", stage)
    x, y = box["x"] + 0.35 * box["width"], box["y"] + 0.25 * box["height"]
    before = colour_at(page, x, y)
    drag = ActionChains(page.driver).move_to_element(stage).click_and_hold()
    drag.move_by_offset(int(-0.3 * box["width"]), 30).release().perform()
    assert split(page) == pytest.approx(20, abs=1)
    # Left of the border it was the old picture, now it is the new one.
    assert abs(before - colour_at(page, x, y)).max() > 20
    ActionChains(page.driver).move_to_element(stage).perform()
    assert split(page) == pytest.approx(20, abs=1), "a released slider must not follow the pointer"
    drag = ActionChains(page.driver).move_to_element(stage).click_and_hold()
    drag.move_by_offset(int(-0.5 * box["width"]) - 10, 0).release().perform()
    assert split(page) == 0, "a slider follows the pointer beyond its picture"


def test_touch_moves_the_slider(page):
    from selenium.webdriver.common.actions import interaction
    from selenium.webdriver.common.actions.action_builder import ActionBuilder
    from selenium.webdriver.common.actions.pointer_input import PointerInput

    stage = page.find(".stage")
    page.run("arguments[0].scrollIntoView({block: 'center'})", stage)
    width = stage.size["width"]
    touch = ActionBuilder(page.driver, mouse=PointerInput(interaction.POINTER_TOUCH, "finger"))
    touch.pointer_action.move_to(stage).pointer_down().move_to(stage, int(width * 0.3)).pointer_up()
    touch.perform()
    assert split(page) == pytest.approx(80, abs=1)


def test_the_focus_of_a_slider_is_visible(page):
    from selenium.webdriver.common.keys import Keys

    page.find(".stage input").send_keys(Keys.ARROW_LEFT)
    assert page.run("return getComputedStyle(document.querySelector('.stage')).outlineStyle") == "solid"


def test_the_detail_is_shown_pixel_by_pixel_and_back(page):
    image = page.find(".stage .new .close")
    assert not image.is_displayed()
    page.find(".card [data-view=detail]").click()
    assert image.is_displayed()
    assert not page.find(".stage .new .fit").is_displayed()
    assert image.size == {"width": 384, "height": 288}
    assert page.run("return [arguments[0].naturalWidth, arguments[0].naturalHeight]", image) == [384, 288]
    page.find(".card [data-view=fit]").click()
    assert not image.is_displayed()


def test_all_pictures_change_their_view_together(page):
    page.find(".tools [data-view=detail]").click()
    assert page.run("return [...document.querySelectorAll('.card')].map(card => card.dataset.view)") == ["detail"] * 2
    pressed = page.run("return [...document.querySelectorAll('.views [aria-pressed=true]')].map(b => b.textContent)")
    assert pressed == ["Detail"] * 3


def test_pictures_keep_their_proportions(page):
    sizes = page.run("return [...document.querySelectorAll('.stage')].map(s => s.offsetWidth / s.offsetHeight)")
    assert sizes == [pytest.approx(4 / 3, rel=0.02), pytest.approx(1 / 7, rel=0.05)]


def test_enlarged_pictures_lie_on_one_another(page):
    boxes = page.run(
        "return [...document.querySelectorAll('.stage')[0].querySelectorAll('.fit')]"
        ".map(image => JSON.stringify(image.getBoundingClientRect()))"
    )
    assert boxes[0] == boxes[1]


def test_the_filters_show_their_pictures(page):
    assert page.shown() == [SCRIPT_NAME, "wide.png", "tall.png", "fine.png", "old.png"]
    for kind, names in {
        "done": ["wide.png", "tall.png", "fine.png"],
        "failed": [SCRIPT_NAME],
        "skipped": ["old.png"],
        "unchanged": ["fine.png"],
        "warned": ["tall.png"],
    }.items():
        chip = page.find(f"[data-filter={kind}]")
        chip.click()
        assert page.shown() == names
        assert chip.get_attribute("aria-pressed") == "true"
        assert int(chip.find_element("css selector", "b").text) == len(names)
    page.find("[data-filter=warned]").click()  # again: back to all
    assert len(page.shown()) == 5


def test_search_finds_names_steps_and_reasons_within_the_filter(page):
    from selenium.webdriver.common.keys import Keys

    page.find("body").send_keys("/")
    search = page.driver.switch_to.active_element
    search.send_keys("PEPPER median")
    assert page.shown() == ["wide.png", "tall.png"]
    assert page.run("return document.querySelectorAll('main section:not([hidden])').length") == 1
    assert page.find(".found").get_attribute("textContent") == "2 of 5 pictures shown"
    page.find("[data-filter=failed]").click()
    assert page.shown() == []
    assert page.find(".nothing").is_displayed()
    search.send_keys(Keys.CONTROL, "a")
    search.send_keys(Keys.DELETE)
    assert page.shown() == [SCRIPT_NAME]


def background(page: Browser) -> int:
    """Brightness of the page, 0 to 255."""
    colour = page.run("return getComputedStyle(document.body).backgroundColor")
    return max(int(part) for part in colour.removeprefix("rgb(").rstrip(")").split(","))


def test_colours_follow_the_preference_until_the_reader_chooses(page, report):
    assert background(page) > 200
    page.prefer(prefers_color_scheme="dark")
    assert background(page) < 50
    page.find(".theme").click()
    assert background(page) > 200
    deadline = time.monotonic() + 10  # a busy browser writes its storage a little later
    page.open(report)
    while background(page) < 200 and time.monotonic() < deadline:
        time.sleep(0.2)
        page.open(report)
    assert background(page) > 200, "the choice is remembered"
    page.find(".theme").click()
    page.prefer(prefers_color_scheme="light")
    assert background(page) > 200, "back at the preference, it is followed again"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(page, scheme):
    page.prefer(prefers_color_scheme=scheme)
    poor = page.run("""
        const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
        const rgba = (colour) => {
          canvas.clearRect(0, 0, 1, 1);
          canvas.fillStyle = colour;
          canvas.fillRect(0, 0, 1, 1);
          return [...canvas.getImageData(0, 0, 1, 1).data];
        };
        const light = (rgb) => {
          const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const behind = (node) => {
          for (let at = node; at; at = at.parentElement) {
            const colour = rgba(getComputedStyle(at).backgroundColor);
            if (colour[3] === 255) return colour.slice(0, 3);
          }
          return [255, 255, 255];
        };
        return [...document.querySelectorAll("body *")]
          .filter((node) => !node.closest(".stage"))
          .filter((node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()))
          .map((node) => {
            const a = light(rgba(getComputedStyle(node).color).slice(0, 3)), b = light(behind(node));
            return [node.className, node.textContent, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
          })
          .filter(([, , ratio]) => ratio < 4.5);
    """)
    assert poor == []


def test_every_control_has_a_name(page):
    names = [control.accessible_name for control in page.driver.find_elements("css selector", "button, input, a")]
    assert len(names) > 10
    assert all(names)


@pytest.mark.parametrize("width", [360, 768, 1920])
def test_nothing_overflows_the_window(page, width):
    page.resize(width, 900)
    for view in ("fit", "detail"):
        page.find(f".tools [data-view={view}]").click()
        assert page.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_hostile_names_appear_as_text(page):
    assert page.find(".failed .name").text == SCRIPT_NAME
    assert page.run("return document.title") == "Report"
    assert page.run("return document.scripts.length") == 1


def test_no_request_leaves_the_page_and_nothing_is_complained_about(page, report):
    page.open(report)
    page.run("for (const image of document.images) image.loading = 'eager'")
    page.find(".tools [data-view=detail]").click()
    page.run("return Promise.all([...document.images].map(image => image.decode()))")
    events = [json.loads(line["message"])["message"] for line in page.driver.get_log("performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert len(urls) >= 9
    assert {url.split(":")[0] for url in urls} <= {"file", "data"}
    assert [url for url in urls if url.startswith("file:")] == [report.as_uri()]
    assert page.driver.get_log("browser") == []


def test_the_policy_stops_requests_of_any_kind(page):
    page.run("const image = new Image(); image.src = 'http://127.0.0.1:9/x.png'; document.body.append(image)")
    page.run("document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 1'}))")
    refused = page.driver.execute_async_script(
        "fetch('http://127.0.0.1:9/').then(() => arguments[0]('sent'), () => arguments[0]('refused'))"
    )
    assert refused == "refused"
    assert page.run("return document.title") == "Report"
    complaints = " ".join(line["message"] for line in page.driver.get_log("browser"))
    assert complaints.count("Content Security Policy") >= 3


def test_pages_without_script_still_show_everything(browser, report):
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.open(report)
        assert not browser.find(".tools").is_displayed()
        assert browser.find(".stage").is_displayed()
        assert browser.find(".failed .reason").text == "cut off in the middle"
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_thousands_of_pictures_stay_quick(browser, tmp_path):
    shown = preview(picture(300, 400, 1), picture(300, 400, 2))
    steps = [{"step": "median", "reason": "noise"}]
    entries = [
        Entry(input=f"{index:05d}.png", output="x", status="done", steps=steps, preview=shown if index < 300 else None)
        for index in range(MANY)
    ]
    write_report(tmp_path / "many.html", summary(done=MANY), entries)
    start = time.perf_counter()
    browser.open(tmp_path / "many.html")
    loaded = time.perf_counter() - start
    assert len(browser.shown()) == MANY
    searched = browser.run("""
        const search = document.querySelector(".search");
        const start = performance.now();
        search.value = "01234";
        search.dispatchEvent(new Event("input"));
        document.body.offsetHeight;
        return performance.now() - start;
    """)
    assert browser.shown() == ["01234.png"]
    assert loaded < 5  # about 0.5 s alone on one core
    assert searched < 1000  # milliseconds; about 20
