"""FastSpeech 2: phonemes -> mel, all frames at once; durations, pitch and energy are predicted and can be steered.

    tokens (batch, tokens) -> mel (batch, frames, mels) log magnitude, durations (batch, tokens) frames

Idea      Transformer blocks encode the phonemes. What text does not say, how long, how high, how loud, is predicted
          token by token and added; each token is repeated for its duration, and more Transformer blocks turn the frames
          into a mel. In training the measured pitch and energy go in. Durations come from an aligner that learns beside
          the model (`nn/align.py`), so a corpus needs no alignment; given durations go before it.
Trained   regression, objectives/regression.py      Recipes  recipes/tts/fastspeech2-*.yaml
Paper     FastSpeech 2, Ren et al. 2020, arXiv:2006.04558; aligner: Badlani et al. 2021, arXiv:2108.10447
Official  none; the code that all use is ming024/FastSpeech2 (MIT), and Amphion's descendant of it
Weights   amphion/fastspeech2_ljspeech (MIT): `from_official`, parity in tests/parity/test_fastspeech2.py
Differs   from the paper: pitch is one number a token, not a wavelet spectrogram; durations from the learned aligner.
          From ming024 and Amphion: pitch (log F0) and energy go in as numbers, not rounded to 256 steps; padding is
          silenced before each convolution, so an item gives the same alone as in a batch; no post-net; 4 decoder
          blocks, not 6. All these are settings, and `from_official` chooses theirs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.nn import align
from aoide.nn.attention import FFTBlock, sinusoids
from aoide.nn.conditional_norm import ConditionalFFTBlock, fitted
from aoide.nn.lengths import expand
from aoide.nn.official import adopt
from aoide.nn.postnet import PostNet
from aoide.nn.variance import Predictor, Scale, Variance
from aoide.objectives import Batch, regression
from aoide.objectives.regression import log_duration, masked_l1, masked_l2

NEEDS = ("tokens", "mel", "f0", "energy", "speaker")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is built; the defaults are the paper's, but for pitch and energy."""

    symbols: int = 178  # size of the phoneme table, with padding
    speakers: int | None = None  # voices told apart by an embedding; null = one voice
    mel: MelConfig = field(default_factory=lambda: MelConfig(floor=1e-7))  # as Vocos reads it
    dim: int = 256
    heads: int = 2
    hidden: int = 1024  # channels inside a block's convolutions
    kernels: tuple[int, int] = (9, 1)  # frames that a block's convolutions see; odd
    encoder_layers: int = 4
    decoder_layers: int = 4
    dropout: float = 0.1
    predictor_hidden: int = 256
    predictor_kernel: int = 3
    predictor_dropout: float = 0.5
    pitch: Scale = Scale(mean=5.3, deviation=0.3)  # ln Hz: 200 Hz, 5 semitones
    energy: Scale = Scale(mean=3.0, deviation=2.0)  # ln of the spectrum's length: speech at usual level
    aligner: int | None = 128  # width of the learned aligner; null = the corpus gives durations
    postnet: int | None = None  # channels of the post-net; null = none
    conditional_norm: bool = False  # the speaker steers the decoder's norms, to adapt to a new one (AdaSpeech)
    leaky_padding: bool = False  # let padding be heard by its neighbours, as the published code does in a batch

    def __post_init__(self) -> None:
        if self.dim % self.heads or self.dim % 2:
            raise ValueError(f"dim must be even and a multiple of heads, got {self.dim} and {self.heads}")
        if any(kernel % 2 == 0 for kernel in (*self.kernels, self.predictor_kernel)):
            raise ValueError(f"kernels must be odd, got {list(self.kernels)} and {self.predictor_kernel}")
        if self.conditional_norm and self.speakers is None:
            raise ValueError("conditional_norm needs speakers, of which one is enough")


class Output(NamedTuple):
    """What the model says; in padded frames `mel` holds no meaning."""

    mel: Tensor  # (batch, frames, mels)
    frame_mask: Tensor  # (batch, frames)
    durations: Tensor  # (batch, tokens) int64 frames: given, found by the aligner, or predicted
    log_durations: Tensor  # (batch, tokens), predicted log(1 + frames)
    token_pitch: Tensor  # (batch, tokens), predicted, in numbers of `config.pitch`
    token_energy: Tensor  # (batch, tokens), predicted, in numbers of `config.energy`
    coarse_mel: Tensor | None  # (batch, frames, mels), before the post-net
    scores: Tensor | None  # (batch, frames, tokens), log-likelihoods of the aligner


class Given(NamedTuple):
    """What is not to be predicted, and how to bend what is."""

    durations: Tensor | None = None  # (batch, tokens) int64 frames
    frame_mask: Tensor | None = None  # (batch, frames)
    pitch: Tensor | None = None  # (batch, tokens), in numbers of `config.pitch`
    energy: Tensor | None = None  # (batch, tokens), in numbers of `config.energy`
    speed: Tensor | float = 1.0  # a number or (batch,), of predicted durations
    semitones: Tensor | float | None = None  # a number or (batch,), on predicted pitch


