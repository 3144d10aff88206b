"""What networks of somebody else hear in a sound: content features, speaker vectors, codes. Named in the recipe:

    data:
      networks:
        content: [{name: whisper, source: whisper-medium}, {name: contentvec, layer: 9, projected: true}]
        codes: [{name: encodec}]
        semantic_codes: [{name: codec/maskgct_semantic, source: FOLDER, of: {name: w2v_bert, statistics: FILE}}]
        speaker_vector: [{name: resemblyzer}]

The features of several networks for one field stand side by side in the last dimension, each brought to the frames of
the model by the nearest frame. One network's entry has its own frames and serves models of any rate. Codes are taken
where the model has as many frames a second, or `repeat` times as many. A codec of features hears what `of` makes of the
sound. A field that the model does without, such as speaker_vector of tts/cosyvoice2_flow, comes where it is named.
Content features and latents are kept in half precision, which is four digits, and rounded likewise where nothing is
kept.

    content    hubert, contentvec, wavlm, wav2vec2, w2v_bert, whisper, wenet (external/content.py)   (frames, dim)
    speaker    resemblyzer, wespeaker, rawnet3, wavlm_speaker, wavlm_tdnn, campplus                  (dim,)
    codec      encodec, mimi, xcodec2, cosyvoice2; codec/... of ours with `source`; a run's folder   (frames, codebooks)
    latents    tta/..., ttm/... or codec/... of ours that has no codes: what its `encode` gives      (frames, dim)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from aoide.config import UserError, near, require, to_dict
from aoide.data import features
from aoide.data.features import Network
from aoide.data.sounds import Sounds

CONTENT = ("hubert", "contentvec", "wavlm", "wav2vec2", "w2v_bert", "whisper", "wenet")
SPEAKERS = {
    "resemblyzer": ("resemblyzer", "Resemblyzer"),
    "wespeaker": ("wespeaker", "Wespeaker"),
    "rawnet3": ("rawnet3", "Rawnet3"),
    "wavlm_speaker": ("wavlm", "WavLMSpeaker"),
    "wavlm_tdnn": ("wavlm", "WavLMTDNN"),
    "campplus": ("cosyvoice", "CamPlus"),
}
CODECS = ("encodec", "mimi", "xcodec2", "cosyvoice2")
OURS = ("codec/", "tta/", "ttm/")  # tasks whose models make frames of sound and sound of frames
FRAME_RATES = {name: 25.0 if name == "wenet" else 50.0 for name in CONTENT}
Kind = Literal["content", "speaker", "codec"]
Heard = Callable[[np.ndarray], np.ndarray]


class Feature:
    """See `aoide.data.features.Feature`.

    Raises:
        UserError: a network that nobody knows, or networks that do not go together.
    """

    dear = True
    fill = 0.0

    def __init__(self, settings: features.Settings, name: str) -> None:
        self._networks, self._clock = settings.of(name), settings.clock
        kinds = {_kind(network) for network in self._networks}
        if len(kinds) > 1:
            raise UserError(f"data.networks.{name}: {', '.join(sorted(kinds))} networks do not make one field")
        self._kind: Kind = kinds.pop()
        if self._kind != "content" and len(self._networks) > 1:
            raise UserError(f"data.networks.{name}: one {self._kind} makes a field, not {len(self._networks)}")
        self.kind = name
        self.per: Literal["frame", "clip"] = "clip" if self._kind == "speaker" else "frame"
        self.key = {"version": 1, "networks": [_about(network) for network in self._networks]}
        if self._kind == "content" and len(self._networks) > 1:
            self.key["frame_rate"] = settings.clock.frame_rate  # what stands side by side is on common frames

    def compute(self, sounds: Sounds) -> list[np.ndarray]:
        found = [self._by_one(network, sounds) for network in self._networks]
        if len(found) == 1:
            return found[0]
        counts = [len(x) // self._clock.hop for x in sounds.samples]
        return [
            np.concatenate(
                [self._on_clock(rows, count, n) for rows, n in zip(clip, self._networks, strict=True)], axis=1
            )
            for clip, count in zip(zip(*found, strict=True), counts, strict=True)
        ]

    def _by_one(self, network: Network, sounds: Sounds) -> list[np.ndarray]:
        hear, rate, _ = _open(network, sounds.device)
        rows = [hear(samples) for samples in sounds.at(rate)]
        if self._kind == "speaker":
            return [row.astype(np.float32) for row in rows]
        return [row.astype(np.int32 if np.issubdtype(row.dtype, np.integer) else np.float16) for row in rows]

    def _on_clock(self, rows: np.ndarray, frames: int, network: Network) -> np.ndarray:
        return features.align(rows, frames, FRAME_RATES[network.name] / network.pool, self._clock.frame_rate)

    def field(self, entry: np.ndarray, frames: int) -> np.ndarray:
        if self.per == "clip":
            return entry
        network = self._networks[0]
        if self._kind == "content":
            return self._on_clock(entry, frames, network) if len(self._networks) == 1 else features.fit(entry, frames)
        rate = _open(network, "cpu")[2]
        if abs(rate - self._clock.frame_rate) > 1e-3:
            raise UserError(
                f"data.networks: {network.name} has {rate:g} frames of codes a second, the model "
                f"{self._clock.frame_rate:g}; codes and latents cannot be drawn out"
            )
        return features.fit(entry, frames)


def _about(network: Network) -> dict[str, Any]:
    """All that an entry of a network depends on; settings that came later are named where they are not as before."""
    about = {**to_dict(network), "weights": weights_of(network)}
    later = {"of": None if network.of is None else _about(network.of), "repeat": network.repeat}
    usual = {"of": None, "repeat": 1}
    return {key: value for key, value in {**about, **later}.items() if key not in usual or value != usual[key]}


def weights_of(network: Network) -> str:
    """A mark of local weights: names, sizes, and the ends of the files; other weights in the same place are seen."""
    if network.source is None:
        return ""
    path = Path(network.source).expanduser()
    if not path.exists():
        return network.source
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            size = file.stat().st_size
            digest.update(f"{file.name if file == path else file.relative_to(path)} {size}".encode())
            with file.open("rb") as opened:
                digest.update(opened.read(1 << 16))
                opened.seek(max(0, size - (1 << 16)))
                digest.update(opened.read())
    return digest.hexdigest()


def _kind(network: Network) -> Kind:
    if network.name in CONTENT:
        return "content"
    if network.name in SPEAKERS:
        return "speaker"
    if network.name in CODECS or network.name.startswith(OURS) or Path(network.name).is_dir():
        return "codec"
    known = (*CONTENT, *SPEAKERS, *CODECS)
    raise UserError(
        f"data.networks: no network {network.name!r};"
        + (near(network.name, known) or f" there are {', '.join(known)}, codec/... and folders of runs")
    )


@cache
def _open(network: Network, device: str) -> tuple[Heard, int, float]:
    """A network, loaded once per process: what it hears, its rate in Hz, and its frames per second.

    Networks stand in layers beside and above this one and are asked for by name, only when somebody wants them.
    """
    require("torch", "torch")
    kind = _kind(network)
    if kind == "speaker":
        file, cls = SPEAKERS[network.name]
        speaker = getattr(require(f"aoide.external.{file}", "metrics"), cls)(network.source)
        return lambda samples: np.asarray(speaker.embed(samples)).reshape(-1), speaker.rate, 0.0
    if kind == "codec":
        return _open_codec(network, device)
    return _open_content(network, device)


def _open_codec(network: Network, device: str) -> tuple[Heard, int, float]:
    import torch

    if network.name in CODECS:
        codec: Any = require("aoide.external", "models").codec(network.name, network.source)
    else:
        codec = require("aoide", "torch").load(network.name, network.source)
    if not hasattr(codec, "encode") or not hasattr(codec, "frame_rate"):
        raise UserError(f"data.networks: {network.name} is not a codec")
    codec = codec.to(device).eval()
    listens = hasattr(getattr(codec, "config", None), "feature_dim")
    if listens != (network.of is not None):
        raise UserError(
            f"data.networks: {network.name} "
            + ("codes features: say with `of` which network makes them" if listens else "hears sound: leave out `of`")
        )
    first = None if network.of is None else _open_content(network.of, device)

    def hear(samples: np.ndarray) -> np.ndarray:
        if first is None:
            heard = np.pad(samples, (0, -len(samples) % codec.hop or (codec.hop if not len(samples) else 0)))
        else:
            heard = np.asarray(first[0](samples), np.float32)
        with torch.inference_mode():
            codes = codec.encode(torch.from_numpy(heard)[None].to(device))[0].cpu().numpy()
        return codes.repeat(network.repeat, axis=0)

    rate, frames = (codec.sample_rate, codec.frame_rate) if first is None else first[1:]
    return hear, rate, frames * network.repeat


def _open_content(network: Network, device: str) -> tuple[Heard, int, float]:
    if network.name not in CONTENT:
        raise UserError(f"data.networks: {network.name} gives no features; {', '.join(CONTENT)} do")
    content = require("aoide.external.content", "models")
    encoder = content.open(network.name, network.source, network.layer, network.projected, network.statistics, device)
    return lambda samples: pooled(encoder.encode(samples), network.pool), 16000, encoder.frame_rate / network.pool


def pooled(rows: np.ndarray, count: int) -> np.ndarray:
    """The mean of each `count` rows, what is left over at the end included."""
    if count == 1:
        return rows
    starts = np.arange(0, len(rows), count)
    return np.add.reduceat(rows, starts) / np.minimum(count, len(rows) - starts)[:, None]
