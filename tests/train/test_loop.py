"""The loop moves networks as the objective says, logs, validates, and stops when it should."""

import fcntl
import io
import json
import math
import os
import pty
import signal
import struct
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.train import checkpoint, optimiser
from aoide.train.distributed import Team
from aoide.train.loop import Run, amount
from tests.train import toy


def weights(folder: Path, name: str) -> dict[str, Tensor]:
    newest = checkpoint.latest(folder)
    assert newest is not None
    return checkpoint.read(newest).networks[name]


def test_a_run_learns_and_leaves_its_files(tmp_path: Path) -> None:
    outcome = toy.run(toy.recipe(steps=200, moving=optimiser.Config(lr=1e-2, schedule="cosine")), tmp_path / "run")
    assert outcome.finished and outcome.step == 200
    losses = [line["validation/square"] for line in toy.lines(tmp_path / "run") if "validation" in line]
    assert losses[-1] < 0.3 * losses[0]
    logged = [line for line in toy.lines(tmp_path / "run", timed=True) if "model/square" in line]
    assert [line["step"] for line in logged] == list(range(5, 201, 5))
    names = {"step", "model/square", "model/absolute", "model/gradient", "model/lr", "waiting"}
    assert set(logged[0]) == names | {"clips_per_second", "steps_per_second"}
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        ".lock",
        "checkpoints",
        "config.yaml",
        "metrics.jsonl",
    }


def test_the_callers_random_generator_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    toy.run(toy.recipe(steps=3), tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_same_seed_same_run(tmp_path: Path) -> None:
    for name in "ab":
        torch.manual_seed(ord(name))
        toy.run(toy.recipe(), tmp_path / name)
    toy.run(toy.recipe(seed=1), tmp_path / "c")
    prints = [toy.fingerprint(tmp_path / name / "checkpoints" / "step-000030") for name in "abc"]
    assert prints[0] == prints[1] != prints[2]
    assert toy.lines(tmp_path / "a") == toy.lines(tmp_path / "b")


def test_validation_changes_nothing(tmp_path: Path) -> None:
    for name, every in (("often", 1), ("never", 0)):
        toy.run(toy.recipe(validate_every=every), tmp_path / name)
    often, never = weights(tmp_path / "often", "model"), weights(tmp_path / "never", "model")
    assert all(torch.equal(often[key], never[key]) for key in often)


def test_validation_is_the_mean_over_clips_with_averaged_weights(tmp_path: Path) -> None:
    recipe = toy.recipe(steps=5)
    toy.run(recipe, tmp_path)
    model = toy.Model(recipe.model).eval()
    average = checkpoint.read(tmp_path / "checkpoints" / "step-000005").average
    assert average is not None
    checkpoint.fill(model, average, "test")
    held_out = torch.cat([batch["x"] for batch in toy.Data(recipe.data).validation()])
    truth = torch.cat([batch["y"] for batch in toy.Data(recipe.data).validation()])
    with torch.no_grad():
        expected = float((model(held_out) - truth).square().mean())
    assert toy.lines(tmp_path)[-1]["validation/square"] == pytest.approx(expected, rel=1e-5)


# ----------------------------------------------------------------------------------------------- turns and accumulation


class Recorder(toy.Gan):
    """Writes down what the loop does between turns."""

    diary: list[str] = []  # noqa: RUF012

    def steps(self, batch: toy.Batch, generator: torch.Generator) -> Iterator[tuple[str, dict[str, Tensor]]]:
        before = {name: [p.clone() for p in net.parameters()] for name, net in self.networks.items()}
        try:
            for name, losses in super().steps(batch, generator):
                yield name, losses
                moved = [n for n, net in self.networks.items() if any(map(torch.ne, before[n], net.parameters()))]
                self.diary.append(f"{name}: {'+'.join(moved)}")
        finally:
            self.diary.append("closed")


def changed(a: Tensor, b: Tensor) -> bool:
    return not torch.equal(a, b)


def test_each_network_moves_at_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "ne", changed)
    monkeypatch.setattr(toy.GAN, "Objective", Recorder)
    monkeypatch.setattr(Recorder, "diary", [])
    toy.run(toy.recipe("gan", steps=1, accumulate=2, model=toy.Config(norm=False)), tmp_path)
    # by micro-batch: the critic has moved when either generator goes on, the generator when either ends
    end = ["generator: critic+generator", "closed"]
    assert Recorder.diary == ["critic: critic", "critic: critic", *end, *end]


