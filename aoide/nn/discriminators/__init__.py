"""Critics: networks that tell recorded from generated sound, each made of parts that listen in their own way.

A critic takes a waveform (batch, samples) and gives a `Judgement`: one score map a part, and the activations on the way
(the feature maps that feature matching compares). One file each; any set of them trains any generator:

    ===========  ==========================================  ===========================================
    name         listens to                                  used by
    ===========  ==========================================  ===========================================
    period       every p-th sample                           HiFi-GAN, BigVGAN, VITS, JETS, Vocos, DAC
    scale        the waveform, at several rates              MelGAN, HiFi-GAN, VITS, JETS
    resolution   magnitude spectrograms                      UnivNet, BigVGAN v1, APNet
    band         complex spectrograms, band by band          DAC, Vocos; BigVGAN can (multi-band)
    stft         complex spectrograms                        EnCodec
    cqt          constant-Q transforms, octave by octave     BigVGAN v2, Amphion
    dilated      the waveform, sample by sample              Parallel WaveGAN
    patch        a mel, not the waveform (`OF_MELS`)         AudioLDM's and latent diffusion's autoencoders
    ===========  ==========================================  ===========================================

    critic = Period().critic(24_000)           # settings -> network, for sound at this rate in Hz
    scores, features = critic(audio)
    critics = Critics({"period": critic, "scale": Scale().critic(24_000)})

`CRITICS` names their settings; a further critic is a file and a line there. `from_official` reads published ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from aoide import trace
from aoide.config import UserError
from aoide.nn.discriminators import band, cqt, period, resolution, scale, stft
from aoide.nn.discriminators.band import Band, BandCritic
from aoide.nn.discriminators.cqt import Cqt, CqtCritic
from aoide.nn.discriminators.dilated import Dilated, DilatedCritic
from aoide.nn.discriminators.parts import Judgement
from aoide.nn.discriminators.patch import Patch, PatchCritic
from aoide.nn.discriminators.period import Period, PeriodCritic
from aoide.nn.discriminators.resolution import Resolution, ResolutionCritic
from aoide.nn.discriminators.scale import Scale, ScaleCritic
from aoide.nn.discriminators.stft import Stft, StftCritic

__all__ = [
    "CRITICS",
    "OF_MELS",
    "Band",
    "BandCritic",
    "Cqt",
    "CqtCritic",
    "Critics",
    "Dilated",
    "DilatedCritic",
    "Judgement",
    "Patch",
    "PatchCritic",
    "Period",
    "PeriodCritic",
    "Resolution",
    "ResolutionCritic",
    "Scale",
    "ScaleCritic",
    "Stft",
    "StftCritic",
    "from_official",
]


class Settings(Protocol):
    """What `CRITICS` holds: a dataclass of settings that builds its network."""

    def critic(self, sample_rate: int) -> nn.Module:
        """The network, for sound at `sample_rate` Hz: audio (batch, samples) -> `Judgement`."""


CRITICS: dict[str, type[Settings]] = {
    "period": Period,
    "scale": Scale,
    "resolution": Resolution,
    "band": Band,
    "stft": Stft,
    "cqt": Cqt,
    "dilated": Dilated,
}
OF_MELS: dict[str, type[Settings]] = {"patch": Patch}  # these judge a mel (batch, frames, mels)


class Critics(nn.Module):
    """Several critics, by name; asked together they give a judgement each."""

    def __init__(self, critics: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.by_name = nn.ModuleDict(dict(critics))

    def forward(self, audio: Tensor) -> dict[str, Judgement]:
        """audio (batch, samples) -> name of the critic: its judgement."""
        said = {name: critic(audio) for name, critic in self.by_name.items()}
        if trace.active("critic/scores"):
            for name, judgement in said.items():
                periods = getattr(getattr(self.by_name[name], "config", None), "periods", None)
                for part, scores in enumerate(judgement.scores):
                    rows = 1 if periods is None else periods[part]  # those of a period lie one after the other
                    trace.report("critic/scores", scores, critic=name, part=part, rows=rows)  # (batch, ...)
        return said


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any] | None = None) -> Critics:
    """All critics of a published training checkpoint.

    Args:
        state: the checkpoint as one flat dict: `mpd. ...`, `msd. ...` of the `do_...` files of HiFi-GAN and BigVGAN
            (where `mrd` may be any of three critics), `multiperioddisc. ...` of Vocos, or `discriminators. ...` of
            VITS, whose first is a scale and the others are periods.
        config: the published configuration that belongs to it; HiFi-GAN, VITS and Vocos can do without.

    Raises:
        UserError: no critics in it, or critics of another form.
    """
    groups: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        owner, found, _ = key.partition("discriminators.")
        if found:
            groups.setdefault(owner, {})[key] = value
    if not groups:
        raise UserError("this checkpoint has no critics: no key says `discriminators`")
    if any(".emb." in key for key in state):
        raise UserError("this checkpoint has critics that are told the bandwidth, which are not supported")
    critics = {}
    for group in [part for whole in groups.values() for part in _scale_and_periods(whole)]:
        name, read = _reader(group)
        critics[name] = read(group, config or {})
    return Critics(critics)


def _scale_and_periods(group: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """VITS's list of discriminators, a scale and then periods, as two lists that begin at 0; another list as it is."""
    numbered = [(key.split("discriminators.")[1].partition("."), value) for key, value in group.items()]
    periods = {
        f"discriminators.{int(number) - 1}.{rest}": value for (number, _, rest), value in numbered if number != "0"
    }
    scale = {f"discriminators.0.{rest}": value for (number, _, rest), value in numbered if number == "0"}
    return [scale, periods] if _kernel(scale) == 1 and _kernel(periods) == 2 else [group]


def _kernel(group: Mapping[str, Tensor]) -> int:
    """How many axes the kernels of the convolutions of a published critic have; 0: none were found."""
    return next(
        (
            value.ndim - 2
            for key, value in group.items()
            if key.endswith((".weight_v", ".weight_orig")) and value.ndim > 2
        ),
        0,
    )


def _reader(group: Mapping[str, Tensor]) -> tuple[str, Callable[..., nn.Module]]:
    """The name of a published critic by ours, and its `from_official`."""
    for word, name, module in (
        (".band_convs.", "band", band),
        (".conv_pres.", "cqt", cqt),
        (".spec_transform.", "stft", stft),
    ):
        if any(word in key for key in group):
            return name, module.from_official
    if _kernel(group) == 1:
        return "scale", scale.from_official
    tall = any(value.ndim == 4 and value.shape[3] == 9 for value in group.values())
    return ("resolution", resolution.from_official) if tall else ("period", period.from_official)
