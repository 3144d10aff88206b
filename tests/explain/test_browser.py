"""The page in Debian's chromium: every view opened and clicked, sound that decodes, keys, languages, and how it looks.

One browser for all tests. Pictures of the views are compared, made small, with those in `looks/`; after a change that
was meant, `AOIDE_NEW_LOOKS=1 pytest tests/explain/test_browser.py` writes them anew: look at them then.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aoide.explain import page as pages
from aoide.explain.traces import Trace
from tests.explain import everything

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.sweep,
    pytest.mark.skipif(CHROMIUM is None, reason="neither chromium nor google-chrome is installed"),
]

LOOKS = Path(__file__).parent / "looks"
SMALL = (40, 64)  # rows and columns of a picture that is compared
FAR = 14.0  # of 255, the mean difference that is too much: another view is 30 and more away
VIEWS = ("step", "compare", "path", "metrics", "inside")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """one.html, two.html and newer.html, and trace.aoide."""
    folder = tmp_path_factory.mktemp("pages")
    one = everything.record(label="8 steps").trace
    two = everything.record(1, 4, inside=False, label="4 steps", singer="other").trace
    pages.write(folder / "one.html", [one])
    pages.write(folder / "two.html", [one, two])
    one.save(folder / "trace.aoide")
    newer = pages.html([one]).partition('data-name="')
    assert newer[1]
    data = _newer(one)
    import base64

    (folder / "newer.aoide").write_bytes(data)
    text = pages.TEMPLATE.read_text("utf-8").replace(
        pages.MARK, f'<script type="application/x-aoide" data-name="n">{base64.b64encode(data).decode()}</script>'
    )
    (folder / "newer.html").write_text(text, "utf-8")
    return folder


def _newer(trace: Trace) -> bytes:
    import io
    import json
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("trace.json", json.dumps({"format": "aoide-trace", "version": 99, "aoide": "7.0.0"}))
    assert trace.about["steps"]
    return out.getvalue()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any, folder: Path) -> Iterator[Any]:
    """open_page(name, size) -> the page, ready; at the end nothing may have gone wrong in it or left it."""
    opened, trouble = [], []

    def open_(name: str, size: tuple[int, int] = (1280, 800), language: str = "en-US") -> Any:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, locale=language, reduced_motion="reduce"
        )
        opened.append(context)
        page = context.new_page()
        page.set_default_timeout(8000)
        page.on("console", lambda said: said.type == "error" and trouble.append(said.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith("http") and trouble.append(asked.url))
        page.goto((folder / name).as_uri())
        page.wait_for_selector("html[data-ready]")
        return page

    yield open_
    for context in opened:
        context.close()
    assert trouble == []


def until(page: Any, condition: str, seconds: float = 9.0) -> None:
    """Waits until an expression is true; Playwright's own way evaluates strings inside the page, which it forbids."""
    for _ in range(int(seconds / 0.05)):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never: {condition}")


def look(page: Any) -> np.ndarray:
    """What is seen, made small: (rows, columns, 3)."""
    page.wait_for_timeout(120)
    data = page.evaluate(  # the browser makes its own picture small, so that no library is needed
        """async ([png, rows, columns]) => {
            const bytes = Uint8Array.from(atob(png), (c) => c.charCodeAt(0));
            const image = await createImageBitmap(new Blob([bytes], {type: "image/png"}));
            const sheet = new OffscreenCanvas(columns, rows), context = sheet.getContext("2d");
            context.imageSmoothingQuality = "high";
            context.drawImage(image, 0, 0, columns, rows);
            return [...context.getImageData(0, 0, columns, rows).data];
        }""",
        [_base64(page.screenshot()), *SMALL],
    )
    return np.array(data, np.uint8).reshape(*SMALL, 4)[..., :3]


def _base64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode("ascii")


def same_look(page: Any, name: str) -> None:
    """Compares what is seen with a picture that was looked at."""
    found, path = look(page), LOOKS / f"{name}.npz"
    if os.environ.get("AOIDE_NEW_LOOKS"):
        LOOKS.mkdir(exist_ok=True)
        np.savez_compressed(path, picture=found)
    with np.load(path) as kept:
        far = float(np.abs(found.astype(float) - kept["picture"].astype(float)).mean())
    assert far < FAR, f"{name} looks {far:.1f} of 255 different"