@pytest.mark.parametrize("method", ["regression", "gan"])
def test_accumulation_equals_one_big_batch(tmp_path: Path, method: str) -> None:
    plain = toy.Config(dropout=0.0, norm=False)
    objective = toy.RegressionConfig(noise=0.0) if method == "regression" else None
    for name, batch, accumulate in (("big", 8, 1), ("small", 2, 4)):
        data = toy.DataConfig(batch=batch)
        toy.run(toy.recipe(method, plain, objective, data, accumulate=accumulate, steps=10), tmp_path / name)
    for network in checkpoint.read(tmp_path / "big" / "checkpoints" / "step-000010").networks:
        big, small = weights(tmp_path / "big", network), weights(tmp_path / "small", network)
        assert all(torch.allclose(big[key], small[key], atol=1e-6) for key in big)
    for one, other in zip(toy.lines(tmp_path / "big"), toy.lines(tmp_path / "small"), strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_clipping_bounds_the_gradient(tmp_path: Path) -> None:
    moving = optimiser.Config(lr=1.0, betas=(0.0, 0.0), eps=1e8)  # the step is the gradient / 1e8
    start = toy.Model(toy.Config())
    for name, clip in (("clipped", 1e-3), ("free", None)):
        toy.run(toy.recipe(steps=1, clip=clip, moving=moving, log_every=1), tmp_path / name)
    assert toy.lines(tmp_path / "clipped")[0] == toy.lines(tmp_path / "free")[0]  # the norm that is logged is unclipped
    assert toy.lines(tmp_path / "free")[0]["model/gradient"] > 0.1
    norms = {}
    for name in ("clipped", "free"):
        moments = checkpoint.read(tmp_path / name / "checkpoints" / "step-000001").optimisers["model"].values()
        norms[name] = float(torch.stack([state["exp_avg"].norm() for state in moments]).norm())
    assert norms["clipped"] == pytest.approx(1e-3, rel=1e-3) and norms["free"] > 0.1
    assert start.first.weight is start.last.weight


# ----------------------------------------------------------------------------------------------------------- precision


def test_precision_is_for_a_gpu(tmp_path: Path) -> None:
    screen = io.StringIO()
    toy.run(toy.recipe(steps=1, precision="bf16"), tmp_path, screen=screen)
    assert "loop.precision: bf16 is for a GPU; a CPU computes in fp32" in screen.getvalue()


def test_autocast_reaches_the_objective_and_weights_stay_as_they_are(tmp_path: Path) -> None:
    run = Run(toy.recipe("gan"), tmp_path, Team(), toy.Data(toy.DataConfig()))
    run.dtype = torch.bfloat16  # as on a GPU
    kinds = []
    run.networks["generator"].register_forward_hook(lambda net, inputs, output: kinds.append(output.dtype))
    run._advance([next(run.source.batches(0, 0, 1))])
    assert kinds == [torch.bfloat16] and run.step == 1 and run.skips == 0
    assert all(p.dtype == torch.float32 for p in run.networks["generator"].parameters())


def test_an_overflow_of_fp16_leaves_the_step_out_and_lowers_the_scale(tmp_path: Path) -> None:
    run = Run(toy.recipe("gan"), tmp_path, Team(), toy.Data(toy.DataConfig()))
    run.scaler = torch.amp.GradScaler("cpu", init_scale=3e38)
    batches = run.source.batches(0, 0, 1)
    before = [p.clone() for p in run.networks["critic"].parameters()]
    run._advance([next(batches)])
    assert all(torch.equal(p, q) for p, q in zip(run.networks["critic"].parameters(), before, strict=True))
    assert run.scaler.get_scale() < 3e38 and run.skips == 0
    run.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8)
    run._advance([next(batches)])
    assert any(map(changed, run.networks["critic"].parameters(), before))
    assert json.dumps(run.scaler.state_dict()) and all(map(math.isfinite, run.meter.sums.values()))


def test_scaling_changes_nothing_but_the_scale(tmp_path: Path) -> None:
    moved = []
    for scale in (None, 2.0**10):
        torch.manual_seed(0)
        run = Run(toy.recipe("gan"), tmp_path, Team(), toy.Data(toy.DataConfig()))
        if scale is not None:
            run.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        run._advance([next(run.source.batches(0, 0, 1))])
        moved.append([p.clone() for net in run.networks.values() for p in net.parameters()])
    assert all(torch.allclose(p, q) for p, q in zip(*moved, strict=True))


# ---------------------------------------------------------------------------------------------------------- bad losses


