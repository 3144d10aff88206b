"""The studio in a browser, as somebody uses it: take an example, press, hear."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aoide import cli
from aoide.config import UserError
from aoide.serve import desk, tabs
from aoide.serve.desk import Job

MICROPHONE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")  # it hears a beep, and agrees
NAMELESS = """() => [...document.querySelectorAll("input, textarea, button, select")]
    .filter(e => e.offsetParent && !e.labels?.length && !e.ariaLabel && !e.title && !e.innerText.trim())
    .map(e => e.outerHTML.slice(0, 150))"""
HEARD = """async (href) => {
    const data = await (await fetch(href)).arrayBuffer();
    const sound = await new OfflineAudioContext(1, 1, 24000).decodeAudioData(data);
    const samples = sound.getChannelData(0);
    return [sound.duration, Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length)];
}"""


def test_a_job_is_what_one_would_type(tmp_path: Path) -> None:
    told: list[float] = []
    job = Job(("say", "Hello there, it's me.", "-o", "out.wav"), tmp_path)
    assert job.line == """aoide say 'Hello there, it'"'"'s me.' -o out.wav"""
    assert desk.run(job, told.append) == []
    assert (tmp_path / "out.wav").stat().st_size > 10_000


def test_what_a_verb_finds_wrong_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no voice 'nobody'"):
        desk.run(Job(("say", "Hi.", "--voice", "nobody", "-o", "out.wav"), tmp_path), lambda _: None)


def test_a_bar_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "bar.py"
    script.write_text(
        "import sys, tqdm\nfor _ in tqdm.tqdm(range(4), mininterval=0): pass\nprint('aoide: odd', file=sys.stderr)"
    )
    monkeypatch.setattr(desk, "_command", lambda _: [sys.executable, str(script)])
    told: list[float] = []
    assert desk.run(Job((), tmp_path), told.append) == ["odd"]
    assert told[-1] == 1.0 and len(told) > 2


def test_a_remark_before_a_crash_is_not_taken_for_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crash = "import os, sys; print('aoide: odd', file=sys.stderr, flush=True); os._exit(3)"
    monkeypatch.setattr(desk, "_command", lambda _: [sys.executable, "-S", "-c", crash])
    with pytest.raises(UserError, match="`aoide say` ended with status 3"):
        desk.run(Job(("say",), tmp_path), lambda _: None)


@pytest.mark.parametrize("tab", tabs.all_of(), ids=lambda tab: tab.name)
def test_the_lines_of_python_are_python(tab: tabs.Tab) -> None:
    assert len(tab.examples[0]) == len(tab.fields)
    values = dict(zip((field.name for field in tab.fields), tab.examples[0], strict=True))
    compile(tab.lines(values), tab.name, "exec")
    assert tab.words(values)[0] in [
        path.stem for path in (Path(tabs.__file__).parents[1] / "commands").glob("[!_]*.py")
    ]


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    pytest.importorskip("gradio")
    api = pytest.importorskip("playwright.sync_api")
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium on this machine")
    from tests.serve.server import free_port

    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "aoide.cli", "studio", "--port", str(port), "--no-browser"])
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        with api.sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", *MICROPHONE])
            page = chromium.new_page(viewport={"width": 1280, "height": 900})
            page.errors = []
            page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
            page.goto(f"http://127.0.0.1:{port}/")
            page.wait_for_selector("#run-say", timeout=60_000)
            yield page
            chromium.close()
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.sweep  # 30 s in all: a process for each tab
@pytest.mark.parametrize("tab", tabs.all_of(), ids=lambda tab: tab.name)
def test_a_tab_works(page: Any, tab: tabs.Tab) -> None:
    page.get_by_role("tab", name=tab.name, exact=True).click()
    panel = page.locator(f"#tab-{tab.name}")
    panel.locator("tbody tr").first.locator("td").first.click()
    page.wait_for_timeout(500)  # until the example is in the fields
    page.click(f"#run-{tab.name}")
    link = panel.locator(f"#{tab.name}-file a[download]").first
    failed = page.locator(f"#{tab.name}-remarks").get_by_text("This could not be done.")
    link.or_(failed).wait_for(timeout=90_000)
    assert failed.count() == 0, page.locator(f"#{tab.name}-remarks").inner_text()
    assert (link.get_attribute("download") or "").partition(".")[0] == tab.name
    assert page.evaluate(NAMELESS) == []  # a screen reader has a name for everything
    if tab.shows == "sound":
        seconds, level = page.evaluate(HEARD, link.get_attribute("href"))
        assert seconds > 0.5 and level > 0.005
        assert page.locator(f"#{tab.name}-picture img").first.evaluate("image => image.naturalWidth") > 50
    else:
        frame = page.frame_locator(f"#{tab.name}-page iframe")
        assert len(frame.locator("body").inner_text()) > 100
    assert f"aoide {tab.name}" in page.locator(f"#{tab.name}-command").inner_text()
    assert "import" in page.locator(f"#{tab.name}-python").inner_text()
    assert not page.errors


@pytest.mark.sweep
def test_errors_are_told_where_they_stay(page: Any) -> None:
    page.get_by_role("tab", name="say", exact=True).click()
    page.locator("#say-text textarea").fill("... <>")
    page.click("#run-say")
    page.locator("#say-remarks").get_by_text("This could not be done.").wait_for(timeout=30_000)
    page.locator("#say-text textarea").fill("")
    page.locator("#run-say").focus()
    page.keyboard.press("Enter")
    page.locator("#say-remarks").get_by_text("Text: is empty").wait_for(timeout=30_000)


@pytest.mark.sweep  # 6 s: a recording of two seconds, and a conversion
def test_a_recording_needs_consent(page: Any) -> None:
    page.get_by_role("tab", name="convert", exact=True).click()
    sound, remarks = page.locator("#convert-sound"), page.locator("#convert-remarks")
    page.wait_for_timeout(300)
    if sound.get_by_label("Clear").count():
        sound.get_by_label("Clear").click()
    sound.get_by_label("Record audio").click()
    sound.locator(".record-button").click()
    page.wait_for_timeout(1500)
    sound.locator(".stop-button").click()
    sound.get_by_label("Play", exact=True).first.wait_for(timeout=10_000)
    page.click("#run-convert")
    remarks.get_by_text("needs that line ticked").wait_for(timeout=20_000)
    page.check("#convert-consent input")
    page.click("#run-convert")
    remarks.get_by_text("needs that line ticked").wait_for(state="hidden", timeout=60_000)


@pytest.mark.slow  # 60 s: a process for each
@pytest.mark.parametrize("tab", tabs.all_of(), ids=lambda tab: tab.name)
def test_every_example_works(tab: tabs.Tab, tmp_path: Path) -> None:
    """The later ones of each tab; the first is taken in the browser."""
    pytest.importorskip("gradio")
    from aoide.serve.studio import Examples

    examples = Examples()
    for number, row in enumerate(tab.examples[1:]):
        folder = tmp_path / str(number)
        folder.mkdir()
        values: dict[str, Any] = {}
        for field, value in zip(tab.fields, row, strict=True):
            values[field.name] = examples.value(value)
            if field.kind == "script":
                (folder / "script.txt").write_text(str(value), "utf-8")
                values[field.name] = "script.txt"
        desk.run(Job(tuple(tab.words(values)), folder), lambda _: None)
        made = next(iter(folder.glob(tab.result or f"{tab.name}.wav")))
        assert made.stat().st_size > 10_000


def test_a_text_is_no_option(tmp_path: Path) -> None:
    """Who types into the page does not choose which file is read or written."""
    from aoide.serve.studio import plain

    (tmp_path / "secret.txt").write_text("Nobody may hear this at all, whatever they type into the page.", "utf-8")
    texts = ("--file=secret.txt", "-o/tmp/x.wav", "-", "-2", "Hi.\0")
    assert [plain(text) for text in texts] == [" --file=secret.txt", " -o/tmp/x.wav", " -", "-2", "Hi."]
    values = {"text": plain("--file=secret.txt"), "voice": "en-heart", "speed": 1.0, "pitch": 0, "seed": 0}
    desk.run(Job(tuple(tabs.say().words(values)), tmp_path), lambda _: None)
    assert (tmp_path / "say.wav").stat().st_size < 48_000 * 3  # "file secret txt", and not the sentence in it


def test_a_licence_is_a_name() -> None:
    from aoide.serve.studio import licence

    for text, name in (
        ("MIT, as the code", "MIT"),
        ("CC-BY-SA-3.0. Attribution", "CC-BY-SA-3.0"),
        ("CC-BY-3.0 (https://x)", "CC-BY-3.0"),
    ):
        assert licence(f"# x\n\n## Licence\n\n{text}\n\n## Ethics\n") == name


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--host", "0.0.0.0"), "--password"),
        (("--port", "70000"), "65535"),
        (("--host", "nowhere.invalid", "--password", "x"), "cannot listen"),
    ],
)
def test_where_the_studio_does_not_open(words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["studio", "--no-browser", *words]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1
