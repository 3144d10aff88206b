"""Speakers that speak codes or latents, with toy models and a toy codec; and their folders, part by part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402  (after the skip)
from torch import Tensor, nn  # noqa: E402

import aoide  # noqa: E402
from aoide.audio.sound import Sound  # noqa: E402
from aoide.config import UserError  # noqa: E402
from aoide.generate import cosyvoice2 as cosy  # noqa: E402
from aoide.generate import naturalspeech2 as ns2  # noqa: E402
from aoide.generate import parts, valle, vevo, words, zeroshot  # noqa: E402
from aoide.models.codec import maskgct_semantic  # noqa: E402
from aoide.models.tts import cosyvoice2, cosyvoice2_flow, naturalspeech2, valle_v2  # noqa: E402
from aoide.models.tts import valle as first_valle  # noqa: E402
from aoide.models.vc import vevo as flow  # noqa: E402
from aoide.models.vc import vevo_ar  # noqa: E402
from aoide.models.vocoder import hift, vocos  # noqa: E402
from aoide.text import arpabet  # noqa: E402
from aoide.text.phonemes import SYMBOLS  # noqa: E402
from aoide.text.units import row  # noqa: E402

SAID = "Please press one to go on."
COUNT = max(SYMBOLS.values()) + 1


class Codec(nn.Module):
    """Loudness in steps, the same in each codebook."""

    def __init__(self, rate: int, hop: int, codebooks: int, cardinality: int) -> None:
        super().__init__()
        self.sample_rate, self.hop, self.codebooks, self.cardinality = rate, hop, codebooks, cardinality
        self.frame_rate = rate / hop

    def encode(self, audio: Tensor) -> Tensor:
        frames = audio[:, : audio.shape[1] // self.hop * self.hop].unflatten(1, (-1, self.hop)).abs().mean(2)
        codes = (frames * 50).long().clamp(max=self.cardinality - 1)
        return codes[..., None].expand(-1, -1, self.codebooks)

    def decode(self, codes: Tensor) -> Tensor:
        return (codes.float().mean(2) / self.cardinality).repeat_interleave(self.hop, dim=1)


@pytest.fixture(scope="module")
def sound() -> Sound:
    draw = np.random.default_rng(0).standard_normal(16_000)
    return Sound((0.1 * draw * np.hanning(16_000).clip(0.02)).astype(np.float32), 8000)


def toy_valle(module: Any) -> tuple[Any, Codec]:
    torch.manual_seed(0)
    model = module.Model(replace(module.TOY, symbols=COUNT)).eval()
    config = model.config
    return model, Codec(config.sample_rate, config.hop, config.codebooks, config.codebook_size)


# ---------------------------------------------------------------------------------------------------------------- valle


@pytest.mark.parametrize("module", [first_valle, valle_v2])
def test_valle_goes_on_from_the_recording(module: Any, sound: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
    model, codec = toy_valle(module)
    asked: list[tuple[Tensor, Tensor]] = []

    def speak(tokens: Tensor, prompt: Tensor, generator: torch.Generator, **more: int) -> Tensor:
        asked.append((tokens, prompt))
        count = int(torch.randint(5, 9, (1,), generator=generator))
        return prompt[:, :count]

    monkeypatch.setattr(model, "speak", speak)
    speaker = valle.VallE(model, codec)
    like = zeroshot.Cloning(speaker, sound, SAID)
    made = like.say("Thank you for calling.", seed=1)
    assert made.sample_rate == codec.sample_rate and len(made.samples) % codec.hop == 0
    assert np.array_equal(made.samples, like.say("Thank you for calling.", seed=1).samples)
    assert f"model: {speaker.name}; seed: 1" in made.tags["comment"] and "synthetic: yes" in made.tags["comment"]
    tokens, prompt = asked[0]
    said = len(words.AllWords().encode(words.AllWords().sentences(SAID, "en")[0]))
    assert tokens.shape[1] > said and prompt.shape[2] == model.config.codebooks
    asked.clear()
    monkeypatch.setattr(valle, "PART", 1.0)
    speaker.say("Thank you for calling. " * 3, sound, prompt_text=SAID)
    assert len(asked) == 3 and all(torch.equal(prompt, asked[0][1]) for _, prompt in asked)


def test_valle_speaks_by_itself(sound: Sound) -> None:
    model, codec = toy_valle(first_valle)
    made = valle.VallE(model, codec).say("Go.", sound, prompt_text=SAID)
    assert made.seconds > 0 and np.isfinite(made.samples).all()


def test_what_valle_cannot_follow(sound: Sound) -> None:
    model, codec = toy_valle(first_valle)
    speaker = valle.VallE(model, codec)
    for prompt, text, message in (
        (None, SAID, "no voice of its own"),
        (Sound(sound.samples[:400], 8000), SAID, "1 to 15 s can be followed, not one of 0.1 s"),
        (Sound(np.zeros(16_000, np.float32), 8000), SAID, "is silent"),
        (sound, "", "what the recording says must be known"),
    ):
        with pytest.raises(UserError, match=message):
            speaker.say("Go.", prompt, prompt_text=text)
    with pytest.raises(UserError, match="speaks 2 codebooks of 9 codes, .* the codec has 2 of 9, 40 a second"):
        valle.VallE(model, Codec(8000, 200, 2, 9))


def test_folders_of_valle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="needs these files: valle_ar_mls_196000.bin .*, valle_nar_mls_164000.bin"):
        zeroshot.open_speaker("tts/valle_v2", str(tmp_path), aoide.load)
    with pytest.raises(UserError, match=r"needs these files: symbols.dict \(the table of phonemes"):
        zeroshot.open_speaker("tts/valle", str(tmp_path), aoide.load)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UserError, match=r"needs these files: SpeechTokenizer.pt \(.*\), config.json"):
        zeroshot.open_speaker("tts/valle_v2", str(tmp_path), lambda name, source: toy_valle(valle_v2)[0])
    with pytest.raises(UserError, match="no such folder"):
        zeroshot.open_speaker("tts/valle", str(tmp_path / "x"), aoide.load)
    model, codec = toy_valle(first_valle)
    monkeypatch.setattr(zeroshot, "_codec", lambda name, load: codec)
    assert (
        zeroshot.open_speaker("tts/valle", str(tmp_path), lambda name, source: model, vocoder="own").name == "tts/valle"
    )


def test_a_codec_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="universal-24k: not a codec; encodec, mimi, xcodec2"):
        zeroshot._codec("universal-24k", lambda name: SimpleNamespace())
    asked: list[Any] = []
    monkeypatch.setattr(
        zeroshot.external, "codec", lambda name, source: asked.append((name, source)) or Codec(1, 1, 1, 1)
    )
    zeroshot._codec("encodec=folder", aoide.load)
    zeroshot._codec("codec/dac=x", lambda name, source: asked.append((name, source)) or Codec(1, 1, 1, 1))
    assert asked == [("encodec", "folder"), ("codec/dac", "x")]


# ---------------------------------------------------------------------------------------------------------------- words


def test_tables_of_published_models(tmp_path: Path) -> None:
    assert len(arpabet.PLACED) == 220 and (arpabet.PLACED[5], arpabet.PLACED[-1]) == ("<BOS>", "|")
    assert len(arpabet.CMU) == 89 and arpabet.CMU[:5] == ("AA", "AA0", "AA1", "AA2", "AE")
    said = arpabet.words("həlˈO wˈɜɹld, mˈʌðəɹ kˈæɹi")
    assert said == [
        ["HH", "AH0", "L", "OW1"], ["W", "ER1", "L", "D"], ["M", "AH1", "DH", "ER0"], ["K", "AE1", "R", "IY0"],
    ]  # fmt: skip
    placed = words.PlacedWords()
    [phonemes] = placed.sentences("This is a test.", "en")
    told = [arpabet.PLACED[number] for number in placed.encode(phonemes)]
    assert told[0] == "<BOS>" and told[-1] == "<EOS>" and " ".join(told[-6:-1]) == "| TB EH1I SI TE"
    cmu = words.CmuWords()
    assert [arpabet.CMU[n] for n in cmu.encode("həlˈO, wˈɜɹld")] == row("HH AH0 L OW1 sp W ER1 L D")
    with pytest.raises(UserError, match="reads English, not 'de'"):
        placed.sentences("Hallo.", "de")


def test_listed_words_are_sorted_behind_the_marks(tmp_path: Path) -> None:
    path = tmp_path / "symbols.dict"
    path.write_text("l 0\nh 1\noʊ 2\nə 3\nt 4\nɹ 5\niː 6\n_ 7\n", "utf-8")
    listed = words.ListedWords(path)
    order = ["<pad>", "<bos>", "<eos>", *sorted(["l", "h", "oʊ", "ə", "t", "ɹ", "iː", "_"])]
    assert [order[n] for n in listed.encode("həlˈO tɹˈi")] == [
        "<bos>",
        "h",
        "ə",
        "l",
        "oʊ",
        "_",
        "t",
        "ɹ",
        "iː",
        "<eos>",
    ]
    with pytest.raises(UserError, match="has no k"):
        listed.encode("kˈi")
    with pytest.raises(UserError, match="cannot be read"):
        words.ListedWords(tmp_path / "nothing")


# ------------------------------------------------------------------------------------------------------ naturalspeech 2


def test_naturalspeech2_follows_the_voice_alone(sound: Sound, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = naturalspeech2.Model(replace(naturalspeech2.TOY, symbols=COUNT)).eval()
    with torch.no_grad():
        model.duration.out.bias.fill_(1.0)  # type: ignore[union-attr]
    config = model.config
    codec = Codec(config.sample_rate, config.hop, config.codebooks, config.codebook_size)
    speaker = ns2.NaturalSpeech2(model, codec)
    like = zeroshot.Cloning(speaker, sound, "")
    made = speaker.say("Thank you.", like.prompt, seed=2, steps=2)
    assert made.seconds > 0 and "synthetic: yes" in made.tags["comment"]
    assert np.array_equal(made.samples, speaker.say("Thank you.", like.prompt, seed=2, steps=2).samples)
    with pytest.raises(UserError, match="keeps its own pace"):
        like.say("Thank you.", speed=1.5)
    with pytest.raises(UserError, match="codebooks of"):
        ns2.NaturalSpeech2(model, Codec(8000, 100, 1, 3))
    with pytest.raises(UserError, match="needs these files: weights and configuration of amphion/naturalspeech2"):
        zeroshot.open_speaker("tts/naturalspeech2", str(tmp_path), aoide.load)


# ---------------------------------------------------------------------------------------------------------- cosyvoice 2


def toy_cosyvoice() -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    lm = cosyvoice2.Model(replace(cosyvoice2.TOY, symbols=COUNT)).eval()
    made = cosyvoice2_flow.Model(
        replace(cosyvoice2_flow.TOY, mel=replace(hift.TOY.mel, hop=80, win=160, n_fft=160), voice=4)
    ).eval()
    vocoder = hift.Model(replace(hift.TOY, mel=made.config.mel, rates=(10, 4), kernels=(20, 8))).eval()
    return lm, made, vocoder


def test_cosyvoice2_puts_its_parts_together(sound: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
    lm, made, vocoder = toy_cosyvoice()
    heard = Codec(8000, 160, 1, 16)  # 50 codes a second, of two frames each
    who = SimpleNamespace(embed=lambda samples: np.ones(4))
    speaker = cosy.CosyVoice2(lm, made, vocoder, heard, who, words.AllWords())
    asked: list[Any] = []
    real = lm.speak
    monkeypatch.setattr(lm, "speak", lambda *given, **named: asked.append(given) or real(*given, **named))
    like = zeroshot.Cloning(speaker, sound, SAID)
    said = like.say("Go.", seed=3)
    assert said.sample_rate == 8000 and said.seconds > 0
    assert np.array_equal(said.samples, like.say("Go.", seed=3).samples)
    tokens, told, codes = asked[0]
    assert len(codes) == round(like.prompt.seconds * 50) and len(told) > len(tokens)
    with pytest.raises(UserError, match="language model, flow and tokenizer have 16, 16 and 9 codes"):
        cosy.CosyVoice2(lm, made, vocoder, Codec(8000, 160, 1, 9), who, words.AllWords())
    other = SimpleNamespace(config=SimpleNamespace(mel="another mel"))
    with pytest.raises(UserError, match="but the vocoder reads another mel"):
        cosy.CosyVoice2(lm, made, other, heard, who, words.AllWords())


def test_the_folder_of_cosyvoice2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError) as caught:
        zeroshot.open_speaker("tts/cosyvoice2", str(tmp_path), aoide.load)
    for name in ("llm.pt", "flow.pt", "hift.pt", "speech_tokenizer_v2.onnx", "campplus.onnx", "CosyVoice-BlankEN"):
        assert f"{name} (" in str(caught.value)
    toys = dict(zip(cosy.PARTS.values(), toy_cosyvoice(), strict=True))
    for part in cosy.PARTS:
        (tmp_path / part / "checkpoints").mkdir(parents=True)
    (tmp_path / "speech_tokenizer_v2.onnx").touch()
    monkeypatch.setattr(cosy, "SpeechTokens", lambda folder: Codec(8000, 160, 1, 16))
    speaker = zeroshot.open_speaker("tts/cosyvoice2", str(tmp_path), lambda name, source: toys[name])
    assert isinstance(speaker._words, words.AllWords) and speaker._speaker is None


def test_a_spelt_text() -> None:
    spelt = cosy.Spelt(SimpleNamespace(encode=lambda text: [len(text)]))
    assert spelt.sentences("Hello  there. 你好。 ...", "en") == ["Hello there.", "你好。"]
    assert spelt.encode("abc").tolist() == [3]


# ----------------------------------------------------------------------------------------------------------------- vevo

MEL = replace(flow.TOY.mel, hop=160, n_fft=640, win=640)


class Heard:
    """In place of HuBERT."""

    def encode(self, samples: np.ndarray) -> np.ndarray:
        return samples[: len(samples) // 320 * 320].reshape(-1, 320)[:, :10].astype(np.float32)


def test_vevo_says_a_text(tmp_path: Path, sound: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="needs these files: tokenizer/vq8192 .*PhoneToVq8192.json .*mean_std.npz"):
        zeroshot.open_speaker("vc/vevo", str(tmp_path), aoide.load)
    torch.manual_seed(0)
    toys = {
        "codec/maskgct_semantic": maskgct_semantic.Model(maskgct_semantic.TOY),
        "vc/vevo_ar": vevo_ar.Model(replace(vevo_ar.TOY, symbols=COUNT)),
        "vc/vevo": flow.Model(replace(flow.TOY, mel=MEL)),
        "vocoder/vocos": vocos.Model(replace(vocos.TOY, mel=MEL)),
    }
    for part in vevo.MODELS:
        (tmp_path / part / "checkpoints").mkdir(parents=True)
    np.savez(tmp_path / vevo.STATISTICS, mean=np.zeros(10), std=np.full(10, 0.1))
    monkeypatch.setattr(vevo.encoders, "open", lambda name, source, layer, device: Heard())
    speaker = zeroshot.open_speaker("vc/vevo", str(tmp_path), lambda name, source: toys[name].eval())
    assert isinstance(speaker._words, words.AllWords)
    monkeypatch.setattr(toys["vc/vevo_ar"], "speak", lambda tokens, prompt, generator: prompt[: len(tokens) // 2, None])
    like = zeroshot.Cloning(speaker, sound, SAID)
    said = like.say("Thank you for calling.", seed=1)
    assert said.sample_rate == 8000 and np.array_equal(said.samples, like.say("Thank you for calling.", seed=1).samples)


# ---------------------------------------------------------------------------------------------------------------- parts


def test_configurations_with_comments(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"a": [1, 2,], // two\n "url": "http://x", "b": {"c": 1,},}')
    assert parts.read_config(path) == {"a": [1, 2], "url": "http://x", "b": {"c": 1}}
    path.write_text("{")
    with pytest.raises(UserError, match="not JSON that can be read"):
        parts.read_config(path)
    with pytest.raises(UserError, match="No such file"):
        parts.read_config(tmp_path / "y.json")


def test_a_part_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "hift").mkdir()
    with pytest.raises(UserError, match="needs one file of weights of vocoder/hift, and has 0"):
        parts.open_part(tmp_path, "hift", "vocoder/hift", aoide.load, {})
    save_file({"x": torch.zeros(2)}, tmp_path / "hift" / "model.safetensors")
    with pytest.raises(UserError, match="not the weights of CosyVoice's vocoder: they lack"):
        parts.open_part(tmp_path, "hift", "vocoder/hift", aoide.load, {})
