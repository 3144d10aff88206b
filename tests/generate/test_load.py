"""`aoide.load`, `aoide.generate` and `aoide.models`: every way in, and what is said at the wrong door."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

import aoide
from aoide.config import MissingExtra, UserError
from aoide.generate.voice import Voice
from tests.generate import tiny


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    return tiny.make(tmp_path_factory.mktemp("voices") / "en-tiny")


def refused(*words):
    with pytest.raises(UserError) as caught:
        aoide.load(*words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_voice_from_a_folder(voice):
    loaded = aoide.load(voice)
    assert isinstance(loaded, Voice) and (loaded.name, loaded.sample_rate) == ("en-tiny", tiny.SAMPLE_RATE)
    assert repr(loaded) == "Voice(en-tiny, en, 24000 Hz)"


def test_a_voice_by_name(voice, monkeypatch):
    from aoide import voices

    monkeypatch.setattr(voices, "__file__", str(voice.parent / "__init__.py"))
    assert voices.names() == ["en-tiny"] and aoide.models()[0] == "en-tiny"
    assert aoide.load("en-tiny").folder == voice


def test_packages_that_can_be_called(voice):
    sound = aoide.generate("Hello there.", voice=voice, speed=1.2)
    assert isinstance(sound, aoide.Sound) and sound.seconds > 0.2
    assert aoide.generate.__name__ == "aoide.generate" and "vocoder/vocos" in aoide.models()


def test_wrong_names(tmp_path):
    assert "did you mean vocoder/vocos" in refused("vocoder/vocs")
    assert "needs weights: aoide.load('vocoder/vocos', SOURCE)" in refused("vocoder/vocos")
    assert "no voice.json" in refused(tmp_path)
    assert "no such folder" in refused("no/where")


def test_a_model_without_torch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    with pytest.raises(MissingExtra, match=r"pip install 'aoide\[torch\]'"):
        aoide.load("vocoder/vocos", tmp_path)


# --------------------------------------------------------------------------------------------------- weights of models


@pytest.fixture
def module():
    torch = pytest.importorskip("torch")

    class Model(torch.nn.Linear):
        pass

    def from_official(state, config):
        model = Model(config["inside"], 1)
        model.load_state_dict({"weight": state["w"], "bias": state["b"]})
        return model

    return SimpleNamespace(__name__="aoide.models.tts.line", Model=Model, from_official=from_official)


@pytest.fixture
def weights():
    torch = pytest.importorskip("torch")
    return {"w": torch.ones(1, 2), "b": torch.zeros(1)}


def published(module, source):
    from aoide.generate import published

    return published.load("tts/line", module, source)


@pytest.mark.parametrize("ending", [".safetensors", ".bin", ".ckpt"])
@pytest.mark.parametrize("config", ["config.json", "config.yaml"])
def test_published_weights(module, weights, tmp_path, ending, config):
    import torch
    from safetensors.torch import save_file

    if ending == ".safetensors":
        save_file(weights, tmp_path / f"model{ending}")
    else:
        torch.save({"state_dict": weights} if ending == ".ckpt" else weights, tmp_path / f"model{ending}")
    (tmp_path / config).write_text('{"inside": 2}')
    for source in (tmp_path, tmp_path / f"model{ending}"):
        model = published(module, source)
        assert not model.training and torch.equal(model.weight, weights["w"])


def test_parts_in_files_of_their_own(module, weights, tmp_path):
    """As MaskGCT and FACodec are published; without a configuration the model's own settings hold."""
    from safetensors.torch import save_file

    told = []

    def from_official(state, config):
        told.append((sorted(state), config))
        return module.Model(2, 1)

    parts = SimpleNamespace(from_official=from_official, OFFICIAL_FILES=("one.safetensors", "two.safetensors"))
    save_file({"w": weights["w"]}, tmp_path / "one.safetensors")
    save_file({"b": weights["b"]}, tmp_path / "two.safetensors")
    published(parts, tmp_path)
    (tmp_path / "config.json").write_text('{"inside": 2}')
    (tmp_path / "two.safetensors").unlink()
    published(parts, tmp_path)
    assert told == [(["b", "w"], {}), (["w"], {"inside": 2})]


def test_published_weights_that_cannot_be(module, weights, tmp_path):
    import torch

    def complaint(source=tmp_path, module=module):
        with pytest.raises(UserError) as caught:
            published(module, source)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "found no file" in complaint()
    assert "no such file" in complaint(tmp_path / "no" / "where.bin")
    assert "no such folder" in complaint(tmp_path / "no")
    torch.save(weights, tmp_path / "model.bin")
    assert "configuration" in complaint()
    (tmp_path / "config.json").write_text("{")
    assert "not JSON" in complaint()
    (tmp_path / "config.json").write_text("{}")
    assert "not the configuration of a tts/line: KeyError 'inside'" in complaint()
    (tmp_path / "config.json").write_text('{"inside": 2}')
    whole = (tmp_path / "model.bin").read_bytes()
    for spoilt in (whole[: len(whole) // 2], b"", b"hello", b"\x80\x04cos\nsystem\n(S'true'\ntR."):
        (tmp_path / "model.bin").write_bytes(spoilt)
        assert "truncated, or not a file of weights" in complaint()
    torch.save([1, 2], tmp_path / "model.bin")
    assert "no tensors by name" in complaint()
    torch.save(weights, tmp_path / "second.bin")
    assert "found 2 files" in complaint()
    mute = SimpleNamespace(__name__="aoide.models.tts.mute")
    assert "no weights were published" in complaint(module=mute)


def test_weights_of_a_run(module, monkeypatch, tmp_path):
    pytest.importorskip("torch")
    from aoide.models import find

    trained = module.Model(2, 1)
    checkpoint = ModuleType("aoide.train.checkpoint")
    checkpoint.load_model = lambda path: (module, trained, None)
    monkeypatch.setitem(sys.modules, "aoide.train.checkpoint", checkpoint)
    monkeypatch.setattr(find, "find", lambda name: module)
    (tmp_path / "checkpoints").mkdir()
    assert aoide.load(tmp_path) is trained
    assert aoide.load("tts/line", tmp_path) is trained
    monkeypatch.setattr(find, "find", lambda name: SimpleNamespace(Model=int))
    assert "not a vocoder/other" in refused("vocoder/other", tmp_path)
