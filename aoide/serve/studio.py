"""The studio: a page with a tab for each task, made with Gradio from `tabs.py`.

Each tab runs its verb in a process of its own (`desk.py`), shows the sound, its spectrogram and F0, what the verb
remarked, the command line and the lines of Python that do the same, and the model cards with their licences.
"""

from __future__ import annotations

import base64
import html
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aoide import voices
from aoide.config import UserError, require
from aoide.serve import desk, tabs
from aoide.serve.desk import Job
from aoide.serve.tabs import Field, Tab, Values

CONSENT = "The voice in this recording is mine, or its speaker agreed to what I do with it."
ASK = "A recording from the microphone needs that line ticked: it is somebody's voice."
EXAMPLES = Path(__file__).parent / "examples"
KEEP = 3600  # seconds that what was made stays on the disk
LARGEST = "100mb"  # of a file that is given
USER = "aoide"  # of the page that asks for the password
LONGEST = 30.0  # seconds of a picture
WIDTH = 600  # pixels of it, at least
STYLE = """
.card {max-height: 24em; overflow: auto}
.picture img {width: 100%; height: 12em; object-fit: fill; image-rendering: pixelated}
.picture figcaption {font-size: 0.85em; opacity: 0.8}
table th {white-space: normal !important; font-size: 0.85em}
footer {display: none !important}
"""


def build() -> Any:
    """The page, to be launched.

    Raises:
        MissingExtra: Gradio is not installed.
    """
    gr = require("gradio", "studio")
    examples = Examples()
    with gr.Blocks(title="Aoide studio", analytics_enabled=False, delete_cache=(KEEP, KEEP)) as page:
        gr.Markdown("# Aoide studio\nAny input becomes sound. Whatever comes out is synthetic, and its file says so.")
        for tab in tabs.all_of():
            with gr.Tab(tab.name, id=tab.name, elem_id=f"tab-{tab.name}"):
                _Drawn(gr, tab, examples)
    return page


def launch(host: str, port: int, inbrowser: bool = False, password: str = "") -> None:
    """Serves the page until it is interrupted."""
    page = build()
    page.queue(default_concurrency_limit=1, max_size=32)
    page.launch(
        server_name=host,
        server_port=port,
        inbrowser=inbrowser,
        share=False,
        auth=(USER, password) if password else None,
        auth_message=f"The user is {USER}; the password is the one that the studio was started with.",
        max_file_size=LARGEST,
        css=STYLE,
        footer_links=[],
        ssr_mode=False,
        quiet=True,
    )


class Examples:
    """The files that examples name, in a folder of this studio; sounds are made when it opens."""

    def __init__(self) -> None:
        from aoide.generate.singer import Singer
        from aoide.generate.vocoder import Vocoder
        from aoide.generate.voice import Voice
        from aoide.score import Score

        self._kept = tempfile.TemporaryDirectory(prefix="aoide-studio-")
        self.folder = Path(self._kept.name)
        for path in EXAMPLES.iterdir():
            shutil.copy(path, self.folder)
        speech = Voice(voices.find(voices.DEFAULT)).say("The voice that says this is not anybody's.")
        speech.save(self.folder / "speech.wav")
        Vocoder(voices.DEFAULT_VOCODER).resynth(speech).save(self.folder / "copy.wav")
        song = Singer(voices.DEFAULT_SINGERS["en"]).sing(Score.load(EXAMPLES / "twinkle.musicxml"))
        song.save(self.folder / "song.wav")
        self.jobs = self.folder / "jobs"
        self.jobs.mkdir()

    def job(self) -> Path:
        """An empty folder for a job; those of jobs that ended long ago are removed."""
        for old in self.jobs.iterdir():
            if time.time() - old.stat().st_mtime > KEEP:
                shutil.rmtree(old, ignore_errors=True)
        return Path(tempfile.mkdtemp(dir=self.jobs))

    def value(self, value: Any) -> Any:
        """A value of an example, with the path of its file."""
        if isinstance(value, str) and value.startswith("example:"):
            return str(self.folder / value.removeprefix("example:"))
        return value