class Stack(nn.ModuleList):
    """Transformer blocks over a sequence with position codes: (batch, time, dim) -> the same."""

    def __init__(self, config: Config, layers: int, conditional: bool = False) -> None:
        sizes = (config.dim, config.heads, config.hidden, config.kernels, config.dropout)
        self.conditional = conditional
        super().__init__(
            ConditionalFFTBlock(*sizes, config.dim) if conditional else FFTBlock(*sizes) for _ in range(layers)
        )

    def forward(self, x: Tensor, mask: Tensor, condition: Tensor | None = None) -> Tensor:
        x = x + sinusoids(x.shape[1], x.shape[2], like=x)
        for block in self:
            x = block(x, mask, condition) if self.conditional else block(x, mask)
        return x


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.embed = nn.Embedding(config.symbols, dim)
        self.speakers = nn.Embedding(config.speakers, dim) if config.speakers else None
        self.encoder = Stack(config, config.encoder_layers)
        self.aligner = align.Aligner(dim, config.mel.n_mels, config.aligner) if config.aligner else None
        self.duration = self._predictor()
        self.pitch = Variance(dim, config.pitch, self._predictor())
        self.energy = Variance(dim, config.energy, self._predictor())
        self.decoder = Stack(config, config.decoder_layers, config.conditional_norm)
        self.out = nn.Linear(dim, config.mel.n_mels)
        self.postnet = PostNet(config.mel.n_mels, config.postnet) if config.postnet else None

    def _predictor(self) -> Predictor:
        c = self.config
        return Predictor(c.dim, c.predictor_hidden, c.predictor_kernel, c.predictor_dropout, c.leaky_padding)

    def forward(  # noqa: PLR0913  (the fields of a batch)
        self,
        tokens: Tensor,
        token_mask: Tensor,
        mel: Tensor | None = None,
        frame_mask: Tensor | None = None,
        durations: Tensor | None = None,
        f0: Tensor | None = None,
        energy: Tensor | None = None,
        speaker: Tensor | None = None,
    ) -> Output:
        """Speaks with measured durations, pitch and energy (training); what is not given is predicted.

        Args:
            tokens, token_mask: (batch, tokens).
            mel, frame_mask: (batch, frames, mels), (batch, frames): what was said. Tells the aligner the durations.
            durations: (batch, tokens) int64 frames, instead of the aligner's.
            f0: (batch, frames) Hz, 0 = unvoiced.
            energy: (batch, frames), the length of the magnitude spectrum.
            speaker: (batch,) int64, for a model of several.

        Raises:
            UserError: an item has fewer frames than tokens, or there is no aligner and no durations are given.
            ValueError: f0 or energy without what tells the durations, or no speaker for a model of several.
        """
        scores = None
        if durations is None and mel is not None:
            if self.aligner is None:
                raise UserError("this model has no aligner (model.aligner is null), so the corpus must give durations")
            if frame_mask is None:
                frame_mask = torch.ones(mel.shape[:2], dtype=torch.bool, device=mel.device)
            scores, durations = self.aligner(self.embed(tokens), mel, token_mask, frame_mask)
        given = Given(durations=durations, frame_mask=frame_mask)
        if durations is None and (f0 is not None or energy is not None):
            raise ValueError("f0 and energy are frame by frame: to share them out to tokens, give mel or durations too")
        if durations is not None and f0 is not None:
            given = given._replace(pitch=self.config.pitch.of_pitch(f0, durations, frame_mask))
        if durations is not None and energy is not None:
            given = given._replace(energy=self.config.energy.of_energy(energy, durations, frame_mask))
        return self._speak(tokens, token_mask, speaker, given)._replace(scores=scores)

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
        given = Given(durations, None, token_pitch, token_energy, speed, pitch_shift)
        return self._speak(tokens, token_mask, speaker, given)

    def _speak(self, tokens: Tensor, token_mask: Tensor, speaker: Tensor | None, given: Given) -> Output:
        text, who = self.encoder(self.embed(tokens), token_mask), None
        if self.speakers is not None:
            if speaker is None:
                raise ValueError(f"this model has {self.config.speakers} voices: give speaker, the number of one")
            who = self.speakers(speaker)  # (batch, dim)
            text = text + who[:, None]
        log_durations = self.duration(text, token_mask)
        durations = given.durations
        if durations is None:
            durations = whole_frames(log_durations, token_mask, given.speed)
        semitones = None if given.semitones is None else _column(given.semitones, text)
        text, pitch = self.pitch(text, token_mask, given.pitch, semitones)
        text, energy = self.energy(text, token_mask, given.energy)
        x, mask = expand(text, durations, None if given.frame_mask is None else given.frame_mask.shape[1])
        if given.frame_mask is not None:
            mask = mask & given.frame_mask
        mel, coarse = self.out(self.decoder(x, mask, who)), None
        if self.postnet is not None:
            coarse, mel = mel, mel + self.postnet(mel, None if self.config.leaky_padding else mask)
        for name, value in (("durations", durations), ("token_pitch", pitch), ("token_energy", energy), ("mel", mel)):
            trace.report(name, value)
        return Output(mel, mask, durations, log_durations, pitch, energy, coarse, None)