def test_every_view_opens_and_looks_as_it_should(open_page: Any) -> None:
    page = open_page("one.html")
    page.click("#mode [data-value=advanced]")
    for number, view in enumerate(VIEWS, 1):
        page.click(f"#tab-{view}")
        assert page.get_attribute(f"#tab-{view}", "aria-selected") == "true"
        assert len(page.inner_text(".says")) > 40
        same_look(page, view)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{view} is wider than the window"
        page.keyboard.press("1")
        page.keyboard.press(str(number))
        assert page.get_attribute(f"#tab-{view}", "aria-selected") == "true"


def test_sound_decodes_and_plays(open_page: Any) -> None:
    page = open_page("one.html")
    until(page, "document.getElementById('player').readyState >= 1")
    assert abs(page.evaluate("document.getElementById('player').duration") - everything.SECONDS) < 0.1
    page.click("#hear")
    until(page, "document.getElementById('player').currentTime > 0.1")
    page.click("#hear-reference")
    until(page, "document.getElementById('player').src != '' && document.getElementById('player').currentTime > 0.05")
    peak = page.evaluate(
        """async () => {
            const data = await (await fetch(document.getElementById("player").src)).arrayBuffer();
            const sound = await new OfflineAudioContext(1, 1, 24000).decodeAudioData(data);
            return Math.max(...sound.getChannelData(0));
        }"""
    )
    assert peak > 0.2  # the reference is a tone of 0.3


def test_steps_by_keys_slider_and_clicks(open_page: Any) -> None:
    page = open_page("one.html")

    def step() -> int:
        return int(page.input_value("#step-slider"))

    last = everything.STEPS - 1
    assert step() == last
    page.keyboard.press("ArrowLeft")
    assert step() == last - 1
    page.keyboard.press("Home")
    assert step() == 0 and "step 1 of 8" in page.inner_text(".caption")
    page.keyboard.press(" ")  # runs to the end by itself
    until(page, f"document.getElementById('step-slider').value == '{last}'")
    page.click(".side .path circle[data-index='2']", force=True)
    assert step() == 2
    page.keyboard.press("p")
    assert page.get_attribute("#tab-compare", "aria-selected") == "true" and page.locator(".grid .card").count() >= 2
    page.keyboard.press("a")
    page.click("#tab-path")
    page.click(".path-view circle[data-index='5']", force=True)
    page.click("#tab-step")
    assert step() == 5
    page.click("#tab-metrics")
    page.locator(".metrics .card svg").first.click(position={"x": 46, "y": 60})
    page.click("#tab-step")
    assert step() == 0


def test_zoom_is_one_for_all(open_page: Any) -> None:
    page = open_page("two.html")
    page.click("#tab-compare")
    box = page.locator(".compare canvas").first.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 60, steps=4)
    page.mouse.up()
    assert page.get_by_text("Show all").count() == 1
    page.keyboard.press("0")
    assert page.get_by_text("Show all").count() == 0


def test_runs_are_compared(open_page: Any) -> None:
    page = open_page("two.html")
    page.click("#tab-compare")
    told = page.inner_text(".compare > .hint")
    assert "seed (0 / 1)" in told and "singer" in told
    tasks = page.locator("#task button").all_inner_texts()
    assert tasks == ["Steps or runs", "Metric", "Target singer"]
    page.click("#task [data-value=metric]")
    page.select_option("#metric-choice", "to_reference")
    page.click("#task [data-value=singer]")
    assert page.locator(".compare .grid .card").count() == 2
    same_look(page, "two")
    page.select_option("#trace", "1")
    page.click("#tab-step")
    assert page.input_value("#step-slider") == "3"


def test_inside_of_every_kind(open_page: Any) -> None:
    page = open_page("one.html")
    page.keyboard.press("a")
    page.click("#tab-inside")
    kinds = page.locator("#inside button")
    assert kinds.count() == 7
    for number in range(7):
        kinds.nth(number).click()
        drawn = page.locator(".panels canvas, .panels svg.chart")
        assert drawn.count() >= 1, kinds.nth(number).inner_text()
        assert all(label for label in drawn.evaluate_all("all => all.map((x) => x.getAttribute('aria-label'))"))


