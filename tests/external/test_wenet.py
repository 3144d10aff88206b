"""WeNet's encoder: equal to the original (kept numbers), on the clock, from both kinds of file; others are refused.

tests/fixtures/official_wenet.json says how its numbers were made.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import yaml  # noqa: E402  (after the skip)

from aoide.config import UserError  # noqa: E402
from aoide.data.features import Network, Settings, networks  # noqa: E402
from aoide.data.sounds import Clock, Sounds  # noqa: E402
from aoide.external import content, wenet  # noqa: E402
from aoide.external.wespeaker import filter_banks  # noqa: E402
from tests.parity.formula import fill, wavy  # noqa: E402

KEPT = json.loads((Path(__file__).parents[1] / "fixtures" / "official_wenet.json").read_text("utf-8"))
SOUND = 0.1 * wavy((5000,), 7).numpy()
NOTHING = torch.zeros(0, 0, 0, 0)


def recogniser(folder: Path, case: str = "u2pp", told: dict[str, Any] | None = None, **encoder: Any) -> Path:
    """A folder as WeNet publishes it, with train.yaml of its first or of its later form."""
    folder.mkdir()
    state = fill({key: torch.empty(shape) for key, shape in KEPT[case]["shapes"].items()})
    state = {key: value + 1 if key.endswith("running_var") else value for key, value in state.items()}
    state = {f"encoder.{key}": value for key, value in state.items()}
    torch.save(
        state | {"ctc.ctc_lo.bias": torch.zeros(3), "decoder.left_decoder.x": torch.zeros(3)}, folder / "final.pt"
    )
    banks = {"num_mel_bins": 80, "frame_shift": 10, "frame_length": 25, "dither": 0.1}
    means = {"cmvn": "global_cmvn", "cmvn_conf": {}} if case == "u2pp" else {"cmvn_file": "x", "is_json_cmvn": True}
    settings = {"encoder": "conformer", "encoder_conf": KEPT[case]["config"] | encoder, "input_dim": 80} | means
    (folder / "train.yaml").write_text(
        yaml.safe_dump(settings | {"dataset_conf": {"fbank_conf": banks}} | (told or {}))
    )
    return folder


class Script(torch.nn.Module):
    """What WeNet exports, as far as it is asked: frame k is the filter bank in its middle."""

    def __init__(self, rate: int = 4, bands: int = 80) -> None:
        super().__init__()
        self.rate, self.weight = rate, torch.nn.Parameter(torch.ones(bands))

    @torch.jit.export
    def subsampling_rate(self) -> int:
        return self.rate

    @torch.jit.export
    def forward_encoder_chunk(
        self, xs: torch.Tensor, offset: int, required_cache_size: int, att_cache: torch.Tensor = NOTHING
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return (xs * self.weight)[:, 3::4], att_cache


def exported(path: Path, **settings: int) -> Path:
    torch.jit.script(Script(**settings)).save(str(path))
    return path


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("runtime") / "final.zip")


@pytest.mark.parametrize("case", ["u2pp", "symmetric"])
def test_it_equals_the_original(tmp_path: Path, case: str) -> None:
    folder = recogniser(tmp_path / "exp", case)
    encoder = content.open("wenet", folder)
    assert encoder.frame_rate == 25 == networks.FRAME_RATES["wenet"]
    np.testing.assert_allclose(encoder.encode(SOUND), np.array(KEPT[case]["out"]), atol=3e-5, rtol=1e-4)
    assert np.array_equal(encoder.encode(SOUND), content.open("wenet", folder / "final.pt").encode(SOUND))


def test_any_length(tmp_path: Path) -> None:
    encoder = content.open("wenet", recogniser(tmp_path / "exp"))
    for samples in (0, 100, 639, 640, 1279, 1280, 5000):
        found = encoder.encode(SOUND[:samples])
        assert found.shape == (max(1, samples // 640), 8) and found.dtype == np.float32 and np.isfinite(found).all()


def test_frames_are_centred(runtime: Path) -> None:
    encoder = content.open("wenet", runtime)
    for frame in (0, 4, 9):
        click = np.zeros(6400, np.float32)
        click[640 * frame + 320] = 0.5
        assert int(encoder.encode(click).mean(axis=1).argmax()) == frame
    early, late = (np.zeros(6400, np.float32) for _ in range(2))
    early[640 * 5 + 320 - 150], late[640 * 5 + 319 + 150] = 0.5, 0.5
    heard = [encoder.encode(click)[5].mean() for click in (early, late)]
    assert min(heard) > -10 and abs(heard[0] - heard[1]) < 0.5  # heard alike on both sides; silence is -16


def test_long_sounds_are_heard_in_equal_pieces(tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = wenet.WenetEncoder(recogniser(tmp_path / "exp"))
    sound = 0.1 * wavy((6400,), 3).numpy()
    whole, banks = wenet.WenetEncoder(runtime).encode(sound), filter_banks(np.pad(sound, 360), window="povey")
    monkeypatch.setattr(wenet, "_PIECE", 4)
    assert np.array_equal(wenet.WenetEncoder(runtime).encode(sound), whole) and whole.shape == (10, 80)
    with torch.no_grad():
        parts = [
            encoder._hear(torch.from_numpy(banks[None, 4 * a : 4 * b + 3]))[0] for a, b in ((0, 3), (3, 6), (6, 10))
        ]
    assert np.array_equal(encoder.encode(sound), torch.cat(parts).numpy())


def test_both_files_in_a_folder(tmp_path: Path, runtime: Path) -> None:
    folder = tmp_path / "exp"
    folder.mkdir()
    (folder / "final.zip").write_bytes(runtime.read_bytes())
    banks = filter_banks(np.pad(SOUND[:4480], 360), window="povey")
    assert np.array_equal(content.open("wenet", folder).encode(SOUND), banks[3::4])
    (folder / "final.zip").rename(tmp_path / "kept.zip")
    folder.rmdir()
    recogniser(folder)
    (tmp_path / "kept.zip").rename(folder / "final.zip")
    assert content.open("wenet", folder).encode(SOUND).shape == (7, 8)  # the checkpoint, which a GPU can run


def test_several_encoders_side_by_side_on_the_frames_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row says the time of its middle; on the model's frames it must be near theirs."""

    def hear(network: Network, device: str) -> tuple[Any, int, float]:
        rate = networks.FRAME_RATES[network.name]
        return lambda samples: (np.arange(len(samples) * rate // 16000)[:, None] + 0.5) / rate, 16000, rate

    monkeypatch.setattr(networks, "_open", hear)
    clock = Clock(sample_rate=24000, hop=256)
    sounds = Sounds([np.zeros(48000, np.float32)], 24000)
    time = (np.arange(187) + 0.5) * 256 / 24000
    pair = (Network(name="contentvec"), Network(name="wenet", source="x"))
    for named, nearness in ((pair, (0.0105, 0.0205)), (pair[1:], (0.0205,))):
        feature = networks.Feature(Settings(clock=clock, networks=(("content", named),)), "content")
        rows = feature.field(feature.compute(sounds)[0], 187)
        assert rows.shape == (187, len(named))
        assert (np.abs(rows - time[:, None]).max(axis=0) < nearness).all()


@pytest.mark.parametrize(
    ("told", "encoder", "message"),
    [
        ({}, {"input_layer": "conv2d6"}, r"train.yaml: encoder_conf.input_layer: 'conv2d6' is not one of conv2d"),
        ({}, {"static_chunk_size": 16}, "encoder_conf.static_chunk_size"),
        ({}, {"output_sise": 8}, "encoder_conf.output_sise: no such setting; did you mean output_size"),
        ({}, {"attention_heads": 3}, "8 values do not divide among 3 heads"),
        ({}, {"num_blocks": 0}, "sizes are 1 or more"),
        ({}, {"causal": False}, "cnn_module_kernel is odd where causal is false, got 8"),
        ({}, {"num_blocks": 3}, r"checkpoint of WeNet \(.*final.pt\) does not fit.*Missing.*encoders.2"),
        ({}, {"num_blocks": 1}, "Unexpected key.*encoders.1"),
        ({}, {"linear_units": 16}, "size mismatch for encoders.0"),
        ({"cmvn": None}, {}, "Unexpected key.*global_cmvn"),
        ({"encoder": "squeezeformer"}, {}, "the encoder is a squeezeformer; a conformer is known here"),
        ({"encoder_conf": None}, {}, "has no encoder_conf"),
        ({"input_dim": 40}, {}, "input_dim is 40; known here is 80"),
        ({"dataset_conf": {"feats_type": "mfcc"}}, {}, "feats_type is mfcc"),
        ({"dataset_conf": {"fbank_conf": {"frame_shift": 12.5}}}, {}, "frame_shift is 12.5"),
        ({"dataset_conf": ["fbank"]}, {}, "dataset_conf is not a group of settings"),
    ],
)
def test_a_network_of_another_form_is_said(tmp_path: Path, told: dict[str, Any], encoder: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        wenet.WenetEncoder(recogniser(tmp_path / "exp", told=told, **encoder))
    assert "\n" not in str(raised.value)


def test_files_of_something_else_are_said(tmp_path: Path) -> None:
    folder = recogniser(tmp_path / "exp")
    torch.save({"module.weight": torch.zeros(2)}, tmp_path / "exp" / "other.pt")
    (tmp_path / "exp" / "noise.pt").write_bytes(bytes(range(256)))
    (tmp_path / "empty").mkdir()
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "final.pt").write_bytes((folder / "final.pt").read_bytes())
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "linear.zip"))
    whole = exported(tmp_path / "whole.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    for source, message in (
        (None, "WeNet needs its weights as a local file: final.pt with train.yaml beside it, or final.zip"),
        (tmp_path / "nothing", "nothing: no such file; WeNet needs its weights"),
        (tmp_path / "empty", "empty: has no final.pt and no final.zip"),
        (tmp_path / "alone", "alone/train.yaml: no such file; it holds the sizes of the network in final.pt"),
        (folder / "other.pt", r"other.pt: has no weights `encoder\.\.\.\.`"),
        (folder / "noise.pt", "noise.pt: truncated, or not a file of weights"),
        (tmp_path / "linear.zip", "a TorchScript file of something else"),
        (tmp_path / "cut.zip", "cut.zip: not a TorchScript file that can run here"),
        (exported(tmp_path / "six.zip", rate=6), "one frame of 6 filter banks; known here is 4"),
        (exported(tmp_path / "forty.zip", bands=40), "forty.zip: does not run here: .*must match the size"),
    ):
        with pytest.raises(UserError, match=message) as raised:
            content.open("wenet", source)
        assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match="leave out `layer`"):
        content.open("wenet", folder, layer=3)