def whole_frames(log_durations: Tensor, token_mask: Tensor, speed: Tensor | float = 1.0) -> Tensor:
    """Predicted log(1 + frames) -> (batch, tokens) int64 frames; an item has at least one, however little is predicted.

    speed: a number or (batch,); above 1 makes durations shorter.
    """
    frames = (log_durations.expm1() / _column(speed, log_durations)).round().clamp(min=0).long() * token_mask
    nothing = frames.sum(1, keepdim=True) == 0
    first = torch.arange(frames.shape[1], device=frames.device) == 0
    return torch.where(nothing & first, 1, frames)


def _column(value: Tensor | float, like: Tensor) -> Tensor:
    """A number or (batch,) as (1 or batch, 1)."""
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).reshape(-1, 1)


# ------------------------------------------------------------------------------------------------------------- training


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


def mel_loss(output: Output, batch: Batch) -> Tensor:
    """The absolute difference of predicted and real mel; before a post-net, where there is one, and after it."""
    loss = masked_l1(output.mel, batch["mel"], output.frame_mask)
    if output.coarse_mel is not None:
        loss = loss + masked_l1(output.coarse_mel, batch["mel"], output.frame_mask)
    return loss


def duration_loss(output: Output, batch: Batch) -> Tensor:
    """The squared difference of predicted durations and those spoken with, in the log domain."""
    return log_duration(output.log_durations, output.durations, batch["token_mask"])


def forward_sum_loss(output: Output, batch: Batch) -> Tensor:
    """How unlikely the text is to the aligner; 0 where durations were given."""
    if output.scores is None:
        return output.mel.new_zeros(())
    return align.forward_sum(output.scores, batch["token_mask"], output.frame_mask)


def binarisation_loss(output: Output, batch: Batch) -> Tensor:
    """How unlikely the path that gave the durations is to the aligner; 0 where durations were given."""
    if output.scores is None:
        return output.mel.new_zeros(())
    return align.binarisation(output.scores, output.durations, output.frame_mask)


