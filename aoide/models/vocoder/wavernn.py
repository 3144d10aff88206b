"""WaveRNN, one recurrent network, one sample at a time: log-mel (batch, frames, mels) -> waveform (batch, samples).

Idea         Two GRU layers read the last sample and the mel, and say how the next sample is distributed: in mu-law
             classes, or by a mixture of bells. Few numbers a sample, but each has to wait for the one before.
Objective    next token (aoide/objectives/tokens.py)
Recipes      recipes/vocoder/wavernn-folder.yaml, recipes/vocoder/wavernn-ljspeech.yaml
Paper        Kalchbrenner et al. 2018, arXiv:1802.08435; the two layers and the mel are those of
             github.com/fatchord/WaveRNN (MIT), which Amphion took over (models/vocoders/autoregressive/wavernn)
Parity       tests/parity/test_wavernn.py
Differs      Amphion has the network alone; sampling is ours. `vocode` does the arithmetic of the network in another
             order: what depends on the mel alone is computed for many samples at once, products of one vector are one
             product, and the loop runs on the CPU, wherever the model is, compiled where numba is there; see `Loop`.
             The default size is what a CPU can afford, the budget of LPCNet (two layers of 128); fatchord's recipes
             have 512. Frames beyond the ends are taken to be as the ends are.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.models.vocoder import check_mel, check_values
from aoide.nn.official import adopt, amphion_mel
from aoide.nn.wavenet import Stretch, beyond_the_ends
from aoide.objectives import tokens

BLOCK = 512  # samples whose share of the mel is computed at once
FEW = 4  # sounds that a compiled loop makes faster one after the other than numpy makes them side by side


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings of WaveRNN."""

    mel: MelConfig = field(default_factory=MelConfig)
    samples: Literal["mu_law", "logistics", "gaussians"] = "mu_law"  # how the next sample is distributed
    count: int = 512  # classes, or bells of a mixture
    rnn: int = 128  # units of each of the two recurrent layers
    hidden: int = 128  # units of the two layers after them
    context: int = 128  # channels of what stands around a frame, shared by four layers
    channels: int = 128  # of the residual network that finds it
    blocks: int = 10  # of that network
    around: int = 2  # frames before and after one that it sees
    stretch: tuple[int, ...] = (4, 8, 8)  # in what steps the mel is brought to the rate of samples

    def __post_init__(self) -> None:
        if min(self.count, self.rnn, self.hidden, self.context, self.channels, self.blocks) < 1 or self.around < 0:
            raise ValueError("all sizes of a WaveRNN are 1 or more, around 0 or more")
        if self.context % 4:
            raise ValueError(f"context is shared by four layers, so it must be a multiple of 4, got {self.context}")
        if math.prod(self.stretch) != self.mel.hop:
            raise ValueError(f"the product of stretch {list(self.stretch)} must be the hop {self.mel.hop} of the mel")


class Output(NamedTuple):
    """What next-token training reads (aoide/objectives/tokens.py)."""

    scores: Tensor  # (batch, samples, size)
    targets: Tensor  # (batch, samples)
    mask: Tensor  # (batch, samples)


# ---------------------------------------------------------------------------------------------------------------- parts


