"""The pictures of the page about the studio: python benchmarks/pictures_studio.py [TAB ...]

    docs/images/studio-TAB.png   each tab after its first example, in Chromium, 1280 pixels wide

Needs Playwright and a Chromium of the system. Takes two minutes; `--narrow FOLDER` also leaves there what a telephone
shows.
"""

import argparse
import io
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from aoide.serve import tabs

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
LARGEST = 250_000  # bytes of a picture
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def studio() -> Iterator[str]:
    """The address of a studio that has come up."""
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
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(20)


def work(page: Any, tab: str) -> None:
    """Takes the first example of a tab, presses its button and waits for what comes."""
    page.get_by_role("tab", name=tab, exact=True).first.click()
    panel = page.locator(f"#tab-{tab}")
    panel.locator("tbody tr").first.locator("td").first.click()
    page.wait_for_timeout(700)
    page.click(f"#run-{tab}")
    panel.locator(f"#{tab}-file a[download]").first.wait_for(timeout=300_000)
    page.wait_for_timeout(2000)
    page.evaluate("scrollTo(0, 0)")
    page.mouse.move(1270, 5)


def save(picture: bytes, path: Path) -> None:
    """In as many colours as fit into the bytes that a picture may have."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    for colours in (256, 128, 64, 32):
        image.quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size <= LARGEST:
            break
    print(path, path.stat().st_size)


def main() -> None:
    known = [tab.name for tab in tabs.all_of()]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tabs", nargs="*", default=known, help=", ".join(known))
    parser.add_argument("--narrow", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    browser = next(filter(None, map(which, CHROMIUM)), None)
    with studio() as address, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport=WIDE)
        page.goto(address)
        page.wait_for_selector("#run-say", timeout=60_000)
        for tab in options.tabs:
            work(page, tab)
            save(page.screenshot(full_page=True), IMAGES / f"studio-{tab}.png")
            if options.narrow:
                page.set_viewport_size(NARROW)
                page.wait_for_timeout(700)
                page.screenshot(path=options.narrow / f"studio-{tab}.png", full_page=True)
                page.set_viewport_size(WIDE)
        chromium.close()


if __name__ == "__main__":
    main()
