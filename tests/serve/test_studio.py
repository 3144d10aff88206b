"""The studio in a browser, as somebody uses it: take an example, press, hear."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aoide.config import UserError
from aoide.serve import desk, tabs
from aoide.serve.desk import Job

HEARD = """async (href) => {
    const data = await (await fetch(href)).arrayBuffer();
    const sound = await new OfflineAudioContext(1, 1, 24000).decodeAudioData(data);
    const samples = sound.getChannelData(0);
    return [sound.duration, Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length)];
}"""


def test_a_job_is_what_one_would_type(tmp_path: Path) -> None:
    told: list[float | None] = []
    job = Job(("say", "Hello there, it's me.", "-o", "out.wav"), tmp_path)
    assert job.line == """aoide say 'Hello there, it'"'"'s me.' -o out.wav"""
    assert desk.run(job, lambda share, _: told.append(share)) == []
    assert (tmp_path / "out.wav").stat().st_size > 10_000


def test_what_a_verb_finds_wrong_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no voice 'nobody'"):
        desk.run(Job(("say", "Hi.", "--voice", "nobody", "-o", "out.wav"), tmp_path), lambda *_: None)


def test_a_bar_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "bar.py"
    script.write_text(
        "import sys, tqdm\nfor _ in tqdm.tqdm(range(4), mininterval=0): pass\nprint('aoide: odd', file=sys.stderr)"
    )
    monkeypatch.setattr(desk, "_command", lambda _: [sys.executable, str(script)])
    told: list[float | None] = []
    assert desk.run(Job((), tmp_path), lambda share, _: told.append(share)) == ["odd"]
    assert told[-1] == 1.0 and len(told) > 2


@pytest.mark.parametrize("tab", tabs.all_of(), ids=lambda tab: tab.name)
def test_the_lines_of_python_are_python(tab: tabs.Tab) -> None:
    assert len(tab.examples[0]) == len(tab.fields)
    values = dict(zip((field.name for field in tab.fields), tab.examples[0], strict=True))
    compile(tab.lines(values), tab.name, "exec")
    assert tab.words(values)[0] in ("say", "sing", "convert", "resynth", "evaluate", "sound", "song", "explain")


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    pytest.importorskip("gradio")
    api = pytest.importorskip("playwright.sync_api")
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium on this machine")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "aoide.cli", "studio", "--port", str(port), "--no-browser"])
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        with api.sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
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
    link.wait_for(timeout=90_000)
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
def test_errors_are_told(page: Any) -> None:
    page.get_by_role("tab", name="say", exact=True).click()
    page.locator("#say-text textarea").fill("...")
    page.click("#run-say")
    page.get_by_text("nothing to say").first.wait_for(timeout=30_000)
