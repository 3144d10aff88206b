"""From a torch model to a voice folder: the graph gives what torch gives, and nothing half-made is left."""

import copy
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

from torch import Tensor, nn  # noqa: E402

from aoide.config import UserError  # noqa: E402
from aoide.generate import export  # noqa: E402
from aoide.generate.runtime import Request, Runtime  # noqa: E402
from aoide.text.phonemes import SYMBOLS  # noqa: E402

HOP, N_FFT = 30, 120


class Speaker(nn.Module):
    """Embeds, mixes neighbours, repeats each token for its duration, gives a spectrum: what a voice needs, no more."""

    def __init__(self, dim: int = 16, bins: int = N_FFT // 2 + 1) -> None:
        super().__init__()
        self.config = SimpleNamespace(sample_rate=2400, hop=HOP, n_fft=N_FFT)
        self.embed = nn.Embedding(max(SYMBOLS.values()) + 1, dim)
        self.mix = nn.Conv1d(dim, dim, 3, padding=1)
        self.head = nn.Linear(dim, 2 * bins)

    def forward(self, tokens: Tensor, lengths: Tensor, speed: Tensor, pitch: Tensor) -> tuple[Tensor, ...]:
        mask = torch.arange(tokens.shape[1]) < lengths[:, None]
        x = self.embed(tokens) * mask[..., None]
        x = torch.tanh(self.mix(x.mT).mT + pitch[:, None, None]) * mask[..., None]
        durations = ((3 + x[..., 0].abs() * 5) / speed[:, None]).round().long() * mask
        ends = durations.cumsum(dim=1)
        count = int(ends[:, -1].max())
        torch._check(count > 1)
        owner = (torch.arange(count)[None, :, None] >= ends[:, None, :]).sum(dim=-1).clamp(max=tokens.shape[1] - 1)
        frames = x.gather(1, owner[..., None].expand(-1, -1, x.shape[-1]))
        magnitude, phase = self.head(frames).chunk(2, dim=-1)
        return magnitude.exp(), phase, durations


class Wrapped(nn.Module):
    def __init__(self, model: Speaker) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, lengths: Tensor, speed: Tensor, pitch: Tensor) -> tuple[Tensor, ...]:
        return self.model(tokens, lengths, speed, pitch)


MODULE = SimpleNamespace(__name__="aoide.models.tts.speaker", Exported=Wrapped)
ABOUT = export.About(
    name="toy", language="en", symbols=SYMBOLS, licence="MIT", summary="A toy.", facts={"Data": "Noise."}
)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Speaker().eval()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    target = tmp_path_factory.mktemp("exported") / "toy"
    export.export_voice(export.speaking(MODULE, model), model.config, ABOUT, target)
    return target


def test_the_folder_is_a_voice(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["card.md", "voice.json", "voice.onnx"]
    assert [path.name for path in folder.parent.iterdir()] == ["toy"]
    told = json.loads((folder / "voice.json").read_text("utf-8"))
    assert (told["name"], told["kind"], told["hop"], told["n_fft"], told["max_batch"]) == ("toy", "istft", 30, 120, 16)


def test_it_gives_what_torch_gives(folder, model):
    tokens = torch.tensor([[0, 43, 44, 69, 83, 0], [0, 50, 0, 0, 0, 0]])
    inputs = (tokens, torch.tensor([6, 3]), torch.tensor([1.0, 1.3]), torch.tensor([0.0, 2.0]))
    with torch.inference_mode():
        wanted = model(*inputs)
    got = Runtime(folder).outputs(*(value.numpy() for value in inputs))
    for value, want in zip(got.values(), wanted, strict=True):
        assert np.abs(value - want.numpy()).max() < 1e-4


def test_the_card_has_the_eight_headings(folder):
    card = (folder / "card.md").read_text("utf-8")
    assert card.startswith("# toy\n")
    assert [line[3:] for line in card.splitlines() if line.startswith("## ")] == list(export.CARD_HEADINGS)
    assert "## Data\n\nNoise.\n" in card


@pytest.fixture
def quickly(folder, monkeypatch):
    """Spares the ten seconds that torch takes to write a graph: it is always that of `folder`."""
    monkeypatch.setattr(export, "to_onnx", lambda *words: shutil.copy(folder / "voice.onnx", words[-1]))


@pytest.mark.slow  # 9 s: it writes a second graph
def test_weights_in_8_bits_say_what_the_rounded_weights_say(folder, model, tmp_path):
    small = export.export_voice(Wrapped(model), model.config, ABOUT, tmp_path / "small", quantise=True)
    plain = Runtime(folder)
    assert small.max_batch == plain.description.max_batch == 16
    assert small.sha256 != plain.description.sha256
    assert (tmp_path / "small" / "voice.onnx").stat().st_size < (folder / "voice.onnx").stat().st_size
    request = Request(np.array([0, 43, 44, 69, 0]), 1.0, 0.0)
    one, other = plain.run([request])[0], Runtime(tmp_path / "small").run([request])[0]
    assert np.array_equal(one.durations, other.durations)
    assert 0 < np.abs(one.samples - other.samples).max() < 0.5 * np.abs(one.samples).max()


@pytest.mark.slow
def test_an_acoustic_model_and_a_vocoder_become_one_voice(tmp_path):
    from dataclasses import replace

    from aoide.models.tts import fastspeech2
    from aoide.models.vocoder import vocos

    torch.manual_seed(0)
    mel = replace(fastspeech2.TOY.mel, hop=HOP, n_fft=N_FFT, win=N_FFT)
    acoustic = fastspeech2.Model(replace(fastspeech2.TOY, symbols=178, mel=mel)).eval()
    vocoder = vocos.Model(replace(vocos.TOY, mel=mel)).eval()
    with pytest.raises(UserError, match="has 2 voices"):
        export.speaking(fastspeech2, acoustic, vocoder)
    graph = export.speaking(fastspeech2, acoustic, vocoder, speaker=1)
    told = export.export_voice(graph, vocoder.config, ABOUT, tmp_path / "voice")
    assert told.kind == "istft"
    assert told.sample_rate == mel.sample_rate
    spoken = Runtime(tmp_path / "voice").run([Request(np.array([0, 43, 44, 69, 0]), 1.0, 0.0)])[0]
    assert len(spoken.samples) == spoken.durations.sum() * told.hop
    other = vocos.Model(replace(vocos.TOY, mel=replace(mel, fmin=50.0)))
    with pytest.raises(UserError, match=r"fmin=0.*fmin=50"):
        export.speaking(fastspeech2, acoustic, other, speaker=1)


def refused(tmp_path, module=MODULE, model=None, target="toy"):
    with pytest.raises(UserError) as caught:
        export.export_voice(export.speaking(module, model), model.config, ABOUT, tmp_path / target)
    assert not [path for path in tmp_path.iterdir() if path.name != "there"]
    return str(caught.value)


def test_what_cannot_be(tmp_path, model):
    (tmp_path / "there").mkdir()
    assert "exists already" in refused(tmp_path, model=model, target="there")
    assert "no folder" in refused(tmp_path, model=model, target="no/where")
    mute = SimpleNamespace(__name__="aoide.models.vocoder.vocos")
    assert "vocoder/vocos does not turn text into sound" in refused(tmp_path, mute, model)


def test_a_graph_that_differs_from_torch_is_refused(tmp_path, model, quickly):
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.head.bias[0] += 0.01
    assert "differs from torch: magnitude" in refused(tmp_path, model=other)
