"""JETS: phonemes -> waveform in one network, as FastSpeech 2 and HiFi-GAN trained together, with no alignment before.

    tokens (batch, tokens) -> audio (batch, samples) in -1 to 1, durations (batch, tokens) frames

Idea      FastSpeech 2 (tts/fastspeech2) without its mel: what its decoder makes of each frame goes straight into the
          network of HiFi-GAN, and what is judged is the sound. So nothing is lost between two models that were trained
          apart. Durations come from an aligner that learns beside (`nn/align.py`); pitch and energy of each phoneme
          are measured in training, predicted in use, and can be steered.
Trained   adversarial with mel, duration, pitch, energy and alignment losses (objectives/gan.py), on a slice of
          each sound
Recipes   recipes/tts/jets-folder.yaml
Paper     Lim et al. 2022, arXiv:2203.16852
Official  in espnet (Apache-2.0); github.com/open-mmlab/Amphion (MIT) has a form of it
Weights   what Amphion's code trains: `from_official`, parity in tests/parity/test_jets.py
Differs   pitch and energy go in as the paper has it, by a convolution, in training as in use; Amphion adds the bare
          numbers in training, which `from_official` does too. The aligner is that of nn/align.py, where Amphion's hears
          three encoded tokens at a time and does not normalise. Padding is silent to its neighbours; in evaluation
          `forward` decodes all of a sound. Parts of Amphion's checkpoints that it never uses (a mel layer, a post-net,
          two tables) are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.models.tts import fastspeech2
from aoide.models.tts.fastspeech2 import Stack, whole_frames
from aoide.nn import align, decoder
from aoide.nn.conv import Conv1d
from aoide.nn.decoder import Decoder, Waveform
from aoide.nn.discriminators import Period
from aoide.nn.lengths import expand, mask_from_lengths
from aoide.nn.official import adopt, replaced
from aoide.nn.stft_loss import MelLoss
from aoide.nn.variance import Predictor, Scale
from aoide.objectives import Batch, gan
from aoide.objectives.regression import masked_l2

NEEDS = ("tokens", "audio", "mel", "f0", "energy", "speaker")
EMBED = 9  # tokens that the embedding of pitch and of energy sees
EMBED_DROPOUT = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is built; the defaults are those of Amphion, but for the decoder's layers."""

    symbols: int = 178  # size of the phoneme table, with padding
    speakers: int | None = None  # voices told apart by an embedding; null = one voice
    mel: MelConfig = field(
        default_factory=lambda: MelConfig(sample_rate=22_050, n_mels=80, fmax=8_000, scale="slaney", norm="slaney")
    )  # the aligner reads it, and the loss compares it
    dim: int = 256
    heads: int = 2
    hidden: int = 1024  # channels inside a block's convolutions
    kernels: tuple[int, int] = (9, 1)  # places that a block's convolutions see; odd
    encoder_layers: int = 4
    decoder_layers: int = 4
    dropout: float = 0.2
    predictor_hidden: int = 256
    predictor_kernel: int = 3
    predictor_dropout: float = 0.5
    pitch: Scale = Scale(mean=5.3, deviation=0.3)  # ln Hz: 200 Hz, 5 semitones
    energy: Scale = Scale(mean=3.0, deviation=2.0)  # ln of the spectrum's length: speech at usual level
    waveform: Waveform = field(default_factory=lambda: Waveform(plain_ends=False))
    segment: int = 64  # frames of a slice that is decoded in training
    published: bool = False  # align, and add pitch and energy in training, as Amphion's code does
    leaky_padding: bool = False  # let padding be heard by its neighbours, as the published code does in a batch

    def __post_init__(self) -> None:
        if self.dim % self.heads or self.dim % 2:
            raise ValueError(f"dim must be even and a multiple of heads, got {self.dim} and {self.heads}")
        if any(kernel % 2 == 0 for kernel in (*self.kernels, self.predictor_kernel)):
            raise ValueError(f"kernels must be odd, got {list(self.kernels)} and {self.predictor_kernel}")
        if self.waveform.hop != self.mel.hop:
            raise ValueError(f"waveform.rates make {self.waveform.hop} samples of a frame, mel.hop is {self.mel.hop}")