class Residual(nn.Module):
    """Two convolutions over one frame: (batch, channels, frames) -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(channels, channels, 1, bias=False)
        self.first_norm = nn.BatchNorm1d(channels)
        self.second = nn.Conv1d(channels, channels, 1, bias=False)
        self.second_norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first_norm(self.first(x)).relu()
        return x + self.second_norm(self.second(y))


class Surroundings(nn.Module):
    """What stands around a frame: mel (batch, around + frames + around, mels) -> (batch, frames, context)."""

    def __init__(self, mels: int, channels: int, context: int, blocks: int, around: int) -> None:
        super().__init__()
        self.embed = nn.Conv1d(mels, channels, 2 * around + 1, bias=False)
        self.norm = nn.BatchNorm1d(channels)
        self.blocks = nn.Sequential(*(Residual(channels) for _ in range(blocks)))
        self.out = nn.Conv1d(channels, context, 1)

    def forward(self, mel: Tensor) -> Tensor:
        return self.out(self.blocks(self.norm(self.embed(mel.mT)).relu())).mT


class Model(nn.Module):
    """Log-mel and the samples so far -> how the next sample is distributed."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.family = tokens.sounds(config.samples, config.count)
        mels, aux = config.mel.n_mels, config.context // 4
        self.surroundings = Surroundings(mels, config.channels, config.context, config.blocks, config.around)
        self.stretch = Stretch(config.stretch)
        self.embed = nn.Linear(1 + mels + aux, config.rnn)
        self.first = nn.GRU(config.rnn, config.rnn, batch_first=True)
        self.second = nn.GRU(config.rnn + aux, config.rnn, batch_first=True)
        self.third = nn.Linear(config.rnn + aux, config.hidden)
        self.fourth = nn.Linear(config.hidden + aux, config.hidden)
        self.out = nn.Linear(config.hidden, self.family.size)

    def forward(self, audio: Tensor, mel: Tensor, frame_mask: Tensor | None = None) -> Output:
        """How each sample is distributed, given those before it: the view of training.

        Args:
            audio: (batch, frames * hop).
            mel: (batch, frames, mels) of `config.mel`.
            frame_mask: (batch, frames), True = real.
        """
        targets = self.family.encode(audio)
        before = functional.pad(self.family.level(targets), (1, 0))[:, :-1]
        mask = torch.ones_like(mel[..., 0], dtype=torch.bool) if frame_mask is None else frame_mask
        scores = self.predict(before, *self.conditions(mel, frame_mask))
        return Output(scores, targets, mask.repeat_interleave(self.config.mel.hop, dim=1))

    def conditions(self, mel: Tensor, frame_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """mel (batch, frames, mels) -> mel and context at the rate of samples, (batch, samples, mels and context)."""
        check_mel(mel, self.config.mel)
        around = max(self.config.around, 2)  # the stretch smooths over two frames at most
        mel = beyond_the_ends(mel, around, frame_mask)
        spare = around - self.config.around
        return self.upsample(mel, around, mel[:, spare : mel.shape[1] - spare])

    def upsample(self, mel: Tensor, around: int, seen: Tensor) -> tuple[Tensor, Tensor]:
        """The same of a mel with `around` frames more at both ends, and of what the context sees, `seen`."""
        hop = self.config.mel.hop
        stretched = self.stretch(mel)
        stretched = stretched[:, around * hop : stretched.shape[1] - around * hop]
        return stretched, self.surroundings(seen).repeat_interleave(hop, dim=1)

    def predict(self, before: Tensor, mel: Tensor, context: Tensor) -> Tensor:
        """The network: sample before (batch, samples), conditions -> scores (batch, samples, size)."""
        one, two, three, four = context.chunk(4, dim=-1)
        x = self.embed(torch.cat([before[..., None], mel, one], dim=-1))
        x = x + self.first(x)[0]
        x = x + self.second(torch.cat([x, two], dim=-1))[0]
        x = self.third(torch.cat([x, three], dim=-1)).relu()
        return self.out(self.fourth(torch.cat([x, four], dim=-1)).relu())

    @torch.no_grad()
    def vocode(
        self,
        mel: Tensor,
        frame_mask: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        fold: int | None = None,
        overlap: int = 8,
    ) -> Tensor:
        """Makes sound, sample by sample.

        Args:
            mel: (batch, frames, mels) of `config.mel`.
            frame_mask: (batch, frames), True = real.
            generator: for the draws.
            fold: cut the sound into pieces of so many frames that are made side by side. Many times as fast for a long
                sound, but another result: each piece starts from silence, and where two meet they are faded into each
                other, which can be heard.
            overlap: frames by which a piece starts early, to find its way before it is heard.

        Returns:
            (batch, frames * hop) on the device of mel, 0 in padded frames.

        Raises:
            UserError: a mel of another number of bands or with values that are not finite; a piece that does not go
                with its overlap.
        """
        if fold is not None and (fold < 1 or not 0 <= overlap <= fold):
            raise UserError(f"pieces have fold frames, 1 or more, and overlap by 0 to fold, got {fold} and {overlap}")
        check_values(mel)
        hop = self.config.mel.hop
        stretched, context = self.conditions(mel, frame_mask)
        samples = stretched.shape[1]
        folds = fold is not None and fold < mel.shape[1]
        if fold is not None and folds:
            stretched, context = (_fold(x, fold * hop, overlap * hop) for x in (stretched, context))
        noise = tokens.stream(self.family, stretched.shape[1], len(stretched), generator)
        values = Loop(self, len(stretched)).run(stretched, context, noise)
        audio = self.family.decode(values).to(mel.device)
        if folds:
            audio = _unfold(audio.reshape(len(mel), -1, audio.shape[1]), overlap * hop)[:, :samples]
        trace.report("wavernn/audio", audio)
        return audio if frame_mask is None else audio * frame_mask.repeat_interleave(hop, dim=1)


# ------------------------------------------------------------------------------------------------------------- sampling


class Loop:
    """The network as few and as large products as it can be, for one sample after the other.

    Nothing stands between the embedding and the first two products with it, so these are one product with sample and
    mel; the mel's share is computed in blocks ahead. Each recurrent state is multiplied once, by all that it meets: h1
    by its own cell and the next. sigmoid(x) is tanh(x / 2) / 2 + 1 / 2, whose factors are folded into the weights, so
    that two gates and their candidate are two calls of tanh. What is multiplied ends with a 1, for the bias.

    Two ways to go on: one sound or a few by a loop that numba has compiled, where it is installed; many sounds side by
    side in numpy in place, of which a call costs a third of one of PyTorch's where vectors are short.

    Args:
        model: whose weights are used.
        batch: sounds side by side.
        compiled: None: where it is there and faster.
    """

    def __init__(self, model: Model, batch: int, compiled: bool | None = None) -> None:
        self.model, self.batch = model, batch
        self._compiled = batch <= FEW and _compiled() is not None if compiled is None else compiled
        units, hidden = model.config.rnn, model.config.hidden
        first, second = _Recurrent.of(model.first), _Recurrent.of(model.second)
        gates = torch.cat([torch.full((2 * units,), 0.5), torch.ones(units)]).to(model.embed.weight)
        meet = torch.cat([w[:, :units] for w in (first.weight_ih, second.weight_ih, model.third.weight)])
        meet[: 6 * units] *= gates.repeat(2)[:, None]  # what the embedding meets
        self._of_level = _numpy(meet @ model.embed.weight[:, 0])
        self._of_mel, self._of_context, self._bias = _known_weights(model, meet, gates)
        # half the candidate's share of the state: the other half comes through the reset gate
        second_in = meet[3 * units : 6 * units]
        self._of_h1 = _with_bias([0.5 * first.weight_hh, second_in], [0.5 * first.bias_hh, torch.zeros_like(gates)])
        self._of_h2 = _with_bias([0.5 * second.weight_hh], [0.5 * second.bias_hh])
        self._third = _numpy(meet[6 * units :].T)
        self._fourth = _numpy(model.fourth.weight[:, :hidden].T)
        self._out = _with_bias([model.out.weight], [model.out.bias])
        self._levels = _levels(model.family)
        self._h1, self._h2 = _ending_with_1(batch, units), _ending_with_1(batch, units)
        self._level = np.zeros(batch, np.float32)  # of the sample before

    def run(self, mel: Tensor, context: Tensor, noise: Iterable[np.ndarray]) -> Tensor:
        """Conditions (batch, samples, ...), noise (batch, draws) for each sample -> values (batch, samples)."""
        draws, steps = iter(noise), self._steps_compiled if self._compiled else self._steps
        values = []
        for start in range(0, mel.shape[1], BLOCK):
            known = self._known(mel[:, start : start + BLOCK], context[:, start : start + BLOCK])
            values.append(steps(known, np.stack(list(islice(draws, len(known))))))
        made = np.concatenate(values).T
        return torch.from_numpy(made.astype(np.float32 if self._levels is None else np.int64))

    def _known(self, mel: Tensor, context: Tensor) -> np.ndarray:
        """What the mel gives to the two cells, the third layer and the fourth: (samples, batch, all of these)."""
        samples, batch = mel.shape[1], mel.shape[0]
        mel, context = (x.transpose(0, 1).reshape(samples * batch, -1) for x in (mel, context))
        known = torch.addmm(self._bias, mel, self._of_mel).addmm_(context, self._of_context)
        return _numpy(known.view(samples, batch, -1))

    def _steps_compiled(self, known: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """What `_steps` does, one sound after the other."""
        loop = _compiled()
        assert loop is not None
        weights = (self._of_level, self._of_h1, self._of_h2, self._third, self._fourth, self._out)
        levels = np.empty(0, np.float32) if self._levels is None else self._levels
        bells = self.model.family.count if self._levels is None else 0
        values = np.empty(known.shape[:2], np.float32)
        for i in range(self.batch):
            own, chance = (np.ascontiguousarray(part[:, i]) for part in (known, noise))
            states, level = (self._h1[i], self._h2[i]), self._level[i]
            values[:, i], self._level[i] = loop(own, chance, weights, states, level, levels, bells, tokens.FLOOR)
        return values

    def _steps(self, known: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """What the mel gives, and noise (samples, batch, draws) -> values (samples, batch), of all sounds at once."""
        family, units, hidden, batch = self.model.family, self.model.config.rnn, self.model.config.hidden, self.batch
        h1, h2, y = self._h1, self._h2, _ending_with_1(batch, hidden)
        rest1, rest2 = h1 @ self._of_h1, h2 @ self._of_h2  # what the states give to all that they meet
        early = 6 * units + hidden  # numbers that the sample before has a share in
        given = np.empty((batch, early), np.float32)  # what the sample before and the mel give
        to_two, to_three = given[:, 3 * units : 6 * units], given[:, 6 * units :]
        one = _Cell(h1[:, :-1], rest1[:, : 3 * units], given[:, : 3 * units])
        two = _Cell(h2[:, :-1], rest2, to_two)
        both, x, fourth = (
            np.empty((batch, units), np.float32),
            np.empty_like(to_three),
            np.empty((batch, hidden), np.float32),
        )
        active, scores = y[:, :-1], np.empty((batch, family.size), np.float32)
        values = []
        for now in range(len(known)):
            np.multiply(self._level[:, None], self._of_level, out=given)
            np.add(given, known[now, :, :early], out=given)
            one.step()
            np.dot(h1, self._of_h1, out=rest1)
            np.add(to_two, rest1[:, 3 * units :], out=to_two)
            two.step()
            np.dot(h2, self._of_h2, out=rest2)
            np.add(h1[:, :-1], h2[:, :-1], out=both)
            np.dot(both, self._third, out=x)
            np.add(x, to_three, out=x)
            np.maximum(x, 0, out=x)
            np.dot(x, self._fourth, out=fourth)
            np.add(fourth, known[now, :, early:], out=fourth)
            np.maximum(fourth, 0, out=active)
            np.dot(y, self._out, out=scores)
            value = family.sample(scores, noise[now])
            values.append(value)
            self._level[:] = value if self._levels is None else self._levels[value]
        return np.stack(values)


def _known_weights(model: Model, meet: Tensor, gates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How mel, context and biases reach what the loop adds up: (mels, all), (context, all), (all,).

    Args:
        meet: what the embedding meets: both cells and the third layer, (6 * units + hidden, units).
        gates: the factors of the gates of a cell.
    """
    mels, units, hidden, aux = model.config.mel.n_mels, model.config.rnn, model.config.hidden, model.config.context // 4
    first, second = _Recurrent.of(model.first), _Recurrent.of(model.second)
    early, embed = len(meet), meet @ model.embed.weight[:, 1:]
    of_mel = torch.cat([embed[:, :mels], embed.new_zeros(hidden, mels)])
    of_context = embed.new_zeros(early + hidden, 4 * aux)  # each layer reads a quarter of it
    of_context[:early, :aux] = embed[:, mels:]
    of_context[3 * units : 6 * units, aux : 2 * aux] = second.weight_ih[:, units:] * gates[:, None]
    of_context[6 * units : early, 2 * aux : 3 * aux] = model.third.weight[:, units:]
    of_context[early:, 3 * aux :] = model.fourth.weight[:, hidden:]
    cells = torch.cat([first.bias_ih, second.bias_ih]) * gates.repeat(2)
    bias = torch.cat([torch.cat([cells, model.third.bias]) + meet @ model.embed.bias, model.fourth.bias])
    return of_mel.T.contiguous(), of_context.T.contiguous(), bias


@functools.cache
def _compiled() -> Callable[..., tuple[np.ndarray, float]] | None:
    """The loop over samples without Python in it; None where numba is not installed, or does not run here."""
    try:
        from aoide.models.vocoder import _wavernn_loop
    except (ImportError, RuntimeError):  # also: a numpy that it does not know yet, no place to keep what it compiles
        return None
    return _wavernn_loop.steps


class _Recurrent(NamedTuple):
    """The weights of a recurrent layer; gates in the order reset, update, candidate."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor

    @staticmethod
    def of(layer: nn.GRU) -> _Recurrent:
        state = layer.state_dict()
        return _Recurrent(*(state[f"{name}_l0"] for name in _Recurrent._fields))


class _Cell:
    """A GRU cell in place.

    Args:
        state: (batch, units), which `step` moves on.
        rest: (batch, 3 * units), what the last state gives to the gates reset, update and candidate.
        given: the same of the input; `step` overwrites it.
    """

    def __init__(self, state: np.ndarray, rest: np.ndarray, given: np.ndarray) -> None:
        units = state.shape[1]
        self.state, self.rest, self.given = state, rest, given
        self.candidate, self.gates = rest[:, 2 * units :], given[:, : 2 * units]
        self.reset, self.update, self.new = (given[:, i * units : (i + 1) * units] for i in range(3))
        self.spare = np.empty_like(state)

    def step(self) -> None:
        state, new, spare = self.state, self.new, self.spare
        np.add(self.given, self.rest, out=self.given)
        np.tanh(self.gates, out=self.gates)
        np.multiply(self.reset, self.candidate, out=self.reset)
        np.add(new, self.reset, out=new)
        np.tanh(new, out=new)
        np.subtract(state, new, out=spare)  # state = (state + new + update * (state - new)) / 2
        np.multiply(spare, self.update, out=spare)
        np.add(spare, state, out=spare)
        np.add(spare, new, out=spare)
        np.multiply(spare, 0.5, out=state)


def _with_bias(weights: Sequence[Tensor], biases: Sequence[Tensor]) -> np.ndarray:
    """Weights (out, in) of several layers with one input -> (in + 1, all outs), the biases last."""
    return _numpy(torch.cat([torch.cat([*weights]).T, torch.cat([*biases])[None]]))


def _ending_with_1(batch: int, units: int) -> np.ndarray:
    """(batch, units + 1) of zeros, but for the last column."""
    state = np.zeros((batch, units + 1), np.float32)
    state[:, -1] = 1
    return state


def _levels(family: tokens.MuLaw | tokens.Logistics | tokens.Gaussians) -> np.ndarray | None:
    """What the network reads of each class; None where it reads the value itself."""
    return family.level(torch.arange(family.count)).numpy() if isinstance(family, tokens.MuLaw) else None


def _numpy(x: Tensor) -> np.ndarray:
    return np.ascontiguousarray(x.detach().float().cpu().numpy())


def _fold(x: Tensor, length: int, overlap: int) -> Tensor:
    """(batch, samples, dim) -> (batch * pieces, overlap + length, dim): each piece with what comes before it. Beyond
    the ends stands what stands at the ends.
    """
    pieces = math.ceil(x.shape[1] / length)
    position = torch.arange(-overlap, length, device=x.device) + length * torch.arange(pieces, device=x.device)[:, None]
    return x[:, position.clamp(0, x.shape[1] - 1)].flatten(0, 1)


def _unfold(x: Tensor, overlap: int) -> Tensor:
    """(batch, pieces, overlap + length) -> (batch, pieces * length), one piece faded into the next."""
    sound = x[..., overlap:].clone()
    if overlap:
        rise = torch.linspace(0, 1, overlap + 2, device=x.device)[1:-1]
        sound[:, :-1, -overlap:] = sound[:, :-1, -overlap:] * (1 - rise) + x[:, 1:, :overlap] * rise
    return sound.flatten(1)


# ------------------------------------------------------------------------------------------------------------- training


TRAINING = tokens.Config()
LOSSES: dict[str, Any] = {}  # the objective has the only one
NEEDS = ("mel", "audio")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=32, hop=8, win=32, n_mels=6, fmax=4_000),
    count=16,
    rnn=12,
    hidden=10,
    context=8,
    channels=6,
    blocks=1,
    stretch=(2, 4),
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random mels and sounds of 12 frames."""
    frames = 12
    return {
        "mel": torch.randn(batch, frames, config.mel.n_mels, generator=generator),
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
        "audio": torch.rand(batch, frames * config.mel.hop, generator=generator) - 0.5,
    }


# ---------------------------------------------------------------------------------------------------- published weights


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Amphion's WaveRNN.

    Args:
        state: its state dict.
        config: its configuration, {"VOCODER": {...}}; mel settings it does not name are those of Amphion's recipes.

    Raises:
        UserError: keys or shapes that do not fit the configuration.
    """
    part = config["VOCODER"]
    classes = part["MODE"] == "mu_law_quantize"
    model = Model(
        Config(
            mel=amphion_mel(
                {**config.get("preprocess", {}), "n_mel": part["INPUT_DIM"], "hop_size": part["HOP_LENGTH"]}
            ),
            samples="mu_law" if classes else "logistics",
            count=2 ** part["BITS"] if classes else 10,
            rnn=part["RNN_DIMS"],
            hidden=part["FC_DIMS"],
            context=part["RES_OUT_DIMS"],
            channels=part["COMPUTE_DIMS"],
            blocks=part["RES_BLOCKS"],
            around=part["MEL_FRAME_PAD"],
            stretch=tuple(part["UPSAMPLE_FACTORS"]),
        )
    )
    return adopt(model, _rename(state), "WaveRNN checkpoint")


def _rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their keys -> ours."""
    words = {
        "I": "embed",
        "rnn1": "first",
        "rnn2": "second",
        "fc1": "third",
        "fc2": "fourth",
        "fc3": "out",
        "conv_in": "embed",
        "batch_norm": "norm",
        "layers": "blocks",
        "conv1": "first",
        "batch_norm1": "first_norm",
        "conv2": "second",
        "batch_norm2": "second_norm",
        "conv_out": "out",
    }
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        if key.startswith("upsample.up_layers."):
            renamed[f"stretch.kernels.{int(key.split('.')[2]) // 2}"] = value.flatten()
        else:
            bare = key.replace("upsample.resnet.", "surroundings.")
            renamed[".".join(words.get(word, word) for word in bare.split("."))] = value
    return renamed
