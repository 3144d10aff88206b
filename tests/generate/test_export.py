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
    """Embeds, mixes neighbours, repeats each token for its duration, and gives a spectrum: what a voice needs, no more."""

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
    export.export_voice(MODULE, model, ABOUT, target)
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


def test_a_quantised_voice_speaks_one_at_a_time(folder, model, tmp_path, quickly):
    small = export.export_voice(MODULE, model, ABOUT, tmp_path / "small", quantise=True)
    plain = Runtime(folder)
    assert (small.max_batch, plain.description.max_batch) == (1, 16)
    assert small.sha256 != plain.description.sha256
    request = Request(np.array([0, 43, 44, 69, 0]), 1.0, 0.0)
    one, other = plain.run([request])[0], Runtime(tmp_path / "small").run([request])[0]
    assert np.array_equal(one.durations, other.durations)
    assert 0 < np.abs(one.samples - other.samples).max() < 0.5 * np.abs(one.samples).max()


def refused(tmp_path, module=MODULE, model=None, target="toy"):
    with pytest.raises(UserError) as caught:
        export.export_voice(module, model, ABOUT, tmp_path / target)
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