class Output(NamedTuple):
    """What the model says; frames that are padded hold no meaning."""

    audio: Tensor  # (batch, samples)
    start: Tensor | None  # (batch,) int64, the sample at which it begins, where it is a slice
    frame_mask: Tensor  # (batch, frames)
    durations: Tensor  # (batch, tokens) int64 frames: given, found by the aligner, or predicted
    log_durations: Tensor  # (batch, tokens), predicted log(1 + frames)
    token_pitch: Tensor  # (batch, tokens), predicted, in numbers of `config.pitch`
    token_energy: Tensor  # (batch, tokens), predicted, in numbers of `config.energy`
    scores: Tensor | None  # (batch, frames, tokens), log-likelihoods of the aligner


class PublishedAligner(align.Aligner):
    """The aligner as Amphion has it: it hears three encoded tokens at a time, and its scores are not normalised once
    the prior is added.
    """

    def __init__(self, text_dim: int, mels: int, dim: int, leaky: bool) -> None:
        super().__init__(text_dim, mels, dim)
        self.leaky = leaky
        self.text = nn.Sequential(Conv1d(text_dim, dim, 3), nn.ReLU(), Conv1d(dim, dim, 1))

    def scores(self, text: Tensor, mel: Tensor, token_mask: Tensor, frame_mask: Tensor) -> Tensor:
        """As in `Aligner`; -inf at padded frames too."""
        for number, layer in enumerate(self.mel):
            mel = layer(mel if number == 0 else mel.relu(), None if self.leaky else frame_mask)
        text = self.text(text.masked_fill(~token_mask[..., None], 0.0))
        distance = torch.cdist(mel.float(), text.float(), compute_mode="donot_use_mm_for_euclid_dist")
        likely = (-distance).masked_fill(~token_mask[:, None], -torch.inf).log_softmax(2)
        prior = align.beta_binomial(token_mask.sum(1) + 1, frame_mask.sum(1))[..., :-1]  # one outcome is no token
        seen = token_mask[:, None] & frame_mask[..., None]
        return (likely + prior).masked_fill(~seen, -torch.inf)


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim, mels = config.dim, config.mel.n_mels
        self.embed = nn.Embedding(config.symbols, dim)
        self.speakers = nn.Embedding(config.speakers, dim) if config.speakers else None
        self.encoder = Stack(config, config.encoder_layers)  # type: ignore[arg-type]  # it has the fields of a stack
        published = PublishedAligner(dim, mels, dim, config.leaky_padding) if config.published else None
        self.aligner: align.Aligner = published or align.Aligner(dim, mels, dim)
        self.duration, self.pitch, self.energy = (self._predictor() for _ in range(3))
        self.pitch_embed, self.energy_embed = Conv1d(1, dim, EMBED), Conv1d(1, dim, EMBED)
        self.dropout = nn.Dropout(EMBED_DROPOUT)
        self.frames = Stack(config, config.decoder_layers)  # type: ignore[arg-type]
        self.decoder = Decoder(config.waveform, dim)

    def _predictor(self) -> Predictor:
        c = self.config
        return Predictor(c.dim, c.predictor_hidden, c.predictor_kernel, c.predictor_dropout, c.leaky_padding)

    def forward(  # noqa: PLR0913  (the fields of a batch)
        self,
        tokens: Tensor,
        token_mask: Tensor,
        mel: Tensor | None = None,
        frame_mask: Tensor | None = None,
        f0: Tensor | None = None,
        energy: Tensor | None = None,
        speaker: Tensor | None = None,
    ) -> Output:
        """Says it as it was said: the view of training. Without a mel it speaks from text alone.

        Args:
            tokens, token_mask: (batch, tokens).
            mel, frame_mask: (batch, frames, mels), (batch, frames): what was said. Tells the aligner the durations.
            f0: (batch, frames) Hz, 0 = unvoiced. energy: (batch, frames), the length of the magnitude spectrum.
            speaker: (batch,) int64, for a model of several.

        Raises:
            UserError: an item has fewer frames than tokens.
            ValueError: a mel without f0 or energy, or no speaker for a model of several.
        """
        if mel is None:
            return self.infer(tokens, token_mask, speaker)
        if f0 is None or energy is None:
            raise ValueError("a mel comes with f0 and energy")
        if frame_mask is None:
            frame_mask = torch.ones(mel.shape[:2], dtype=torch.bool, device=mel.device)
        text = self.read(tokens, token_mask, speaker)
        scores, durations = self.align(tokens, text, mel, token_mask, frame_mask)
        pitch = self.config.pitch.of_pitch(f0, durations, frame_mask)
        loudness = self.config.energy.of_energy(energy, durations, frame_mask)
        return self.learn(text, token_mask, durations, pitch, loudness, frame_mask)._replace(scores=scores)

    def align(
        self, tokens: Tensor, text: Tensor, mel: Tensor, token_mask: Tensor, frame_mask: Tensor
    ) -> align.Alignment:
        """Which token each frame says."""
        heard = text if self.config.published else self.embed(tokens)
        return self.aligner(heard, mel, token_mask, frame_mask)  # type: ignore[no-any-return]

    def read(self, tokens: Tensor, token_mask: Tensor, speaker: Tensor | None) -> Tensor:
        """The encoded text (batch, tokens, dim), with the speaker."""
        text = self.encoder(self.embed(tokens), token_mask)
        if self.speakers is None:
            return text
        if speaker is None:
            raise ValueError(f"this model has {self.config.speakers} voices: give speaker, the number of one")
        return text + self.speakers(speaker)[:, None]

    def learn(
        self,
        text: Tensor,
        token_mask: Tensor,
        durations: Tensor,
        pitch: Tensor,
        energy: Tensor,
        frame_mask: Tensor,
        starts: Tensor | None = None,
    ) -> Output:
        """What `forward` gives, from durations, pitch and energy of each token (batch, tokens).

        Args:
            starts: (batch,) int64, the first frame of the slice to decode; None: a random one in training, all of it in
                evaluation.
        """
        log_durations = self.duration(text, token_mask)
        if self.config.published:  # the numbers alone, on all channels, and before they are predicted
            text = text + (pitch + energy)[..., None]
        predicted = self.pitch(text, token_mask), self.energy(text, token_mask)
        if not self.config.published:
            text = self.told(text, pitch, energy, token_mask)
        x, _ = expand(text, durations, frame_mask.shape[1])
        hidden = self.frames(x, frame_mask)
        sound, start = self.decoder.learn(hidden, frame_mask, count=self.config.segment, starts=starts)
        return Output(sound, start, frame_mask, durations, log_durations, *predicted, None)

    def told(self, text: Tensor, pitch: Tensor, energy: Tensor, token_mask: Tensor) -> Tensor:
        """The text with pitch and energy of each token."""
        mask = None if self.config.leaky_padding else token_mask
        heard = self.pitch_embed(pitch[..., None], mask), self.energy_embed(energy[..., None], mask)
        return text + self.dropout(heard[0]) + self.dropout(heard[1])

    def infer(  # noqa: PLR0913  (what can be steered)
        self,
        tokens: Tensor,
        token_mask: Tensor,
        speaker: Tensor | None = None,
        *,
        speed: Tensor | float = 1.0,
        pitch_shift: Tensor | float = 0.0,
        durations: Tensor | None = None,
        token_pitch: Tensor | None = None,
        token_energy: Tensor | None = None,
    ) -> Output:
        """Speaks from text alone.

        Args:
            tokens, token_mask: (batch, tokens).
            speaker: (batch,) int64, for a model of several.
            speed: a number or (batch,); above 1 is faster. Acts on predicted durations.
            pitch_shift: semitones, a number or (batch,). Acts on predicted pitch.
            durations: (batch, tokens) int64 frames, instead of predicted ones.
            token_pitch, token_energy: (batch, tokens), instead of predicted ones, in numbers of `config.pitch` and
                `config.energy`.
        """
        text = self.read(tokens, token_mask, speaker)
        log_durations = self.duration(text, token_mask)
        if durations is None:
            durations = whole_frames(log_durations, token_mask, speed)
        shift = torch.as_tensor(pitch_shift, dtype=text.dtype, device=text.device).reshape(-1, 1)
        pitch = self.config.pitch.shift(self.pitch(text, token_mask), shift) if token_pitch is None else token_pitch
        energy = self.energy(text, token_mask) if token_energy is None else token_energy
        x, mask = expand(self.told(text, pitch, energy, token_mask), durations)
        hidden = self.frames(x, mask)
        sound = self.decoder(hidden, None if self.config.leaky_padding else mask)
        for name, value in (("durations", durations), ("token_pitch", pitch), ("token_energy", energy)):
            trace.report(name, value)
        return Output(sound, None, mask, durations, log_durations, pitch, energy, None)


