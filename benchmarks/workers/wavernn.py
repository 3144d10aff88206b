"""WaveRNN's sampling and a plain loop of the same network, timed in turn; a worker (talk.py), one question a network:

    {"units": 128, "together": 1, "samples": 1200, "repeats": 9}         all of these have defaults

The plain loop is what one would write first: PyTorch's GRU cells and linear layers, one sample after the other, with
the mel brought to the rate of samples beforehand. `together` are sounds, or the pieces that `vocode(fold=...)` makes of
one; the plain loop makes them one after the other. All get the same random numbers, so they must give the same sound,
and it is an error if they do not.

The answer has samples per second and seconds per second of both sides and two ratios, how many times as fast ours is:
`ratio` to the plain loop, `ratio_together` to a plain loop that also takes all sounds at once. Times are CPU times, on
which other work on the machine falls least; figures are of the fastest repeat of each side, and the range of `ratio` is
that over the repeats. Start it with one thread (OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1; `Worker(threads=1)` does).
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import talk
import torch
from torch import Tensor, nn

from aoide.models.vocoder import wavernn
from aoide.objectives import tokens


def cell(layer: nn.GRU) -> nn.GRUCell:
    """The layer as a cell for one step, with its weights."""
    made = nn.GRUCell(layer.input_size, layer.hidden_size)
    made.load_state_dict({key.removesuffix("_l0"): value for key, value in layer.state_dict().items()})
    return made


@torch.inference_mode()
def plain(model: wavernn.Model, mel: Tensor, context: Tensor, noise: Sequence[np.ndarray]) -> Tensor:
    """Samples the network as it is written: conditions (batch, samples, ...) -> values (batch, samples)."""
    first, second = cell(model.first), cell(model.second)
    one, two, three, four = context.chunk(4, dim=-1)
    h1 = h2 = torch.zeros(len(mel), model.config.rnn)
    level = torch.zeros(len(mel), 1)
    values = []
    for now, chance in enumerate(noise):
        x = model.embed(torch.cat([level, mel[:, now], one[:, now]], dim=1))
        h1 = first(x, h1)
        x = x + h1
        h2 = second(torch.cat([x, two[:, now]], dim=1), h2)
        x = x + h2
        x = model.third(torch.cat([x, three[:, now]], dim=1)).relu()
        x = model.fourth(torch.cat([x, four[:, now]], dim=1)).relu()
        value = torch.from_numpy(model.family.sample(model.out(x).numpy(), chance))
        level = model.family.level(value)[:, None]
        values.append(value)
    return torch.stack(values, dim=1)


def one_by_one(model: wavernn.Model, mel: Tensor, context: Tensor, noise: Sequence[np.ndarray]) -> Tensor:
    """The plain loop, sound after sound."""
    rows = [slice(i, i + 1) for i in range(len(mel))]
    return torch.cat([plain(model, mel[row], context[row], [chance[row] for chance in noise]) for row in rows])


@torch.inference_mode()
def ours(model: wavernn.Model, mel: Tensor, context: Tensor, noise: Sequence[np.ndarray]) -> Tensor:
    """The loop of `vocode`."""
    return wavernn.Loop(model, len(mel)).run(mel, context, noise)


def seconds(call: Callable[..., Tensor], *what: Any) -> tuple[float, Tensor]:
    """How much CPU time a call takes, and what it gives."""
    started = time.process_time()
    result = call(*what)
    return time.process_time() - started, result


def compare(units: int = 128, together: int = 1, samples: int = 1200, repeats: int = 9) -> dict[str, Any]:
    """All sides on the same conditions and noise, in turn."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = wavernn.Model(wavernn.Config(rnn=units, hidden=units)).eval()
    mel_config = model.config.mel
    with torch.inference_mode():
        mel, context = model.conditions(torch.randn(together, -(-samples // mel_config.hop), mel_config.n_mels))
    given = (
        mel[:, :samples],
        context[:, :samples],
        list(tokens.stream(model.family, samples, together, torch.Generator().manual_seed(1))),
    )
    sides = (one_by_one, plain, ours)
    for side in sides:  # first calls allocate
        side(model, *(part[:, :20] if isinstance(part, Tensor) else part[:20] for part in given))
    times = []
    for _ in range(repeats):
        taken, sounds = zip(*(seconds(side, model, *given) for side in sides), strict=True)
        differing = max(int((sound != sounds[0]).sum()) for sound in sounds)
        if differing:
            raise RuntimeError(f"the sides differ in {differing} of {sounds[0].numel()} samples")
        times.append(taken)
    theirs, theirs_together, mine = (min(side) for side in zip(*times, strict=True))
    ratios = [taken[0] / taken[2] for taken in times]
    per_second = {"plain": theirs, "ours": mine}
    return {
        "units": units,
        "together": together,
        "parameters": sum(p.numel() for p in model.parameters()),
        "ratio": round(theirs / mine, 2),
        "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
        "ratio_together": round(theirs_together / mine, 2),
        **{f"{side}_samples_per_second": round(together * samples / best) for side, best in per_second.items()},
        **{
            f"{side}_seconds_per_second": round(best * mel_config.sample_rate / samples / together, 3)
            for side, best in per_second.items()
        },
    }


if __name__ == "__main__":
    talk.serve(lambda question: compare(**question))