class _Drawn:
    """A tab on the page."""

    def __init__(self, gr: Any, tab: Tab, examples: Examples) -> None:
        self._gr, self._tab, self._kept = gr, tab, examples
        gr.Markdown(tab.about)
        with gr.Row():
            with gr.Column():
                inputs = [self._field(field) for field in tab.fields if not field.more]
                more = [field for field in tab.fields if field.more]
                if more:
                    with gr.Accordion("More", open=False):
                        inputs += [self._field(field) for field in more]
                self._order = [*(f for f in tab.fields if not f.more), *more]
                recorded, agreed = self._consent(inputs)
                button = gr.Button(tab.name.capitalize(), variant="primary", elem_id=f"run-{tab.name}")
                if tab.shows == "sound":
                    self._beside(inputs)
            with gr.Column():
                if tab.shows == "sound":
                    outputs = self._outputs()
                else:
                    self._beside(inputs)
        if tab.shows == "page":  # it needs the width
            outputs = self._outputs()

        def work(bar: Any = gr.Progress(), *given: Any) -> Any:  # noqa: B008 - Gradio looks for it there
            return self._run(bar, *given)

        button.click(work, [*inputs, *recorded, agreed], outputs, concurrency_id="desk", api_name=tab.name)

    def _beside(self, inputs: Sequence[Any]) -> None:
        """The examples, and the model cards."""
        rows = [[self._kept.value(value) for value in self._sorted(row)] for row in self._tab.examples]
        self._gr.Examples(rows, inputs, label="Examples: click one, then press the button", cache_examples=False)
        for name in self._tab.cards:
            self._card(name)

    def _sorted(self, row: Sequence[Any]) -> list[Any]:
        """Values in the order of the fields on the page."""
        by_name = dict(zip((field.name for field in self._tab.fields), row, strict=True))
        return [by_name[field.name] for field in self._order]

    def _field(self, field: Field) -> Any:
        gr, name = self._gr, f"{self._tab.name}-{field.name}"
        if field.kind in ("text", "lines", "script"):
            lines = {"text": 1, "lines": 3, "script": 8}[field.kind]
            return gr.Textbox(field.value, label=field.label, lines=lines, max_length=20_000, elem_id=name)
        if field.kind == "number":
            least, most, step = field.bounds
            return gr.Slider(least, most, field.value, step=step, label=field.label, elem_id=name)
        if field.kind == "choice":
            return gr.Dropdown(list(field.choices), value=field.value, label=field.label, elem_id=name)
        if field.kind == "sound":
            return gr.Audio(
                sources=["upload", "microphone"],
                type="filepath",
                label=field.label,
                elem_id=name,
                format="wav",
                buttons=[],
            )
        return gr.File(file_types=list(field.endings), label=field.label, elem_id=name)

    def _consent(self, inputs: Sequence[Any]) -> tuple[list[Any], Any]:
        """For each sound whether it was recorded here, and whether its speaker agreed."""
        gr = self._gr
        sounds = [part for part, field in zip(inputs, self._order, strict=True) if field.kind == "sound"]
        recorded = [gr.State(False) for _ in sounds]
        agreed = gr.Checkbox(label=CONSENT, visible=bool(sounds), elem_id=f"{self._tab.name}-consent")
        for sound, own in zip(sounds, recorded, strict=True):
            sound.start_recording(lambda: True, None, own)
            for other in (sound.upload, sound.clear):
                other(lambda: False, None, own)
        return recorded, agreed

    def _outputs(self) -> list[Any]:
        gr, name = self._gr, self._tab.name
        told = gr.Markdown(elem_id=f"{name}-remarks")
        if self._tab.shows == "page":
            shown = [gr.HTML(elem_id=f"{name}-page"), gr.HTML(visible=False)]
        else:
            shown = [
                gr.Audio(label="Sound", interactive=False, elem_id=f"{name}-sound", format="wav", buttons=["download"]),
                gr.HTML(elem_id=f"{name}-picture", elem_classes="picture"),
            ]
        return [
            told,
            *shown,
            gr.File(label="Download", interactive=False, elem_id=f"{name}-file"),
            self._code("Command line", "shell", f"{name}-command"),
            self._code("Python", "python", f"{name}-python"),
        ]

    def _code(self, label: str, language: str, name: str) -> Any:
        return self._gr.Code(
            label=label, language=language, interactive=False, elem_id=name, lines=1, wrap_lines=True, buttons=["copy"]
        )

    def _card(self, name: str) -> None:
        folder = next(voices.find(name, kind=kind) for kind in voices.KINDS if name in voices.names(kind))
        text = (folder / "card.md").read_text("utf-8")
        with self._gr.Accordion(f"Model card of {name}: {licence(text)}", open=False):
            self._gr.Markdown(text, elem_classes="card")

    def _run(self, bar: Any, *given: Any) -> Any:
        """What the button does: one after the other for all listeners."""
        tab = self._tab
        fields, (*recorded, agreed) = given[: len(self._order)], given[len(self._order) :]
        if any(recorded) and not agreed:
            return self._failed(ASK)
        folder = self._kept.job()
        try:
            values = self._values(fields, folder)
            job = Job(tuple(tab.words(values)), folder)
            bar(0, desc=tab.name)
            remarks = desk.run(job, lambda share: bar(share, desc=tab.name))
            made = min(folder.glob(tab.result or f"{tab.name}.wav"))
            made = made.replace(folder / f"{tab.name}{made.suffix}")  # the name of the download
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, UserError):
                return self._failed(str(error))
            raise
        told = "\n".join(f"- {html.escape(remark)}" for remark in remarks)
        return told, *self._shown(made), str(made), job.line, tab.lines(values)

    def _failed(self, why: str) -> tuple[Any, ...]:
        """What was wrong, in a note that goes and in one that stays."""
        why = html.escape(why)
        self._gr.Warning(why, title=f"{self._tab.name}: this could not be done")
        return f"**This could not be done.** {why}", None, None, None, None, None

    def _values(self, given: Sequence[Any], folder: Path) -> Values:
        """The values of the fields; files are copied into the folder, under plain names."""
        found: dict[str, Any] = {}
        for field, value in zip(self._order, given, strict=True):
            if not value and field.needed and field.kind not in ("number", "choice"):
                raise UserError(f"{field.label}: is empty; fill it in, or take an example from below")
            if field.kind in ("sound", "file") and value:
                name = f"{field.name}{Path(value).suffix.lower()}"
                shutil.copy(value, folder / name)
                found[field.name] = name
                continue
            if isinstance(value, str):
                value = plain(value)  # noqa: PLW2901 - the command gets it so
            if field.kind == "script":
                (folder / f"{field.name}.txt").write_text(value, "utf-8")
                value = f"{field.name}.txt"  # noqa: PLW2901 - the command reads it from there
            found[field.name] = value
        return found

    def _shown(self, made: Path) -> tuple[Any, Any]:
        if self._tab.shows == "page":
            inside = html.escape(made.read_text("utf-8"), quote=True)
            frame = (
                f'<iframe title="{self._tab.name}" sandbox="allow-scripts allow-downloads allow-modals" '
                f'srcdoc="{inside}" style="width:100%;height:80vh;border:0"></iframe>'
            )
            return frame, None
        data = base64.b64encode(picture(made, self._tab.melody)).decode("ascii")
        line = "; the white line is F0, the melody" if self._tab.melody else ""
        image = f'<img alt="Mel spectrogram of the sound" src="data:image/png;base64,{data}">'
        told = f"Mel spectrogram up to 8 kHz{line}. The first {LONGEST:g} s are shown."
        return str(made), f"<figure>{image}<figcaption>{told}</figcaption></figure>"


