"""A trained singer: a score -> singing, by a model of models/svs with torch.

    singer = aoide.load("runs/diffsinger", variance="runs/diffsinger-variance")
    singer.sing(Score.load("song.musicxml"), steps=10).save("song.wav")
    singer.perform(score).score.save("song.ds")     what was filled in, to be edited and sung again

The stages, phrase by phrase:

    script      the score as phrases of a .ds file (generate/script.py)
    fill in     durations, pitch and curves: those of the score, or else of the variance model, or else by rule
    sing        a mel (or samples, or the envelope of svs/xiaoicesing) from phonemes, durations, F0 and curves
    vocode      a vocoder that reads this mel

What is drawn follows from the seed and the number of the phrase.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from aoide import trace
from aoide.audio.sound import Sound
from aoide.config import UserError, near
from aoide.data import sung
from aoide.generate import script, sing, synthesis
from aoide.generate.packed import tags
from aoide.generate.script import Phrase
from aoide.generate.singer import FADE, LOUDEST, Performance
from aoide.score import Finding, Phoneme, Score
from aoide.score.score import BREATHS, SILENCES
from aoide.text import lyrics

RESTS = ("SP", "pau", "sil", "rest")
CURVES = {"loudness": "energy", "breathiness": "breathiness", "voicing": "voicing", "tension": "tension"}
"""Our names and those of .ds files."""


@dataclass(frozen=True, slots=True)
class Table:
    """What the numbers of a trained model mean; stands in its checkpoints.

    symbols, languages: in order, from 1. singers: in order, from 0. key_shift: semitones that a `gender` of 1 is. span:
    the lowest and the highest note that was learned, MIDI numbers.
    """

    symbols: tuple[str, ...]
    languages: tuple[str, ...]
    singers: tuple[str, ...]
    key_shift: float = 0.0
    span: tuple[int, int] | None = None

    @classmethod
    def read(cls, place: Mapping[str, Any], where: object) -> Table:
        """Of what the data have written into a checkpoint, see aoide/data/singing.py.

        Raises:
            UserError: they were of another kind.
        """
        if "symbols" not in place:
            raise UserError(f"{where}: was not trained with data.kind: singing, so its phonemes have no names")
        symbols, languages, singers = (tuple(place[key]) for key in ("symbols", "languages", "singers"))
        low, high = place.get("span") or (None, None)
        span = None if low is None or high is None else (low, high)
        return cls(symbols, languages, singers, place.get("key_shift", 0.0), span)

    def number(self, symbol: str, language: str) -> int | None:
        """The number of a phoneme as it is, or with its language before it; pauses have 0 where there is none."""
        names = (symbol, f"{language}/{symbol}")
        if symbol in SILENCES or symbol in BREATHS:
            names = (*names, *(RESTS if symbol in SILENCES else BREATHS))
        found = next((name for name in names if name in self.symbols), None)
        if found is None:
            return 0 if symbol in SILENCES else None
        return self.symbols.index(found) + 1

    def tongue(self, number: int, language: str) -> int:
        """The number of the language of a phoneme."""
        if number == 0 or sung.silent(self.symbols[number - 1]):
            return 0
        own = self.symbols[number - 1].rpartition("/")[0] or language
        return self.languages.index(own) + 1 if own in self.languages else 0


class TorchSinger:
    """See the head of this file.

    Args:
        model: of models/svs, with its table.
        variance: a model of svs/diffsinger_variance, likewise.
        vocoder: something with `mel`, `sample_rate` and `vocode(mel, f0)`, for a model that gives a mel; None: one of
            the package that reads it.
        name: what files say of their origin.

    Raises:
        UserError: a model that does not sing, or a vocoder of another mel.
    """

    def __init__(
        self,
        model: Any,
        table: Table,
        *,
        variance: tuple[Any, Table] | None = None,
        vocoder: Any = None,
        name: str = "",
    ) -> None:
        self.model, self.table, self.name = model.eval(), table, name or type(model).__module__
        config = model.config
        self._module = inspect.getmodule(type(model))
        self.filler = None if variance is None else Filler(*variance)
        self._graph: Any = None if hasattr(model, "sing") else self._synthesised(model)
        clock = getattr(config, "mel", config)
        self.sample_rate, self.hop = clock.sample_rate, clock.hop
        self.frame_rate = self.sample_rate / self.hop
        self._asks = set() if self._graph is not None else set(inspect.signature(model.sing).parameters)
        self.vocoder = vocoder
        audible = "audio" in getattr(self._module, "NEEDS", ())
        if self._graph is None and not audible:
            self.vocoder = matching(config.mel, vocoder)

    def __repr__(self) -> str:
        return f"TorchSinger({self.name}, {', '.join(self.table.languages)}, {self.sample_rate} Hz)"

    @staticmethod
    def _synthesised(model: Any) -> Any:
        module = inspect.getmodule(type(model))
        if not hasattr(module, "Sung"):
            raise UserError(f"{type(model).__module__.removeprefix('aoide.models.')} does not sing")
        return module.Sung(model).eval()  # type: ignore[union-attr]

    def tags(self, seed: int = 0) -> dict[str, str]:
        """What files with this singer say about their origin."""
        return tags(f"sung by {self.name}; seed: {seed}")

    def fitting(self, score: Score) -> int:
        """The smallest transposition that brings all notes to those it learned; 0 where none is needed or helps."""
        return 0 if self.table.span is None else sing.fitting(score, *self.table.span)

    # ------------------------------------------------------------------------------------------------------- singing

    def sing(self, score: Score, **settings: Any) -> Sound:
        """Sings a score: one channel, as long as the score. Settings as for `perform`."""
        return self.perform(score, **settings).sound

    def perform(
        self,
        score: Score,
        *,
        transpose: int = 0,
        seed: int = 0,
        steps: int | None = None,
        sampler: str | None = None,
        speaker: str | None = None,
        start: float | None = None,
    ) -> Performance:
        """As `sing`, and gives back the score with what was filled in.

        Args:
            transpose: semitones.
            seed: of what is drawn.
            steps, sampler: of a model that samples; None: its own.
            speaker: one of `table.singers`; None: the first.
            start: of a model that begins at a first mel: see `aoide.models.svs.diffsinger.Model.sing`.

        Raises:
            UserError: nothing to sing, lyrics in another language, phonemes that the singer does not have, a setting
                that it does not have, or a curve that it follows and nobody has drawn.
        """
        how = self._how(steps, sampler, speaker, start)
        phrases, findings, language = self._phrases(score, transpose)
        filled, pieces, lines = [], [], []
        for number, phrase in enumerate(phrases):
            done, line, samples = self._phrase(phrase, number, language, seed, how, score)
            filled.append(done)
            lines.append((done.offset, line))
            pieces.append((round(done.offset * self.sample_rate), samples))
        whole = script.score(filled, score.title)
        total = round(max(score.end, whole.end) * self.sample_rate)
        samples = np.concatenate(list(mixed(pieces, total)))
        f0 = np.zeros(-(-total // self.hop), np.float32)
        for offset, line in lines:
            at = round(offset * self.frame_rate)
            f0[at : at + len(line)] = line[: max(0, len(f0) - at)]
        trace.report("f0", f0)
        sound = Sound(samples, self.sample_rate, self.tags(seed))
        return Performance(sound, whole, findings, f0, self.frame_rate)

    def stream(self, score: Score, **settings: Any) -> Iterator[Sound]:
        """As `sing`, phrase by phrase; together they are the samples that `sing` gives. Settings as for `perform`."""
        transpose, seed = settings.pop("transpose", 0), settings.pop("seed", 0)
        how = self._how(*(settings.get(name) for name in ("steps", "sampler", "speaker", "start")))
        phrases, _, language = self._phrases(score, transpose)
        last = phrases[-1]
        end = max(score.end, last.offset + float(last.seconds.sum()))

        def pieces() -> Iterator[tuple[int, np.ndarray]]:
            for number, phrase in enumerate(phrases):
                done, _, samples = self._phrase(phrase, number, language, seed, how, score)
                yield round(done.offset * self.sample_rate), samples

        for samples in mixed(pieces(), round(end * self.sample_rate)):
            yield Sound(samples, self.sample_rate, self.tags(seed))

    def _how(self, steps: int | None, sampler: str | None, speaker: str | None, start: float | None) -> dict[str, Any]:
        """Settings of the model, checked."""
        how: dict[str, Any] = {}
        for name, value in (("steps", steps), ("sampler", sampler), ("start", start)):
            if value is not None and name not in self._asks:
                raise UserError(f"--{name}: {self.name} sings in one go and has no {name}; leave it out")
            if value is not None:
                how[name] = value
        if steps is not None and steps < 1:
            raise UserError(f"--steps: 1 or more, got {steps}")
        if speaker is not None and speaker not in self.table.singers:
            raise UserError(
                f"no singer {speaker!r} in {self.name};{near(speaker, self.table.singers)} there are "
                f"{', '.join(self.table.singers)}"
            )
        how["speaker"] = self.table.singers.index(speaker) if speaker is not None else 0
        how["singer"] = self.table.singers[how["speaker"]] if self.table.singers else ""
        how["method"] = getattr(self.model.config, "method", None)
        return how

    def _phrases(self, score: Score, transpose: int) -> tuple[list[Phrase], list[Finding], str]:
        """The phrases of a transposed score in the voice's phonemes, what is odd in it, and its language."""
        score = score.transpose(transpose) if transpose else score
        languages = self.table.languages
        language = lyrics.language_of(score) if len(languages) != 1 else languages[0]
        if len(languages) == 1:
            sing.expect_language(score, language, self.name)
        low, high = self.table.span or (None, None)
        findings, timed = lyrics.check(score, language, low=low, high=high), bool(score.phonemes)
        if not timed and not any(note.sung and note.length > 0 for note in score.notes):
            raise UserError("nothing to sing: the score has no notes")
        planned = lyrics.planned(score, language)
        kept = [p for p in planned.phonemes if timed or self._has(p, language)]
        phrases = script.phrases(replace(planned, phonemes=tuple(kept)), timed=timed)
        return phrases, findings, language

    def _has(self, phoneme: Phoneme, language: str) -> bool:
        """Whether it is sung: a breath that the voice does not have is a rest, another phoneme a mistake."""
        if self.table.number(phoneme.symbol, language) is not None:
            return True
        if sing.silent(phoneme):
            return False
        known = self.table.symbols
        guess = near(phoneme.symbol, known) or f" it has {' '.join(known)}"
        raise UserError(f"{phoneme.start:.2f} s: {self.name} has no phoneme {phoneme.symbol!r};{guess}")

    # -------------------------------------------------------------------------------------------------------- a phrase

    def _phrase(
        self, phrase: Phrase, number: int, language: str, seed: int, how: Mapping[str, Any], score: Score
    ) -> tuple[Phrase, np.ndarray, np.ndarray]:
        """A phrase filled in, its F0 (frames,), and its samples."""
        trace.report("phrase", phrase.offset, number=number)
        if self.filler is not None:
            phrase = self.filler.fill(phrase, language, [seed, number, 1], how)
        elif "f0" not in phrase.lines and phrase.notes is not None and hasattr(self.model, "tell"):
            phrase = self._told(phrase, language, how["speaker"])
        if "f0" not in phrase.lines:
            phrase = script.by_rule(score, phrase, self.frame_rate, seed)
        frames = phrase.frames(self.frame_rate)
        f0 = phrase.lines["f0"].on(frames, self.frame_rate)
        voiced = self._voiced(phrase, f0, language)
        if self._graph is not None:
            samples = self._filtered(phrase, voiced, language, [seed, number, 0])
        else:
            line = f0 if getattr(self._module, "GAPLESS", False) else voiced
            samples = self._sampled(phrase, line, language, [seed, number, 0], how)
        return phrase, voiced, _faded(samples, self.sample_rate)

    def _told(self, phrase: Phrase, language: str, speaker: int) -> Phrase:
        """A phrase with durations and F0 that the model tells by itself."""
        frames = phrase.frames(self.frame_rate)
        fields = self._fields(phrase, np.zeros(frames, np.float32), language, speaker)
        asked = {name: fields[name] for name in inspect.signature(self.model.tell).parameters if name in fields}
        told = None if phrase.timed else self.model.tell(**asked | {"durations": None})
        if told is None or told.durations.sum() != frames:  # there is a note on which nothing is sung
            told = self.model.tell(**asked)
        slurs = fields.get("slurs")
        piece = np.zeros(told.durations.shape[1], int) if slurs is None else slurs[0].numpy()
        lasting = np.bincount(np.cumsum(1 - piece) - 1, weights=told.durations[0].numpy())
        phrase = phrase if phrase.timed else phrase.lasting(lasting / self.frame_rate)
        return phrase.drawn("f0", told.f0[0].numpy(), self.frame_rate)

    def _numbers(self, phrase: Phrase, language: str) -> list[int]:
        """The numbers of the phonemes."""
        numbers = []
        for symbol in phrase.symbols:
            number = self.table.number(symbol, language)
            if number is None and symbol not in BREATHS:
                known = self.table.symbols
                guess = near(symbol, known) or f" it has {' '.join(known)}"
                raise UserError(f"{phrase.offset:.2f} s: {self.name} has no phoneme {symbol!r};{guess}")
            numbers.append(self.table.number("SP", language) or 0 if number is None else number)
        return numbers

    def _voiced(self, phrase: Phrase, f0: np.ndarray, language: str) -> np.ndarray:
        """F0 where a voiced phoneme is sung, else 0."""
        durations = sung.frames_of(phrase.seconds, self.frame_rate, len(f0))
        mute = [sung.silent(symbol) or sing.unvoiced(symbol, language) for symbol in phrase.symbols]
        return np.where(np.repeat(mute, durations), 0.0, f0).astype(np.float32)

    def _filtered(self, phrase: Phrase, f0: np.ndarray, language: str, seeds: Sequence[int]) -> np.ndarray:
        """By source and filter: the graph of an exported singer, with torch."""
        import torch

        durations = sung.frames_of(phrase.seconds, self.frame_rate, len(f0))
        fields = (np.array(self._numbers(phrase, language)), durations, f0)
        with torch.inference_mode():
            outputs = [value[0].numpy() for value in self._graph(*(torch.from_numpy(x)[None] for x in fields))]
        lh, theta, lr, phi, _ = outputs
        random = np.random.default_rng(seeds)
        phi = random.uniform(-np.pi, np.pi, phi.shape).astype(np.float32)
        return synthesis.sourcefilter((lh, theta, lr, phi), f0, hop=self.hop, sample_rate=self.sample_rate)

    def _sampled(
        self, phrase: Phrase, f0: np.ndarray, language: str, seeds: Sequence[int], how: Mapping[str, Any]
    ) -> np.ndarray:
        """By a model that gives a mel, or samples."""
        import torch

        fields = self._fields(phrase, f0, language, how["speaker"])
        fields |= {name: how[name] for name in ("steps", "sampler", "start") if name in how}
        fields["generator"] = generator(seeds)
        with torch.inference_mode():
            made = self.model.sing(**{name: value for name, value in fields.items() if name in self._asks})
        made = made[0].float().numpy()
        if made.ndim == 1:
            return np.asarray(made)
        trace.report("mel", made)
        return np.asarray(self.vocoder.vocode(made, f0), np.float32)

    def _fields(self, phrase: Phrase, f0: np.ndarray, language: str, speaker: int) -> dict[str, Any]:
        """What models ask for, as tensors of one item."""
        import torch

        frames, rate = len(f0), self.frame_rate
        durations = sung.frames_of(phrase.seconds, rate, frames)
        tokens = np.array(self._numbers(phrase, language), np.int64)
        fields = {"words": sung.counted(phrase.counts)} if phrase.counts else {"words": np.arange(1, len(tokens) + 1)}
        if phrase.notes is not None:
            lasting = sung.frames_of(phrase.notes.seconds, rate, frames)
            if "slurs" in getattr(self._module, "NEEDS", ()):
                owners, durations = sung.split_at_slurs(durations, lasting, phrase.notes.slurs)
                tokens, fields["words"] = tokens[owners], fields["words"][owners]
                fields["slurs"] = (np.diff(owners, prepend=-1) == 0).astype(np.int64)
            note = sung.note_of(durations, lasting)
            fields["notes"] = np.where(phrase.notes.rests, 0, phrase.notes.pitches)[note]
            fields["note_durations"] = lasting[note]
        fields |= {"tokens": tokens, "durations": durations, "f0": f0}
        fields["language"] = np.array([self.table.tongue(int(number), language) for number in tokens], np.int64)
        tensors: dict[str, Any] = {name: torch.from_numpy(np.asarray(value))[None] for name, value in fields.items()}
        tensors["token_mask"] = torch.ones(1, len(tokens), dtype=torch.bool)
        tensors["frame_mask"] = torch.ones(1, frames, dtype=torch.bool)
        if getattr(self.model.config, "speakers", None):
            tensors["speaker"] = torch.tensor([speaker])
        curves = {name: self._curve(phrase, name, frames) for name in getattr(self.model.config, "curves", ())}
        tensors["curves"] = {name: torch.from_numpy(value)[None] for name, value in curves.items()}
        return tensors

    def _curve(self, phrase: Phrase, name: str, frames: int) -> np.ndarray:
        """A curve that the model follows, drawn or neutral."""
        if name in ("key_shift", "speed"):
            line = phrase.lines.get("gender" if name == "key_shift" else "velocity")
            neutral = 0.0 if name == "key_shift" else 1.0
            scale = self.table.key_shift if name == "key_shift" else 1.0
            if line is None:
                return np.full(frames, neutral, np.float32)
            return (scale * line.on(frames, self.frame_rate)).astype(np.float32)
        line = phrase.lines.get(CURVES[name])
        if line is None:
            raise UserError(
                f"{self.name} follows {CURVES[name]}, which the score does not draw: add a variance model that does "
                f"(--variance RUN), or a curve {CURVES[name]} to a .ds file"
            )
        return line.on(frames, self.frame_rate)