def test_losses_that_are_not_finite_move_nothing(tmp_path: Path) -> None:
    clip = {"ids": ["clip3"]}
    objective = toy.RegressionConfig(trouble="nan", bad=("clip3",))
    source = toy.Data(toy.DataConfig())
    run = Run(toy.recipe(objective=objective), tmp_path, Team(), source)
    before = [p.clone() for p in run.networks["model"].parameters()]
    assert run.average is not None
    batch = next(b for b in source.batches(0, 0, 1) if "clip3" in b["ids"])
    run._advance([batch])
    assert all(torch.equal(p, q) for p, q in zip(run.networks["model"].parameters(), before, strict=True))
    assert run.average.updates == 0 and run.step == 1 and run.skips == 1 and run.meter.sums == {}
    noted = json.loads((tmp_path / "skipped.jsonl").read_text())
    assert noted == {"step": 1, "trouble": "model/square nan, model/gradient nan", "ids": batch["ids"]}
    assert clip["ids"][0] in noted["ids"]


def test_one_bad_clip_does_not_stop_a_run(tmp_path: Path) -> None:
    objective = toy.RegressionConfig(trouble="nan", bad=("clip3",))
    assert toy.run(toy.recipe(objective=objective, max_skips=2, steps=40), tmp_path).finished
    assert len((tmp_path / "skipped.jsonl").read_text().splitlines()) == 4  # once an epoch


def test_many_bad_clips_stop_it(tmp_path: Path) -> None:
    objective = toy.RegressionConfig(trouble="nan", bad=tuple(f"clip{i}" for i in range(40)))
    with pytest.raises(UserError, match=r"step 3: 3 steps in a row had losses that are not finite \(model/square nan"):
        toy.run(toy.recipe(objective=objective, max_skips=3), tmp_path)
    assert len((tmp_path / "skipped.jsonl").read_text().splitlines()) == 3
    assert checkpoint.latest(tmp_path) is None


def test_out_of_memory_names_the_batch_and_the_setting(tmp_path: Path) -> None:
    objective = toy.RegressionConfig(trouble="memory", bad=("clip3",))
    with pytest.raises(UserError, match=r"of 4.0 clips, x \[4, 4\] \(clip.*lower data.batch_seconds"):
        toy.run(toy.recipe(objective=objective), tmp_path)


def test_no_data_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not one batch"):
        toy.run(toy.recipe(data=toy.DataConfig(clips=0)), tmp_path)


# -------------------------------------------------------------------------------------------------- stop and go on


class Stopper(toy.Data):
    """Sends this process a signal in the middle of a step."""

    at = 12

    def batches(self, seed: int, rank: int, world: int) -> Iterator[toy.Batch]:
        for batch in super().batches(seed, rank, world):
            if self.epoch * 10 + self.taken == self.at:
                os.kill(os.getpid(), signal.SIGINT)
            yield batch


def test_ctrl_c_ends_the_step_saves_and_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)  # a shell starts background jobs with Ctrl-C ignored
    recipe = toy.recipe()
    screen = io.StringIO()
    outcome = toy.run(recipe, tmp_path / "broken", source=Stopper(recipe.data), screen=screen)
    assert screen.getvalue().endswith(f"stopped, and saved; go on with: aoide train {tmp_path / 'broken'}\n")
    assert (outcome.step, outcome.finished) == (12, False)
    assert (tmp_path / "broken" / "checkpoints" / "step-000012").is_dir()
    assert signal.getsignal(signal.SIGINT) is before
    assert toy.run(recipe, tmp_path / "broken").finished
    toy.run(recipe, tmp_path / "whole")
    assert toy.lines(tmp_path / "broken") == toy.lines(tmp_path / "whole")
    prints = [toy.fingerprint(tmp_path / name / "checkpoints" / "step-000030") for name in ("broken", "whole")]
    assert prints[0] == prints[1]


def test_a_finished_run_has_nothing_to_do_until_it_is_given_more_steps(tmp_path: Path) -> None:
    toy.run(toy.recipe(), tmp_path)
    before = toy.lines(tmp_path)
    assert toy.run(toy.recipe(), tmp_path).finished
    assert toy.lines(tmp_path) == before
    screen = io.StringIO()
    assert toy.run(toy.recipe(steps=40), tmp_path, screen=screen).step == 40
    assert "loop.steps was 30, is 40" in screen.getvalue() and "going on from" in screen.getvalue()