def test_languages_theme_help_and_tour(open_page: Any) -> None:
    page = open_page("one.html")
    page.click("#language")
    assert page.inner_text("#tab-step").endswith("步骤") and page.get_attribute("html", "lang") == "zh"
    assert "第 8 / 8 步" in page.inner_text(".caption")
    page.keyboard.press("l")
    assert page.inner_text("#tab-step").endswith("Step")
    page.keyboard.press("d")
    assert page.get_attribute("html", "data-theme") == "dark"
    same_look(page, "dark")
    page.keyboard.press("?")
    assert "Space" in page.inner_text("dialog")
    page.keyboard.press("Escape")
    page.click("#tour")
    stops = 1
    while page.locator(".tour").count() and stops < 20:
        page.click("#tour-next")
        stops += 1
    assert stops == 9
    assert open_page("one.html", language="zh-CN").inner_text("#tab-step").endswith("步骤")


def test_on_a_telephone(open_page: Any) -> None:
    page = open_page("one.html", (390, 844))
    same_look(page, "telephone")
    page.keyboard.press("a")
    for view in VIEWS:
        page.click(f"#tab-{view}")
        page.wait_for_timeout(60)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{view} is wider than the window"


def test_a_newer_trace_is_told(open_page: Any, folder: Path) -> None:
    page = open_page("newer.html")
    assert "Aoide 7.0.0 in version 99" in page.inner_text(".trouble")
    page = open_page("one.html")
    with page.expect_file_chooser() as chooser:
        page.click("#open")
    chooser.value.set_files(folder / "newer.aoide")
    page.wait_for_selector(".trouble p")
    assert "newer than this page" in page.inner_text(".trouble")
    with page.expect_file_chooser() as chooser:
        page.click("#open")
    chooser.value.set_files(folder / "trace.aoide")
    page.wait_for_selector("#trace")
    assert page.locator("#trace option").count() == 2


def test_handles_are_moved_and_saved(browser: Any, tmp_path: Path) -> None:
    import json

    from aoide.explain.subjects import Request, explain

    pages.write(tmp_path / "said.html", [explain(Request(model="en-heart", input="Hi."))])
    page = browser.new_page()
    page.goto((tmp_path / "said.html").as_uri())
    page.wait_for_selector("html[data-ready]")
    page.keyboard.press("a")
    page.keyboard.press("5")
    page.wait_for_selector(".handle")
    name = page.locator(".handle.y").first.get_attribute("data-handle")
    page.locator(f"[data-handle='{name}']").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert page.locator(f"[data-handle='{name}']").get_attribute("aria-valuenow") == "1"
    with page.expect_download() as download:
        page.click("#save-edits")
    kind, number = name.split("-")
    saved = json.loads(Path(download.value.path()).read_text("utf-8"))
    assert saved["edits"][kind][int(number)] == 1 and saved["model"] == "en-heart" and saved["input"] == "Hi."
    from aoide.generate import handles

    assert handles.resynth(saved).seconds > 0.3
    page.close()


def test_an_edit_is_spoken_again_where_a_server_runs(browser: Any) -> None:
    import threading

    from aoide.commands._show import server
    from aoide.explain.subjects import Request, explain

    html = pages.html([explain(Request(model="en-heart", input="Hi."))])
    with server(html) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{running.server_port}/")
        page.wait_for_selector("html[data-ready]")
        page.keyboard.press("a")
        page.keyboard.press("5")
        page.wait_for_selector(".handle")
        page.get_by_role("button", name="Speak again").click()
        until(page, "document.querySelector('.panels audio').duration > 0.3")
        answer = page.request.get(f"http://localhost:{running.server_port}/elsewhere")
        assert answer.status == 404
        strange = page.request.get(f"http://127.0.0.1:{running.server_port}/", headers={"Host": "evil.example:80"})
        assert strange.status == 403
        bad = page.request.post(f"http://127.0.0.1:{running.server_port}/v1/audio/resynth", data='{"input": ""}')
        assert bad.status == 400 and "a text of" in bad.text()
        page.close()
        running.shutdown()