# ----------------------------------------------------------------------------------------------------------- filling in


class Filler:
    """Durations, pitch and curves of a phrase by a variance model, where the score leaves them open."""

    def __init__(self, model: Any, table: Table) -> None:
        if not hasattr(model, "fill"):
            name = type(model).__module__.removeprefix("aoide.models.").replace(".", "/")
            raise UserError(f"--variance: {name} fills in nothing; give a run of svs/diffsinger_variance")
        self.model, self.table = model.eval(), table
        self.frame_rate = model.config.sample_rate / model.config.hop

    def fill(self, phrase: Phrase, language: str, seeds: Sequence[int], how: Mapping[str, Any]) -> Phrase:
        """The phrase without anything open that the model can tell.

        Raises:
            UserError: a phoneme that the model does not know, or a score without notes.
        """
        config = self.model.config
        names = [CURVES[name] for name in config.curves]
        timing = not phrase.timed and config.durations is not None and bool(phrase.counts) and phrase.notes is not None
        pitch = config.pitch is not None and "f0" not in phrase.lines
        missing = [name for name in names if name not in phrase.lines]
        if not (timing or pitch or missing):
            return phrase
        if phrase.notes is None and (config.pitch is not None or config.durations is not None):
            raise UserError(f"{phrase.offset:.2f} s: the variance model follows notes, which the script does not have")
        random = generator(seeds)
        same = how.get("method") == config.method  # the samplers of a flow are none of a diffusion
        settings = {name: how[name] for name in ("steps", "sampler") if same and name in how}
        settings["generator"] = random
        singers = self.table.singers
        speaker = singers.index(how["singer"]) if how.get("singer") in singers else 0
        fields, frames = self._fields(phrase, language, timing, speaker)
        known = "f0" in phrase.lines or any(name in phrase.lines for name in names)
        if timing or pitch or not known:
            filled = self.model.fill(**fields, **settings)
            phrase = self._told(phrase, filled, timing, pitch, missing if not known else [])
            missing = [] if not known else missing
        if missing:
            fields, frames = self._fields(phrase, language, False, speaker)
            fields |= self._known(phrase, fields["base_pitch"], names, frames)
            phrase = self._told(phrase, self.model.fill(**fields, **settings), False, False, missing)
        return phrase

    def _told(self, phrase: Phrase, filled: Any, timing: bool, pitch: bool, curves: Sequence[str]) -> Phrase:
        """The phrase with what the model tells."""
        if timing:
            durations = filled.durations[0].numpy().astype(np.int64)
            total = phrase.notes.seconds.sum() if phrase.notes is not None else phrase.seconds.sum()
            frames = round(float(total) * self.frame_rate)
            ends = np.minimum(np.cumsum(durations), frames)
            ends[-1] = frames
            phrase = phrase.lasting(np.diff(ends, prepend=0) / self.frame_rate)
        if pitch:
            phrase = phrase.drawn("f0", sung.hertz(filled.pitch[0].numpy()), self.frame_rate)
        ours = {theirs: name for name, theirs in CURVES.items()}
        for name in curves:
            phrase = phrase.drawn(name, filled.curves[ours[name]][0].numpy(), self.frame_rate)
        return phrase

    def _fields(self, phrase: Phrase, language: str, timing: bool, speaker: int) -> tuple[dict[str, Any], int]:
        """What `fill` asks for, of one item, and how many frames it has."""
        import torch

        rate, notes = self.frame_rate, phrase.notes
        seconds = phrase.seconds if not timing or notes is None else notes.seconds
        frames = max(1, round(float(seconds.sum()) * rate))
        tokens = []
        for symbol in phrase.symbols:
            number = self.table.number(symbol, language)
            if number is None and symbol not in BREATHS:
                raise UserError(f"{phrase.offset:.2f} s: the variance model has no phoneme {symbol!r}")
            tokens.append(number or 0)
        words = sung.counted(phrase.counts) if phrase.counts else np.arange(1, len(tokens) + 1)
        durations = None if timing else sung.frames_of(phrase.seconds, rate, frames)
        count = max(len(phrase.counts), int(words.max()))
        if notes is not None:
            lasting = sung.frames_of(notes.seconds, rate, frames)
            steps = np.repeat(notes.pitches, lasting)[:frames]
            base = sung.line(notes.pitches, lasting, frames, rate)
        if durations is None:
            assert notes is not None
            word_of_note = np.maximum(np.cumsum(~notes.slurs), 1)
            sums = np.bincount(word_of_note - 1, weights=lasting, minlength=count)[:count]
            word_durations = sums.astype(np.int64)
            heights = sung.heights(steps, word_durations)[words - 1]
        else:
            word_durations = np.bincount(words - 1, weights=durations, minlength=count).astype(np.int64)
            line = phrase.lines["f0"].on(frames, rate) if "f0" in phrase.lines else None
            if notes is None:
                base = sung.midi(line) if line is not None else np.full(frames, sung.MIDDLE, np.float32)
                steps = base
            if self.model.config.pitch is None and line is not None:
                base = sung.midi(line)
            heights = sung.heights(steps, durations)
        fields: dict[str, Any] = {
            "tokens": np.array(tokens, np.int64),
            "words": words,
            "word_durations": word_durations,
            "midi": heights,
            "base_pitch": base,
            "language": np.array([self.table.tongue(number, language) for number in tokens], np.int64),
        }
        if durations is not None:
            fields["durations"] = durations
        tensors: dict[str, Any] = {name: torch.from_numpy(np.asarray(value))[None] for name, value in fields.items()}
        tensors["token_mask"] = torch.ones(1, len(tokens), dtype=torch.bool)
        if self.model.config.speakers:
            tensors["speaker"] = torch.tensor([speaker])
        if notes is not None:
            row = (notes.pitches, notes.rests, lasting, notes.glides, np.ones(len(lasting), bool))
            tensors["score"] = tuple(torch.from_numpy(value)[None] for value in row)
        return tensors, frames

    def _known(self, phrase: Phrase, base: Any, names: Sequence[str], frames: int) -> dict[str, Any]:
        """The curves that are known, and which are to be drawn."""
        import torch

        rate, rows, retake = self.frame_rate, [], []
        if self.model.config.pitch is not None:
            pitch = torch.from_numpy(sung.midi(phrase.lines["f0"].on(frames, rate)))[None]
            rows.append(pitch - base)
            retake.append(False)
        for name in names:
            line = phrase.lines.get(name)
            value = np.zeros(frames, np.float32) if line is None else line.on(frames, rate)
            rows.append(torch.from_numpy(value)[None])
            retake.append(line is None)
        curves = torch.stack(rows, dim=-1)
        return {"curves": curves, "retake": torch.tensor(retake).expand_as(curves)}