LOSSES = {
    "mel": mel_loss,
    "duration": duration_loss,
    "pitch": PitchLoss,
    "energy": EnergyLoss,
    "forward_sum": forward_sum_loss,
    "bin": binarisation_loss,
}
TRAINING = regression.Config(weights={**dict.fromkeys(LOSSES, 1.0), "bin": 0.1})  # bin: see nn/align.py
TOY = Config(
    symbols=20, speakers=2, mel=MelConfig(sample_rate=2400, n_fft=64, hop=30, win=64, n_mels=8, fmax=1200), dim=16,
    hidden=20, kernels=(3, 1), encoder_layers=1, decoder_layers=1, predictor_hidden=12, aligner=12, postnet=10,
)  # fmt: skip


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch as the data layer makes it, of random numbers, without durations; the last item is shorter."""
    lengths = torch.tensor([7] * (batch - 1) + [5])[:, None]
    frames = 4 * lengths + torch.randint(0, 4, (batch, 1), generator=generator)
    token_mask = torch.arange(int(lengths.max())) < lengths
    frame_mask = torch.arange(int(frames.max())) < frames
    shape = frame_mask.shape
    f0 = 100 + 200 * torch.rand(shape, generator=generator)
    return {
        "tokens": torch.randint(1, config.symbols, token_mask.shape, generator=generator) * token_mask,
        "token_mask": token_mask,
        "mel": torch.randn(*shape, config.mel.n_mels, generator=generator) - 4,
        "frame_mask": frame_mask,
        "f0": torch.where(torch.rand(shape, generator=generator) > 0.3, f0, 0.0),
        "energy": 10 * torch.rand(shape, generator=generator),
        "speaker": torch.randint(0, config.speakers or 1, (batch,), generator=generator),
    }


def started(weights: dict[str, Tensor], model: Model) -> dict[str, Tensor]:
    """Trained weights, for a model that is to learn another speaker: see `conditional_norm.fitted`."""
    return fitted(weights, model.state_dict())


# ---------------------------------------------------------------------------------------------------- published weights

_NAMES = {
    "encoder.src_word_emb.": "embed.",
    "encoder.layer_stack.": "encoder.",
    "decoder.layer_stack.": "decoder.",
    "slf_attn.fc.": "attention.out.",
    "slf_attn.layer_norm.": "attention_norm.",
    "pos_ffn.w_1.": "expand.",
    "pos_ffn.w_2.": "contract.",
    "pos_ffn.layer_norm.": "conv_norm.",
    "variance_adaptor.duration_predictor.": "duration.",
    "variance_adaptor.pitch_predictor.": "pitch.predictor.",
    "variance_adaptor.energy_predictor.": "energy.predictor.",
    "variance_adaptor.pitch_embedding.": "pitch.embed.vectors.",
    "variance_adaptor.energy_embedding.": "energy.embed.vectors.",
    "variance_adaptor.pitch_bins": "pitch.embed.boundaries",
    "variance_adaptor.energy_bins": "energy.embed.boundaries",
    "conv_layer.conv1d_1.conv.": "convs.0.",
    "conv_layer.conv1d_2.conv.": "convs.1.",
    "conv_layer.layer_norm_1.": "norms.0.",
    "conv_layer.layer_norm_2.": "norms.1.",
    "linear_layer.": "out.",
    "mel_linear.": "out.",
    "speaker_emb.": "speakers.",
}


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Amphion's (and ming024's) FastSpeech 2: its state dict and the content of its configuration file.

    In use it speaks as the original does. The original's controls multiply normalised numbers; give `infer` the numbers
    you want instead. `config["statistics"]`, the content of its statistics.json of phone pitches, makes
    `pitch_shift` right.

    Raises:
        UserError: a variant that nobody has published (pitch or energy frame by frame, unequal encoder and decoder), or
            a state dict that does not fit.
    """
    sizes, variances, features = (
        config["model"]["transformer"],
        config["model"]["variance_predictor"],
        config["preprocess"],
    )
    if features.get("use_frame_pitch") or features.get("use_frame_energy"):
        raise UserError("this FastSpeech 2 checkpoint has pitch or energy frame by frame; only one a phone is known")
    if any(sizes[f"encoder_{name}"] != sizes[f"decoder_{name}"] for name in ("hidden", "head")):
        raise UserError("this FastSpeech 2 checkpoint has an encoder and a decoder of different width or heads")
    built = Config(
        symbols=len(state["encoder.src_word_emb.weight"]),
        speakers=len(state["speaker_emb.weight"]) if "speaker_emb.weight" in state else None,
        mel=_official_mel(features),
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
        pitch=_official_scale(state["variance_adaptor.pitch_bins"], config.get("statistics")),
        energy=_official_scale(state["variance_adaptor.energy_bins"], None),
        aligner=None,
        postnet=len(state["postnet.convolutions.0.0.conv.weight"]),
        leaky_padding=True,
    )
    return adopt(Model(built), official_state(state), "FastSpeech 2 checkpoint")


def _official_mel(features: Mapping[str, Any]) -> MelConfig:
    """The Tacotron mel with the sizes of the configuration; what it does not say is as in LJSpeech."""
    return MelConfig(
        sample_rate=features.get("sample_rate", 22050),
        n_fft=features.get("n_fft", 1024),
        hop=features.get("hop_size", 256),
        win=features.get("win_size", 1024),
        n_mels=features["n_mel"],
        fmin=features.get("fmin", 0),
        fmax=features.get("fmax", 8000),
        scale="slaney",
        norm="slaney",
    )


def _official_scale(boundaries: Tensor, statistics: Mapping[str, Any] | None) -> Scale:
    """Linear numbers; the boundaries themselves come with the state dict."""
    voiced = statistics["voiced_positions"] if statistics else {"mean": 0.0, "std": 1.0}
    return Scale(
        mean=voiced["mean"],
        deviation=voiced["std"],
        log=False,
        bins=len(boundaries) + 1,
        low=float(boundaries[0]),
        high=float(boundaries[-1]),
    )


def official_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames the keys, and joins queries, keys and values to one projection."""
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        if key.endswith("position_enc") or ".slf_attn.w_ks." in key or ".slf_attn.w_vs." in key:
            continue  # a table of sines, computed here; keys and values, which go with their queries
        if ".slf_attn.w_qs." in key:
            three = torch.cat([state[key.replace("w_qs", name)] for name in ("w_qs", "w_ks", "w_vs")])
            renamed[_renamed(key.replace("slf_attn.w_qs.", "attention.project."))] = three
        else:
            renamed[_renamed(key)] = value
    return renamed


def _renamed(key: str) -> str:
    for old, new in _NAMES.items():
        key = key.replace(old, new)
    if key.startswith("postnet.convolutions."):
        _, _, layer, part, *_, last = key.split(".")
        return f"postnet.{'convs' if part == '0' else 'norms'}.{layer}.{last}"
    return key
