"""The studio: a page with a tab for each task, made with Gradio from `tabs.py`.

Each tab runs its verb in a process of its own (`desk.py`), shows the sound, its spectrogram and F0, what the verb
remarked, the command line and the lines of Python that do the same, and the model cards with their licences.
"""

from __future__ import annotations

import html
import shutil
import tempfile
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
LONGEST = 30.0  # seconds of a picture
STYLE = """
.card {max-height: 24em; overflow: auto}
.picture img {width: 100%; height: 12em; object-fit: fill}
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


def launch(host: str, port: int, inbrowser: bool = False) -> None:
    """Serves the page until it is interrupted."""
    page = build()
    page.queue(default_concurrency_limit=1, max_size=32)
    page.launch(
        server_name=host, server_port=port, inbrowser=inbrowser, share=False, css=STYLE, footer_links=[], ssr_mode=False
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

    def value(self, value: Any) -> Any:
        """A value of an example, with the path of its file."""
        if isinstance(value, str) and value.startswith("example:"):
            return str(self.folder / value.removeprefix("example:"))
        return value


class _Drawn:
    """A tab on the page."""

    def __init__(self, gr: Any, tab: Tab, examples: Examples) -> None:
        self._gr, self._tab = gr, tab
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
                button = gr.Button(tab.name, variant="primary", elem_id=f"run-{tab.name}")
            with gr.Column():
                outputs = self._outputs()

        def work(bar: Any = gr.Progress(), *given: Any) -> Any:  # noqa: B008 - Gradio looks for it there
            return self._run(bar, *given)

        button.click(work, [*inputs, recorded, agreed], outputs, concurrency_id="desk", api_name=tab.name)
        if tab.examples:
            rows = [[examples.value(value) for value in self._sorted(row)] for row in tab.examples]
            gr.Examples(rows, inputs, label="Examples", cache_examples=False)
        for name in tab.cards:
            self._card(name)

    def _sorted(self, row: Sequence[Any]) -> list[Any]:
        """Values in the order of the fields on the page."""
        by_name = dict(zip((field.name for field in self._tab.fields), row, strict=True))
        return [by_name[field.name] for field in self._order]

    def _field(self, field: Field) -> Any:
        gr, name = self._gr, f"{self._tab.name}-{field.name}"
        if field.kind in ("text", "lines"):
            lines = 3 if field.kind == "lines" else 1
            return gr.Textbox(field.value, label=field.label, lines=lines, max_length=20_000, elem_id=name)
        if field.kind == "number":
            least, most, step = field.bounds
            return gr.Slider(least, most, field.value, step=step, label=field.label, elem_id=name)
        if field.kind == "choice":
            return gr.Dropdown(list(field.choices), value=field.value, label=field.label, elem_id=name)
        if field.kind == "sound":
            return gr.Audio(sources=["upload", "microphone"], type="filepath", label=field.label, elem_id=name)
        return gr.File(file_types=list(field.endings), label=field.label, elem_id=name)

    def _consent(self, inputs: Sequence[Any]) -> tuple[Any, Any]:
        """Whether something was recorded here, and whether its speaker agreed; asked where there is a microphone."""
        gr = self._gr
        recorded = gr.State(False)
        sounds = [part for part, field in zip(inputs, self._order, strict=True) if field.kind == "sound"]
        agreed = gr.Checkbox(label=CONSENT, visible=bool(sounds), elem_id=f"{self._tab.name}-consent")
        for sound in sounds:
            sound.start_recording(lambda: True, None, recorded)
            sound.upload(lambda: False, None, recorded)
        return recorded, agreed

    def _outputs(self) -> list[Any]:
        gr, name = self._gr, self._tab.name
        if self._tab.shows == "page":
            shown = [gr.HTML(elem_id=f"{name}-page"), gr.Image(visible=False)]
        else:
            shown = [
                gr.Audio(label="Sound", interactive=False, elem_id=f"{name}-sound", format="wav"),
                gr.Image(
                    label="Mel spectrogram, and F0 in white",
                    interactive=False,
                    elem_id=f"{name}-picture",
                    elem_classes="picture",
                ),
            ]
        return [
            *shown,
            gr.File(label="Download", interactive=False, elem_id=f"{name}-file"),
            gr.Markdown(elem_id=f"{name}-remarks"),
            gr.Code(label="Command line", language="shell", interactive=False, elem_id=f"{name}-command"),
            gr.Code(label="Python", language="python", interactive=False, elem_id=f"{name}-python"),
        ]

    def _card(self, name: str) -> None:
        folder = next(voices.find(name, kind=kind) for kind in voices.KINDS if name in voices.names(kind))
        text = (folder / "card.md").read_text("utf-8")
        with self._gr.Accordion(f"Model card of {name}: {licence(text)}", open=False):
            self._gr.Markdown(text, elem_classes="card")

    def _run(self, bar: Any, *given: Any) -> Any:
        """What the button does: one after the other for all listeners."""
        gr, tab = self._gr, self._tab
        *fields, recorded, agreed = given
        if recorded and not agreed:
            raise gr.Error(ASK, title="Whose voice is it?")
        folder = Path(tempfile.mkdtemp(prefix="aoide-"))
        try:
            values = self._values(fields, folder)
            job = Job(tuple(tab.words(values)), folder)
            bar(0, desc=tab.name)
            remarks = desk.run(job, lambda share, text: bar(share or 0, desc=text or tab.name))
            made = next(iter(sorted(folder.glob(tab.result))))
        except UserError as error:
            shutil.rmtree(folder)
            raise gr.Error(str(error), title=f"{tab.name} could not be done") from None
        told = "\n".join(f"- {remark}" for remark in remarks)
        return (*self._shown(made), str(made), told, job.line, tab.lines(values))

    def _values(self, given: Sequence[Any], folder: Path) -> Values:
        """The values of the fields; files are copied into the folder, under plain names."""
        found: dict[str, Any] = {}
        for field, value in zip(self._order, given, strict=True):
            if field.kind in ("sound", "file"):
                if not value:
                    raise UserError(f"{field.label}: give one, or take an example from below")
                name = f"{field.name}{Path(value).suffix.lower()}"
                shutil.copy(value, folder / name)
                found[field.name] = name
                continue
            if field.kind in ("text", "lines") and not value and field.value:
                raise UserError(f"{field.label}: is empty")
            found[field.name] = value
        return found

    def _shown(self, made: Path) -> tuple[Any, Any]:
        if self._tab.shows == "page":
            inside = html.escape(made.read_text("utf-8"), quote=True)
            frame = (
                f'<iframe title="{self._tab.name}" srcdoc="{inside}" style="width:100%;height:80vh;border:0"></iframe>'
            )
            return frame, None
        return str(made), str(picture(made))


def licence(card: str) -> str:
    """The first words of a card's part on its licence."""
    part = card.partition("## Licence")[2].strip()
    first = part.replace("\n", " ").partition(". ")[0].partition(", because")[0]
    return first if len(first) < 60 else first[:57] + "..."


def picture(sound: Path) -> Path:
    """The mel spectrogram of a sound with its F0, as a PNG beside it."""
    import numpy as np

    from aoide.audio import io, pitch
    from aoide.audio.mel_config import MelConfig
    from aoide.audio.spectrum import log_mel
    from aoide.plots import spectrogram

    rate, hop = 16_000, 160
    samples = np.concatenate([np.zeros(0, np.float32), *io.blocks(sound, rate)])[: round(LONGEST * rate)]
    config = MelConfig(sample_rate=rate, n_fft=1024, hop=hop, win=1024, n_mels=80, fmin=0, fmax=8000)
    mel = log_mel(samples, config)
    hz = pitch.track(samples, rate, hop, method="swift")
    target = sound.with_suffix(".png")
    target.write_bytes(spectrogram.draw([(mel, hz[: len(mel)])]))
    return target