# ---------------------------------------------------------------------------------------------------------------- parts


def matching(mel: Any, vocoder: Any) -> Any:
    """The vocoder, if it reads the mel; without one, the first of the package that does.

    Raises:
        UserError: none does; says both mels.
    """
    from aoide import voices

    if vocoder is not None:
        if getattr(vocoder, "mel", None) != mel:
            raise UserError(f"the model gives {mel}, but the vocoder reads {getattr(vocoder, 'mel', 'no mel')}")
        return vocoder
    from aoide.generate.vocoder import Vocoder

    for name in voices.names("vocoder"):
        found = Vocoder(name)
        if found.mel == mel:
            return found
    raise UserError(f"no vocoder of the package reads {mel}: name one that was trained on it with --vocoder")


def generator(seeds: Sequence[int]) -> Any:
    """Torch's generator of a row of numbers."""
    import torch

    state = np.random.SeedSequence(list(seeds)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def mixed(pieces: Iterable[tuple[int, np.ndarray]], total: int) -> Iterator[np.ndarray]:
    """Pieces that begin at samples, in this order, over silence; what is finished comes at once, `total` in all."""
    done, open_ = 0, np.zeros(0, np.float32)  # open_: what began before the next piece, from sample `done` on
    for start, samples in pieces:
        ready = min(max(0, start - done), len(open_))
        yield open_[:ready]
        done, open_ = done + ready, open_[ready:]
        if start > done:
            yield np.zeros(start - done, np.float32)
            done = start
        longer = np.zeros(max(len(open_), start - done + len(samples)), np.float32)
        longer[: len(open_)] += open_
        longer[start - done : start - done + len(samples)] += samples
        open_ = longer
    yield open_[: max(0, total - done)]
    done += min(len(open_), max(0, total - done))
    yield np.zeros(max(0, total - done), np.float32)


def _faded(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Softer where it is too loud, with short ramps at both ends."""
    samples = np.array(samples, np.float32)
    samples *= np.float32(min(1.0, LOUDEST / max(float(np.abs(samples).max(initial=0.0)), 1e-9)))
    fade = min(round(FADE * sample_rate), len(samples))
    ramp = np.linspace(0, 1, fade, endpoint=False, dtype=np.float32)
    samples[:fade] *= ramp
    samples[len(samples) - fade :] *= ramp[::-1]
    return samples