# ------------------------------------------------------------------------------------------------------------- training


class MelDistance(nn.Module):
    """L1 between the log-mels of generated and recorded sound."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.distance = MelLoss(config.mel)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return self.distance(output.audio, batch["audio"])


class PitchLoss:
    """The squared difference of predicted and measured pitch, a mean over the tokens."""

    def __init__(self, config: Config) -> None:
        self._scale = config.pitch

    def __call__(self, output: Output, batch: Batch) -> Tensor:
        measured = self._scale.of_pitch(batch["f0"], output.durations, output.frame_mask)
        return masked_l2(output.token_pitch, measured, batch["token_mask"])


class EnergyLoss:
    """The squared difference of predicted and measured energy, a mean over the tokens."""

    def __init__(self, config: Config) -> None:
        self._scale = config.energy

    def __call__(self, output: Output, batch: Batch) -> Tensor:
        measured = self._scale.of_energy(batch["energy"], output.durations, output.frame_mask)
        return masked_l2(output.token_energy, measured, batch["token_mask"])


def forward_sum_loss(output: Output, batch: Batch) -> Tensor:
    """How unlikely the text is to the aligner."""
    assert output.scores is not None
    return align.forward_sum(output.scores, batch["token_mask"], output.frame_mask)


def binarisation_loss(output: Output, batch: Batch) -> Tensor:
    """How unlikely the path that gave the durations is to the aligner."""
    assert output.scores is not None
    return align.binarisation(output.scores, output.durations, output.frame_mask)


LOSSES = {
    "mel": MelDistance,
    "duration": fastspeech2.duration_loss,
    "pitch": PitchLoss,
    "energy": EnergyLoss,
    "forward_sum": forward_sum_loss,
    "bin": binarisation_loss,
}
TRAINING = gan.Config(
    critics=("scale", "period"),
    loss="least_squares",
    reduction="sum",
    weights={"mel": 45.0, "duration": 1.0, "pitch": 1.0, "energy": 1.0, "forward_sum": 2.0, "bin": 0.2},  # bin: 0.1 of
    feature=2.0,  # the forward sum, see nn/align.py
    period=Period(first_map=True),
)
TOY = Config(
    symbols=12,
    speakers=2,
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=8, fmax=4_000, padding="same"),
    dim=8,
    hidden=8,
    kernels=(3, 1),
    encoder_layers=1,
    decoder_layers=1,
    predictor_hidden=8,
    waveform=Waveform(
        dim=16, rates=(4, 4), kernels=(8, 8), block_kernels=(3, 5), dilations=((1, 2), (1,)), plain_ends=False
    ),
    segment=9,
)


def example(config: Any, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of noise; the last item is shorter."""
    token_mask = mask_from_lengths(torch.tensor([7] * (batch - 1) + [5]))
    frame_mask = mask_from_lengths(torch.tensor([30] * (batch - 1) + [24]))
    shape = frame_mask.shape
    f0 = 100 + 200 * torch.rand(shape, generator=generator)
    return {
        "tokens": torch.randint(1, config.symbols, token_mask.shape, generator=generator) * token_mask,
        "token_mask": token_mask,
        "audio": 0.1 * torch.randn(batch, shape[1] * config.mel.hop, generator=generator),
        "mel": torch.randn(*shape, config.mel.n_mels, generator=generator) - 4,
        "frame_mask": frame_mask,
        "f0": torch.where(torch.rand(shape, generator=generator) > 0.3, f0, 0.0),
        "energy": 10 * torch.rand(shape, generator=generator),
        "speaker": torch.randint(0, config.speakers or 1, (batch,), generator=generator),
    }


