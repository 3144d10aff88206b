"""Makes the pictures of docs/explaining.md: trains a toy, records it, opens the pages and takes what is seen.

    pip install pillow playwright
    python tools/make_explorer_images.py work         writes the traces to work/, the pictures to docs/images/
    python tools/make_explorer_images.py work --seen  the traces are there already: only the pictures

The toy is a DiffWaveNetSVC of half a million weights that learns one sentence of en-heart by heart, in two minutes on a
processor. For discriminators give a run of a vocoder that was trained with them (--vocoder RUN), for unmasking a folder
of tools/make_toy_maskgct.py (--maskgct DIR), for an aligner a run of tts/fastspeech2 (--aligner RUN).
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
SENTENCE = (
    "Out of the noise, step by step, a voice comes forth: first where it is loud, then how high it sings, and last of "
    "all what it says."
)
WEIGHTS = "toy.safetensors"
STEPS = 700  # of training
COLOURS = 256  # of a picture of more bytes than the next
MOST = 200_000


def toy(folder: Path) -> tuple[Any, dict[str, Any], Any]:
    """The toy, what it is given, and the sentence; trained where there are no weights yet."""
    import torch
    from safetensors.torch import load_file, save_file

    import aoide
    from aoide.explain import heard
    from aoide.models.svc import diffwavenetsvc as svc
    from aoide.nn.conversion import Conditions
    from aoide.nn.denoise import Denoiser, SharedTime
    from aoide.objectives.diffusion import Process

    sound = aoide.load("en-heart").say(SENTENCE)
    mel = torch.from_numpy(heard.picture(sound))[None]
    fields = {
        "content": torch.nn.functional.avg_pool1d(mel, 5),
        "f0": torch.from_numpy(heard.f0_of(sound, mel.shape[1]))[None].float(),
        "energy": mel.exp().norm(dim=-1),
    }
    torch.manual_seed(0)
    config = svc.Config(
        mel=heard.HOUSE,
        low=(-11.6,),
        high=(3.0,),
        conditions=Conditions(content={"coarse": 20}, dim=64, speakers=None),
        process=Process(predicts="x0"),
        denoiser=Denoiser(channels=80, layers=8, cycle=4, time=SharedTime(sinusoids=32, hidden=64)),
    )
    model = svc.Model(config)
    if (folder / WEIGHTS).exists():
        model.load_state_dict(load_file(folder / WEIGHTS))
    else:
        train(model, mel, fields)
        save_file(model.state_dict(), folder / WEIGHTS)
    return model.eval(), fields, sound


def train(model: Any, mel: Any, fields: dict[str, Any]) -> None:
    """The toy learns the sentence."""
    import torch
    from tqdm import trange

    target, alphas = model.normalise(mel), model.config.process.alphas()
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=STEPS)
    for _ in trange(STEPS, unit="step"):
        frames = torch.randint(0, mel.shape[1] - 160, (4, 1)) + torch.arange(160)
        step = torch.randint(0, len(alphas), (4,))
        alpha = alphas[step].float()[:, None, None]
        clean = target[0][frames]
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * torch.randn_like(clean)
        given = {name: value[0][frames] for name, value in fields.items()}
        loss = (model(noisy=noisy, step=step, **given) - clean).square().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        rate.step()


def record(folder: Path, options: argparse.Namespace) -> None:
    """Writes the traces that are shown."""
    import torch

    import aoide
    from aoide.explain import page
    from aoide.explain.subjects import Request, explain

    model, fields, sound = toy(folder)
    about = {"title": "A toy of DiffWaveNetSVC, 40 steps", "task": "convert", "source": "en-heart"}
    with aoide.trace(model, steps=40, sampler="ddim", **about) as recorder:
        model.convert(**fields, steps=40, sampler="ddim", generator=torch.Generator().manual_seed(0))
    recorder.reference = sound
    page.write(folder / "toy.html", [recorder.trace])
    sound.save(folder / "sentence.wav")
    singers = [
        explain(Request(model="convert-24k", input=str(folder / "sentence.wav"), settings={"voice": voice}))
        for voice in ("heart", "f001")
    ]
    page.write(folder / "singers.html", singers)
    requests = {"said": Request(model="en-heart", input="Any input becomes sound, step by step.")}
    if options.vocoder:
        requests["critic"] = Request(model=options.vocoder, input=str(folder / "sentence.wav"))
    voice = {"like": str(folder / "sentence.wav"), "like_text": SENTENCE}
    if options.maskgct:
        requests["unmasking"] = Request(model="tts/maskgct", input=SENTENCE[:32], weights=options.maskgct, **voice)
    if options.aligner:
        requests["alignment"] = Request(model=options.aligner, input=SENTENCE, **voice)
    for name, request in requests.items():
        page.write(folder / f"{name}.html", [explain(request)])


SEEN = {  # picture -> page, keys before it is taken, what is clicked, size
    "explain-step": ("toy", "1", "", (1280, 740)),
    "explain-noise": ("toy", "1", "slider", (1280, 740)),
    "explain-compare": ("singers", "2", "#task [data-value=singer]", (1280, 860)),
    "explain-path": ("toy", "a3", "", (1280, 760)),
    "explain-metrics": ("toy", "a4", "", (1280, 800)),
    "explain-inside": ("said", "a5", "", (1280, 660)),
    "explain-alignment": ("alignment", "a5", "#inside [data-value='1']", (1280, 760)),
    "explain-unmasking": ("unmasking", "a5", "#inside [data-value='1']", (1280, 760)),
    "explain-critic": ("critic", "a5", "", (1280, 800)),
    "explain-dark": ("toy", "ad3", "", (1280, 760)),
    "explain-telephone": ("toy", "1", "", (390, 844)),
}


def take(folder: Path) -> None:
    """Writes the pictures."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, (which, keys, click, (width, height)) in SEEN.items():
            path = folder / f"{which}.html"
            if not path.exists():
                continue
            page = browser.new_page(viewport={"width": width, "height": height}, locale="en-US")
            page.goto(path.resolve().as_uri())
            page.wait_for_selector("html[data-ready]")
            for key in keys:
                page.keyboard.press(key)
            if click == "slider":
                page.locator("#step-slider").fill("30")
            elif click:
                page.click(click)
            page.wait_for_timeout(500)
            write(IMAGES / f"{name}.png", page.screenshot())
            page.close()
        browser.close()


def write(path: Path, picture: bytes) -> None:
    """The picture; a large one with few colours."""
    from PIL import Image

    from aoide.plots.png import encode

    if len(picture) > MOST:
        image = Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        palette = np.array(image.getpalette(), np.uint8).reshape(-1, 3)[:COLOURS]
        picture = encode(np.array(image), palette)
    path.write_bytes(picture)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="the folder for weights and pages")
    parser.add_argument("--seen", action="store_true", help="the pages are there already")
    parser.add_argument("--vocoder", metavar="RUN")
    parser.add_argument("--maskgct", metavar="DIR")
    parser.add_argument("--aligner", metavar="RUN")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if not options.seen:
        record(options.work, options)
    take(options.work)


if __name__ == "__main__":
    main()
