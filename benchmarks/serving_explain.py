"""What does it cost to look at a model? The recorder beside the same run without it, and the page in a browser.

    pip install playwright                      it drives Debian's chromium, or google-chrome
    python benchmarks/serving_explain.py        prints the table; benchmarks/serving.py calls `run`

| figure                                                        | must    | aim     |
|---------------------------------------------------------------|---------|---------|
| page opens and is interactive, 10 s trace, headless Chromium  | 2 s     | 1 s     |
| explaining on against off, generation time                    | 1.5 x   | 1.2 x   |
| page of 10 s of sound                                         | 10 MB   |         |

The trace is that of a diffusion model of 100 mels with weights that were not trained, so that its pictures are noise,
which packs worst: 50 steps, nine of them heard. Explaining is measured of it and of the voice of the package, in turns
of on and off, the fastest of each. The page is opened in a new window each time: from the address to the moment when
keys and clicks are answered.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS = 10.0
STEPS = 50
TEXT = (
    "Out of the noise, step by step, a voice comes forth: first where it is loud, then how high it sings, and last of "
    "all what it says, so that whoever listens can hear how it was made."
)
MUST = {"interactive_s": 2.0, "explaining_over_not": 1.5, "page_mb": 10.0}
AIM = {"interactive_s": 1.0, "explaining_over_not": 1.2, "page_mb": 10.0}


def run(quick: bool = False) -> dict[str, Any]:
    """Measures all.

    Args:
        quick: each thing twice and of less sound.

    Raises:
        RuntimeError: no browser is installed, or no playwright.
    """
    rounds, seconds = (2, 3.0) if quick else (5, SECONDS)
    import aoide
    from aoide.explain import page

    work = _diffusion(seconds)
    voice = aoide.load("en-heart")
    ratios = {"diffusion": _ratio(work, rounds), "voice": _ratio(lambda: voice.say(TEXT), rounds)}
    with aoide.trace(work.model, task="convert", steps=STEPS) as recorder:
        work()
    began = time.perf_counter()
    trace = recorder.trace
    gathered = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.html"
        page.write(path, [trace])
        opened = _opened(path, rounds)
        size = path.stat().st_size / 1e6
    return {
        "interactive_s": round(statistics.median(opened), 3),
        "interactive_s_each": [round(value, 3) for value in opened],
        "explaining_over_not": round(max(ratios.values()), 3),
        "explaining_over_not_each": {name: round(value, 3) for name, value in ratios.items()},
        "page_mb": round(size, 2),
        "sound_s": round(trace.about["seconds"], 2),
        "gather_s": round(gathered, 2),
    }


class _diffusion:  # noqa: N801  (it is called as a function)
    """A converter of voices by diffusion, and what it is given."""

    def __init__(self, seconds: float) -> None:
        import torch

        from aoide.explain.heard import HOUSE
        from aoide.models.svc import diffwavenetsvc as svc
        from aoide.nn.conversion import Conditions
        from aoide.nn.denoise import Denoiser, SharedTime

        torch.manual_seed(0)
        frames = round(seconds * HOUSE.frame_rate)
        conditions = Conditions(content={"whisper": 64}, dim=96, speakers=2)
        denoiser = Denoiser(channels=96, layers=10, cycle=5, time=SharedTime())
        self.model = svc.Model(svc.Config(mel=HOUSE, conditions=conditions, denoiser=denoiser)).eval()
        torch.nn.init.normal_(self.model.denoiser.out.weight, std=0.02)
        self.fields = {
            "content": torch.randn(1, frames, 64),
            "f0": 150 + 100 * torch.rand(1, frames),
            "energy": torch.rand(1, frames),
            "speaker": torch.zeros(1, dtype=torch.long),
        }

    def __call__(self) -> None:
        import torch

        seed = torch.Generator().manual_seed(0)
        self.model.convert(**self.fields, steps=STEPS, sampler="ddim", generator=seed)


def _ratio(work: Callable[[], Any], rounds: int) -> float:
    """How many times longer it takes with the recorder."""
    import aoide

    work()
    on, off = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        off.append(time.perf_counter() - began)
        began = time.perf_counter()
        with aoide.trace():
            work()
        on.append(time.perf_counter() - began)
    return min(on) / min(off)


def _opened(path: Path, rounds: int) -> list[float]:
    """Seconds until the page answers, of some windows."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise RuntimeError("this needs playwright: pip install playwright") from None
    if chromium is None:
        raise RuntimeError("this needs chromium or google-chrome")
    found = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(rounds + 1):
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-ready]")
            found.append(float(page.evaluate("document.documentElement.dataset.ready")) / 1000)
            page.close()
        browser.close()
    return found[1:]  # the first one warms the browser up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="each thing twice, and of less sound")
    found = run(parser.parse_args().quick)
    for name, must in MUST.items():
        value = found[name]
        mark = "aim" if value <= AIM[name] else "must" if value <= must else "MISSED"
        print(f"{name:20} {value:8g}   must {must:g}, aim {AIM[name]:g}   {mark}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