# ---------------------------------------------------------------------------------------------------- published weights

_UNUSED = (  # parts that are in a checkpoint but not in what it computes
    "mel_linear.",
    "postnet.",
    "variance_adaptor.pitch_embedding.",
    "variance_adaptor.energy_embedding.",
    "variance_adaptor.pitch_bins",
    "variance_adaptor.energy_bins",
)
_NAMES = {
    "alignment_module.t_conv1.": "aligner.text.0.",
    "alignment_module.t_conv2.": "aligner.text.2.",
    "alignment_module.f_conv1.": "aligner.mel.0.",
    "alignment_module.f_conv2.": "aligner.mel.1.",
    "alignment_module.f_conv3.": "aligner.mel.2.",
    "pitch_embed.0.": "pitch_embed.",
    "energy_embed.0.": "energy_embed.",
    "pitch.predictor.": "pitch.",
    "energy.predictor.": "energy.",
}


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Amphion's JETS: its state dict and the content of its configuration file, with that of its HiFi-GAN as `hifigan`
    where it is not the usual one.

    Raises:
        UserError: keys or shapes that do not fit the configuration.
    """
    sizes, variances = config["model"]["transformer"], config["model"]["variance_predictor"]
    waveform = decoder.official_settings(config["hifigan"], plain_ends=False) if "hifigan" in config else None
    speakers = state.get("speaker_emb.weight")
    waveform = waveform or Waveform(plain_ends=False)
    built = Config(
        symbols=len(state["encoder.src_word_emb.weight"]),
        speakers=None if speakers is None else len(speakers),
        mel=_mel(config["preprocess"], state["alignment_module.f_conv1.weight"].shape[1], waveform.hop),
        dim=sizes["encoder_hidden"],
        heads=sizes["encoder_head"],
        hidden=sizes["conv_filter_size"],
        kernels=tuple(sizes["conv_kernel_size"]),
        encoder_layers=sizes["encoder_layer"],
        decoder_layers=sizes["decoder_layer"],
        dropout=sizes["encoder_dropout"],
        predictor_hidden=variances["filter_size"],
        predictor_kernel=variances["kernel_size"],
        predictor_dropout=variances["dropout"],
        pitch=Scale(log=False),
        energy=Scale(log=False),
        waveform=waveform,
        segment=config["train"].get("segment_size", 64),
        published=True,
        leaky_padding=True,
    )
    return adopt(Model(built), _renamed(state, waveform), "JETS checkpoint")


def _mel(features: Mapping[str, Any], mels: int, hop: int) -> MelConfig:
    rate = features.get("sample_rate", 22_050)
    return MelConfig(
        sample_rate=rate,
        n_fft=features.get("n_fft", 1024),
        hop=features.get("hop_size", hop),
        win=features.get("win_size", 1024),
        n_mels=mels,
        fmin=features.get("fmin", 0),
        fmax=features.get("fmax", 8_000),
        scale="slaney",
        norm="slaney",
    )


def _renamed(state: Mapping[str, Tensor], waveform: Waveform) -> dict[str, Tensor]:
    sound = {key.removeprefix("generator."): value for key, value in state.items() if key.startswith("generator.")}
    rest = {key: value for key, value in state.items() if not key.startswith(("generator.", *_UNUSED))}
    renamed = {}
    for key, value in fastspeech2.official_state(rest).items():
        name = f"frames.{key.removeprefix('decoder.')}" if key.startswith("decoder.") else key
        renamed[replaced(name, _NAMES)] = value
    return renamed | decoder.official(sound, waveform, "decoder.")