def test_a_run_of_another_model_is_refused(tmp_path: Path) -> None:
    toy.run(toy.recipe(steps=1), tmp_path)
    with pytest.raises(UserError, match=r"another model \(model.dropout was 0.1, is 0.2\); choose another --run"):
        toy.run(toy.recipe(steps=2, model=toy.Config(dropout=0.2)), tmp_path)
    with pytest.raises(UserError, match="networks model; this one has critic, generator"):
        toy.run(toy.recipe("gan", steps=2), tmp_path)


def test_start_from_weights(tmp_path: Path) -> None:
    toy.run(toy.recipe(steps=9), tmp_path / "old")
    average = checkpoint.read(tmp_path / "old" / "checkpoints" / "step-000009").average
    assert average is not None
    run = Run(toy.recipe("gan"), tmp_path / "new", Team(), toy.Data(toy.DataConfig()))
    notes = run.begin(tmp_path / "old")
    assert [note.rpartition("/")[2] for note in notes] == [
        "step-000009",
        "step-000009 has no critic: it starts from nothing",
    ]
    assert all(torch.equal(value, average[key]) for key, value in run.networks["generator"].state_dict().items())
    assert run.average is not None and all(torch.equal(run.average.weights[key], average[key]) for key in average)


def test_start_from_weights_that_do_not_fit(tmp_path: Path) -> None:
    toy.run(toy.recipe(steps=1, model=toy.Config(norm=False, dim=3), data=toy.DataConfig(dim=3)), tmp_path / "old")
    with pytest.raises(UserError) as caught:
        toy.run(toy.recipe(steps=1), tmp_path / "new", start=tmp_path / "old")
    assert "5 missing (norm.weight" in str(caught.value) and "4 of another shape (first.weight [3, 3]" in str(
        caught.value
    )


# ------------------------------------------------------------------------------------------------------------- the log


def test_a_live_line_on_a_terminal_and_plain_lines_elsewhere(tmp_path: Path) -> None:
    plain = io.StringIO()
    toy.run(toy.recipe(), tmp_path / "plain", screen=plain)
    assert "\r" not in plain.getvalue() and "step 10/30  model/square 0." in plain.getvalue()
    assert "clips/s  0:00:00 left" in plain.getvalue()

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 160, 0, 0))  # rows, columns
    shown: list[bytes] = []
    reader = threading.Thread(target=_read_all, args=(master, shown))
    reader.start()
    with os.fdopen(slave, "w") as terminal:
        toy.run(toy.recipe(), tmp_path / "live", screen=terminal)
    reader.join()
    text = b"".join(shown).decode()
    assert text.count("\r") > 3 and "30/30" in text and "held-out clips" in text and "step 10/30  model" not in text


def _read_all(handle: int, into: list[bytes]) -> None:
    try:
        while part := os.read(handle, 4096):
            into.append(part)
    except OSError:  # the other end of a pseudo-terminal was closed
        os.close(handle)


def test_lines_beyond_the_checkpoint_and_cut_lines_leave_the_log(tmp_path: Path) -> None:
    toy.run(toy.recipe(steps=20), tmp_path)
    kept = (tmp_path / "metrics.jsonl").read_text()
    (tmp_path / "metrics.jsonl").write_text(kept + '{"step": 25, "model/square": 1}\n{"step": 2')
    toy.run(toy.recipe(steps=20), tmp_path)
    assert (tmp_path / "metrics.jsonl").read_text() == kept


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    toy.run(toy.recipe(steps=5, tensorboard=True), tmp_path)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert "model/square" in events.Tags()["scalars"]


def test_seconds_of_audio() -> None:
    mel = type("Mel", (), {"frame_rate": 10.0, "sample_rate": 100})
    model = type("Config", (), {"mel": mel})
    mask = torch.tensor([[True, True, False]])
    assert amount({"ids": ["a"], "frame_mask": mask, "audio": torch.zeros(1, 30)}, model) == (0.2, "seconds")
    assert amount({"ids": ["a"], "audio": torch.zeros(2, 50)}, model) == (1.0, "seconds")
    assert amount({"ids": ["a", "b"]}, object()) == (2.0, "clips")


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"steps": 0}, "steps"), ({"ema": 1.0}, "ema"), ({"clip": 0.0}, "clip"), ({"threads": 0}, "threads")],
)
def test_loop_settings_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        toy.recipe(**settings)


def test_threads_are_put_back(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    toy.run(toy.recipe(steps=1, threads=before + 1), tmp_path)
    assert torch.get_num_threads() == before