def plain(text: str) -> str:
    """A text as a word of a command line: it is no option of the verb, whatever it begins with."""
    text = text.replace("\0", "")
    return f" {text}" if text.startswith("-") and not re.fullmatch(r"-[\d.]+", text) else text


def licence(card: str) -> str:
    """The name with which a card's part on its licence begins."""
    part = card.partition("## Licence")[2].strip().replace("\n", " ")
    return re.split(r"[.,:;] | \(|\.$", part, maxsplit=1)[0]


def picture(sound: Path, melody: bool) -> bytes:
    """The mel spectrogram of the beginning of a sound, if need be with its F0, as a PNG."""
    import numpy as np

    from aoide.audio import io, pitch
    from aoide.audio.mel_config import MelConfig
    from aoide.audio.spectrum import log_mel
    from aoide.plots import spectrogram

    rate, hop = 16_000, 160
    samples = np.concatenate([np.zeros(0, np.float32), *io.blocks(sound, rate)])[: round(LONGEST * rate)]
    config = MelConfig(sample_rate=rate, n_fft=1024, hop=hop, win=1024, n_mels=80, fmin=0, fmax=8000)
    mel = log_mel(samples, config)
    hz = pitch.track(samples, rate, hop, method="swift") if melody else np.zeros(len(mel), np.float32)
    wide = -(-WIDTH // len(mel)) if len(mel) else 1
    return spectrogram.draw([(mel.repeat(wide, 0), hz[: len(mel)].repeat(wide))])
