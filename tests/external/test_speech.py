"""Other people's systems that speak: Bark at toy size with random weights, and what cannot be is told."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from aoide.audio.sound import Sound  # noqa: E402  (after the skip)
from aoide.config import UserError  # noqa: E402
from aoide.external import coqui  # noqa: E402
from aoide.external.bark import Bark  # noqa: E402
from aoide.external.coqui import Coqui  # noqa: E402
from aoide.external.speech import speech  # noqa: E402

RECORDING = Sound(np.zeros(100, np.float32), 8000)


class Processor:
    """Letters as tokens of Bark's text."""

    available_voice_presets = ("v2/en_speaker_6",)

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []

    def __call__(self, text: str, voice_preset: str | None = None) -> dict[str, Any]:
        self.asked.append((text, voice_preset))
        ids = torch.tensor([[ord(letter) % 64 for letter in text]])
        ids = torch.nn.functional.pad(ids, (0, 256 - ids.shape[1]))
        return {"input_ids": ids, "attention_mask": (ids != 0).long()}


class Network(torch.nn.Module):
    """Says noise."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
        self.config = SimpleNamespace(codec_config=SimpleNamespace(sampling_rate=24_000))

    def generate(self, input_ids: Any, attention_mask: Any) -> Any:
        return torch.randn(1, 50) * self.scale


def test_bark_says_a_text_in_one_of_its_voices(tmp_path: Path) -> None:
    processor = Processor()
    bark = Bark(Network(), processor)
    before = torch.get_rng_state()
    one, two, other = (bark.say(" Hello. ", "v2/en_speaker_6", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before), "nobody else's draws change"
    assert one.sample_rate == 24_000 and np.array_equal(one.samples, two.samples)
    assert not np.array_equal(one.samples, other.samples) and processor.asked[0] == ("Hello.", "v2/en_speaker_6")
    with pytest.raises(UserError, match="cannot follow a recording"):
        bark.say("Hello.", RECORDING)
    with pytest.raises(UserError, match="no voice 'v2/en_speaker_7'; did you mean v2/en_speaker_6"):
        bark.say("Hello.", "v2/en_speaker_7")
    with pytest.raises(UserError, match="no such file with a voice"):
        bark.say("Hello.", str(tmp_path / "x.npz"))
    with pytest.raises(UserError, match="no text"):
        bark.say("  ")


@pytest.mark.slow  # 12 s: transformers' classes, and a window of 1,024 fine codes
def test_bark_of_transformers_at_toy_size() -> None:
    transformers = pytest.importorskip("transformers")
    small = {"num_layers": 1, "num_heads": 2, "hidden_size": 8}
    config = transformers.BarkConfig(
        semantic_config={**small, "input_vocab_size": 129_600, "output_vocab_size": 10_048},
        coarse_acoustics_config={**small, "input_vocab_size": 12_096, "output_vocab_size": 12_096},
        fine_acoustics_config={**small, "input_vocab_size": 1056, "output_vocab_size": 1056},
        codec_config={
            "hidden_size": 8,
            "num_filters": 2,
            "upsampling_ratios": [4, 2],
            "codebook_size": 1024,
            "target_bandwidths": [240.0],
        },
    )
    torch.manual_seed(0)
    network = transformers.BarkModel(config).eval()
    from transformers.models.bark.generation_configuration_bark import BarkGenerationConfig

    network.generation_config = BarkGenerationConfig()
    network.generation_config.semantic_config = {"semantic_rate_hz": 49.9, "max_new_tokens": 4}
    network.generation_config.coarse_acoustics_config = {"coarse_semantic_pad_token": 12_048}
    network.generation_config.fine_acoustics_config = {}
    sound = Bark(network, Processor(), semantic_max_new_tokens=4).say("Hi.")
    assert (
        sound.sample_rate == config.codec_config.sampling_rate
        and len(sound.samples)
        and np.isfinite(sound.samples).all()
    )


class Engine:
    """Coqui's TTS, as far as it is asked."""

    speakers, languages = ("Ana",), ("en", "fr-fr")
    synthesizer = SimpleNamespace(output_sample_rate=22_050)

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def tts(self, text: str, **told: Any) -> list[float]:
        if "speaker_wav" in told:
            told["speaker_wav"] = Path(told["speaker_wav"]).is_file()
        self.asked.append({"text": text, **told})
        return [0.0, 0.5]


def test_coqui_follows_a_recording_or_a_name() -> None:
    engine = Engine()
    xtts = Coqui("xtts", engine)
    assert xtts.say("Hello.", RECORDING).sample_rate == 22_050
    xtts.say("Bonjour.", "Ana", language="fr")
    Coqui("tortoise", engine).say("Hello.")
    assert engine.asked == [
        {"text": "Hello.", "language": "en", "speaker_wav": True},
        {"text": "Bonjour.", "language": "fr-fr", "speaker": "Ana"},
        {"text": "Hello."},
    ]
    with pytest.raises(UserError, match="needs a recording of who shall speak"):
        xtts.say("Hello.")
    with pytest.raises(UserError, match="no voice 'Anna'; did you mean Ana"):
        xtts.say("Hello.", "Anna")
    with pytest.raises(UserError, match="does not speak 'de'; it speaks en, fr-fr"):
        xtts.say("Hallo.", "Ana", language="de")


def test_what_is_lacking_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no speaking system 'xxts' of other people; did you mean xtts"):
        speech("xxts")
    with pytest.raises(UserError, match=r"no folder with the config\.json and weights of xtts"):
        speech("xtts", tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        speech("bark", tmp_path / "nothing")
    if importlib.util.find_spec("TTS") is None:
        with pytest.raises(UserError, match="yourtts needs the package coqui-tts: pip install coqui-tts"):
            speech("yourtts")
    loaded = []

    class Api:
        @staticmethod
        def TTS(*names: str, **paths: Any) -> Any:  # noqa: N802  (its name)
            loaded.append((names, paths))
            return torch.nn.Identity()

    monkeypatch.setattr(coqui, "require", lambda module, extra: Api)
    (tmp_path / "config.json").write_text("{}")
    with pytest.warns(UserWarning, match=r"xtts are for non-commercial use alone \(Coqui Public Model Licence\)"):
        assert coqui.load("xtts", tmp_path).licence == "Coqui Public Model Licence"
    assert loaded[0][1]["model_path"] == str(tmp_path)


@pytest.mark.slow  # minutes, and weights of gigabytes
@pytest.mark.skipif(importlib.util.find_spec("TTS") is None, reason="coqui-tts is not installed")
def test_coqui_offers_what_is_asked_of_it() -> None:
    from TTS.api import TTS

    assert all(system.model in TTS.list_models() for system in coqui.SYSTEMS.values())
    assert all(hasattr(TTS, name) for name in ("tts", "speakers", "languages"))
