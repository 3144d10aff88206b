"""APNet against Amphion's: spectra, sound and the losses of its trainer, over every pack of that form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aoide.audio.stft import stft
from aoide.config import UserError
from aoide.models.vocoder import apnet
from tests.parity import packs

PACKS = packs.matching("amphion_vocoder", "apnet")


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_spectra_sound_and_losses(name: str) -> None:
    pack = packs.load(name)
    model = apnet.from_official(pack.state, pack.config).eval()
    mel = pack.inputs["mel"].mT
    out = model(mel)
    assert torch.equal(model.vocode(mel), out.audio)
    predicted = torch.polar(out.log_amplitude.exp(), out.phase)
    again = _spectrum(model.config, out.audio)
    recorded = torch.complex(pack.inputs["gt_rea"], pack.inputs["gt_imag"]).mT
    got = {
        "logamp": out.log_amplitude.mT,
        "phase": out.phase.mT,
        "rea": predicted.real.mT,
        "imag": predicted.imag.mT,
        "wav": out.audio[:, None],
        "rea_final": again.real.mT,
        "imag_final": again.imag.mT,
        "loss_amplitude": 45 * apnet.amplitude_distance(out.log_amplitude, pack.inputs["gt_logamp"].mT),
        "loss_phase": 100 * apnet.cosine_phase_distance(out.phase, pack.inputs["gt_phase"].mT),
        "loss_consistency": 20 * apnet.consistency_distance(predicted, again, recorded),
    }
    packs.check(pack, got)
    assert set(pack.out) <= set(got), "every recorded output is compared"


def _spectrum(config: apnet.Config, audio: Tensor) -> Tensor:
    return apnet.Consistency(config).spectrum(audio)


def test_the_losses_of_the_file_are_those_functions_on_the_recorded_spectrum() -> None:
    batch = apnet.example(apnet.TOY, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    out = apnet.Model(apnet.TOY)(batch["mel"])
    mel = apnet.TOY.mel
    real = stft(batch["audio"], mel.n_fft, mel.hop, torch.hann_window(mel.win), "same")
    right = apnet.Output(batch["audio"], (real.abs() + apnet.SILENT).log(), real.angle())
    for name, best in (("amplitude", 0.0), ("phase", -3.0), ("wrapped_phase", 0.0), ("mel", 0.0)):
        loss = apnet.LOSSES[name](apnet.TOY)
        assert float(loss(right, batch)) == pytest.approx(best, abs=1e-5), name
        assert float(loss(out, batch).detach()) > best + 0.1, name
    whole_turns = right._replace(phase=right.phase + 2 * torch.pi)
    assert float(apnet.WrappedPhase(apnet.TOY)(whole_turns, batch)) == pytest.approx(0.0, abs=1e-4)
    assert float(apnet.Consistency(apnet.TOY)(right, batch)) < 0.01 * float(
        apnet.Consistency(apnet.TOY)(out, batch).detach()
    )


def test_what_does_not_fit_is_told() -> None:
    pack = packs.load(PACKS[0])
    with pytest.raises(UserError, match="APNet checkpoint does not fit.*lacks amplitude.first.bias$"):
        apnet.from_official({k: v for k, v in pack.state.items() if k != "ASP_input_conv.bias"}, pack.config)
    prefixed = {f"generator.{key}": value for key, value in pack.state.items()}
    model = apnet.from_official(prefixed, pack.config)
    with pytest.raises(UserError, match="reads MelConfig.*n_mels=9"):
        model(torch.zeros(1, 5, 80))
