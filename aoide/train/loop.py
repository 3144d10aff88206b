"""The training loop, one for every method: ask the objective for the next network and its losses, move that network.

    for name, losses in objective.steps(batch, generator):
        sum(losses.values()).backward()
        clip; optimisers[name].step()

Around these lines stands what makes a run safe. It can be killed at any moment and goes on from its last checkpoint
bit for bit: weights, average, optimisers, random generators, position in the data, and the means that were about to be
logged. Losses that are not finite move nothing. Ctrl-C ends the step, saves, and says how to go on.

With accumulation each micro-batch has a `steps()` generator of its own; all are advanced to the turn of one network,
whose gradients add up, then that network moves, then all are advanced to the next turn. So a critic that has moved is
what the generator meets, as with one big batch; the price: the graphs of all micro-batches live until the last turn.
"""

from __future__ import annotations

import json
import math
import shlex
import time
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

import torch
from torch import Tensor, nn

from aoide import config
from aoide.config import UserError
from aoide.nn import lora
from aoide.nn.freeze import freeze, train_mode
from aoide.train import checkpoint, optimiser, resume, samples, shards
from aoide.train import start as starts
from aoide.train.distributed import Team, team
from aoide.train.ema import Average
from aoide.train.log import Log, Meter, Pace
from aoide.train.process import listen, lock, threads
from aoide.train.recipe import Recipe, differences
from aoide.train.samples import Hear
from aoide.train.start import Start

Batch = dict[str, Any]
Turn = Generator[tuple[str, dict[str, Tensor]], None, None]


class Source(Protocol):
    """Where batches come from: a file in aoide/data."""

    def batches(self, seed: int, rank: int, world: int) -> Iterator[Batch]:
        """Training batches from the present position on; ends at the end of an epoch or never."""

    def validation(self) -> Iterator[Batch]:
        """The held-out batches, the same each time."""

    def state_dict(self) -> dict[str, Any]:
        """The position after the last batch that was handed out, as JSON; the same in all processes."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to such a position."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a run ended: at which step, and whether that is its last."""

    folder: Path
    step: int
    finished: bool


def train(
    recipe: Recipe,
    folder: Path,
    source: Source | None = None,
    start: Start | Path | None = None,
    screen: TextIO | None = None,
    accept: bool = False,
    hear: Hear | None = None,
) -> Outcome:
    """Trains what `recipe` says in the run folder `folder`, or goes on there if it holds a checkpoint.

    Args:
        source: the data; None = what the recipe names.
        start: what a new run starts from: a checkpoint, a run, or any weights.
        screen: where to speak; None = stderr.
        accept: go on although the data are not those of the checkpoint.
        hear: a mel and its settings -> samples, or None for settings that it does not know: how held-out mels are
            made audible.

    Raises:
        UserError: another process trains in the folder, a checkpoint that cannot be read or does not fit, losses that
            stay without a finite value, a full disk, or not enough memory.
    """
    with team(recipe.loop.device) as processes, lock(folder) if processes.leads else nullcontext():
        devices = [processes.device] if processes.device.type == "cuda" else []
        with torch.random.fork_rng(devices), threads(recipe.loop.threads):  # the caller's generator stays as it was
            torch.manual_seed(recipe.loop.seed)  # the first weights are the same on all processes
            run = Run(recipe, folder, processes, source, accept=accept, hear=hear)
            torch.manual_seed(recipe.loop.seed + processes.rank)
            notes = run.begin(start)
            return run.go_on(notes, screen)


class Run:
    """A run in memory: the objective with its networks, what moves them, and all the counters."""

    def __init__(  # noqa: PLR0913
        self,
        recipe: Recipe,
        folder: Path,
        processes: Team,
        source: Source | None,
        *,
        accept: bool = False,
        hear: Hear | None = None,
    ) -> None:
        loop = recipe.loop
        self.accept, self.hear = accept, hear
        self.recipe, self.folder, self.team, self.loop = recipe, folder, processes, loop
        # the data first, since they are what most often is not there
        self.source = recipe.open_source() if source is None else source
        try:
            model = recipe.module.Model(recipe.model)
            self.objective = recipe.method.Objective(recipe.objective, recipe.module, model)
        except ValueError as error:  # settings that are well each, but not together
            raise UserError(f"{recipe.where}: {error}") from error
        self.networks: dict[str, nn.Module] = self.objective.networks
        self.model = next(name for name, network in self.networks.items() if network is model)
        for network in self.networks.values():
            network.to(processes.device)
            processes.share([*network.parameters(), *network.buffers()])
        self.frozen = [] if recipe.lora is None else _told(lora.add(model, recipe.lora), model)
        self.frozen += freeze(self.networks, recipe.optimiser.freeze)
        for network in self.networks.values():
            train_mode(network)
        self.sharded = loop.parallel == "fsdp" and processes.world > 1
        if self.sharded:
            self._shard()
        self.optimisers = optimiser.build(recipe.optimiser, self.networks)
        self.average = Average(model, loop.ema) if loop.ema is not None else None
        self.generator = torch.Generator(processes.device).manual_seed(loop.seed + processes.rank)
        gpu = processes.device.type == "cuda"
        self.scaler = torch.amp.GradScaler("cuda", enabled=gpu and loop.precision == "fp16")
        self.dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(loop.precision) if gpu else None
        self.meter, self.pace = Meter(), Pace()
        self.step = 0
        self.skips = 0  # steps in a row that were skipped
        self.best: tuple[float, int] | None = None  # lowest validation loss, and its step

    def _shard(self) -> None:
        if len(self.networks) > 1:
            raise UserError(
                f"loop.parallel: fsdp is for methods that train one network, {self.recipe.name} trains "
                f"{', '.join(self.networks)}; use ddp"
            )
        for network in self.networks.values():
            shards.shard(network)

    # ------------------------------------------------------------------------------------------------ begin and go on

    def begin(self, start: Start | Path | None) -> list[str]:
        """Goes back to the last checkpoint of the folder, or starts anew; returns what there is to tell."""
        notes = []
        resolved = self.recipe.to_dict()
        found = checkpoint.latest(self.folder)
        if found is not None:
            old = config.read_yaml(found / "config.yaml")
            other = differences(self._with_defaults(old.get("model")), resolved["model"], "model")
            other += differences(old.get("lora"), resolved.get("lora"), "lora")
            if other:
                raise UserError(
                    f"{self.folder} holds a run of another model ({'; '.join(other)}); choose another --run"
                )
            notes += differences({**old, "model": None}, {**resolved, "model": None})
            notes += resume.restore(self, found)
            notes.append(f"going on from {found}" + ("; --from is for a new run" if start else ""))
        elif start is not None:
            notes += self._start_from(starts.of_run(start) if isinstance(start, Path) else start)
        if self.team.leads:
            self.folder.mkdir(parents=True, exist_ok=True)
            checkpoint.clean(self.folder)
            config.write_yaml(self.folder / "config.yaml", resolved)
        self.team.wait()
        if self.recipe.loop.precision != "fp32" and self.dtype is None:
            notes.append(f"loop.precision: {self.recipe.loop.precision} is for a GPU; a CPU computes in fp32")
        return notes

    def _with_defaults(self, old: Any) -> Any:
        """A model's settings as an older aoide wrote them, with those that have been added since."""
        if not isinstance(old, dict) or old.get("name") != self.recipe.name:
            return old
        settings = {key: value for key, value in old.items() if key != "name"}
        try:
            known = config.build(type(self.recipe.model), settings, str(self.folder), "model")
        except UserError:  # of a setting that is no more: it differs, and is shown
            return old
        return {"name": self.recipe.name, **config.to_dict(known)}

    def _start_from(self, start: Start) -> list[str]:
        notes = []
        for name, network in self.networks.items():
            theirs = start.model if name == self.model else name
            if theirs in start.networks:
                weights = start.networks[theirs]
                if name == self.model and hasattr(self.recipe.module, "started"):
                    weights = self.recipe.module.started(weights, network)
                if name == self.model and self.recipe.lora is not None:
                    weights = lora.widen(weights, network)
                (shards.fill if self.sharded else checkpoint.fill)(network, weights, start.where)
            else:
                notes.append(f"{start.where} has no {name}: it starts from nothing")
        if self.average is not None:
            self.average = Average(self.networks[self.model], self.average.decay)
        return [f"starting from the weights of {start.where}", *notes]

    def go_on(self, notes: list[str], screen: TextIO | None = None) -> Outcome:
        """Trains from the present step to the last, or until somebody asks to stop."""
        steps = self.loop.steps
        with listen() as stop, self._log(screen) as log:
            self._tell(log, [*self._describe(), *notes])
            batches = self._batches()
            while self.step < steps and not self.team.any(stop.is_set()):
                started = time.perf_counter()
                step = [next(batches) for _ in range(self.loop.accumulate)]
                ready = time.perf_counter()
                self._advance(step)
                much = [amount(batch, self.recipe.model) for batch in step]
                self.pace.add(sum(n for n, _ in much), much[0][1], ready - started, time.perf_counter() - ready)
                if log is not None:
                    log.advance()
                if self.step % self.loop.log_every == 0:
                    self._report(log)
                improved = self._validate(log) if self._due(self.loop.validate_every) else False
                if improved or self._due(self.loop.save_every):
                    self._save()
            self._save()
            finished = self.step >= steps
            go_on = f"stopped, and saved; go on with: aoide train {shlex.quote(str(self.folder))}"
            self._tell(log, [f"step {self.step} of {steps}: {'done' if finished else go_on}"])
        return Outcome(folder=self.folder, step=self.step, finished=finished)

    def _due(self, every: int) -> bool:
        return self.step == self.loop.steps or (every > 0 and self.step % every == 0)

    def _batches(self) -> Iterator[Batch]:
        """Batches without end, epoch after epoch."""
        empty = 0  # epochs in a row without a batch; the rest of an epoch, after a resume, may be empty
        while empty < 2:
            empty += 1
            try:
                for batch in self.source.batches(self.loop.seed, self.team.rank, self.team.world):
                    empty = 0
                    yield batch
            except RuntimeError as error:
                if "DataLoader worker" not in str(error):
                    raise
                raise UserError(
                    f"step {self.step}: a process that loads data died ({str(error).partition('.')[0]}); was there "
                    "memory for it? lower data.workers or data.batch_seconds; the same command goes on from "
                    f"{checkpoint.latest(self.folder) or 'the beginning'}"
                ) from None
        raise UserError(f"{self.recipe.where}: data: there is not one batch to train on")

    # --------------------------------------------------------------------------------------------------- one step

    def _advance(self, batches: list[Batch]) -> None:
        """One step on these micro-batches, moved, skipped or explained."""
        for name, mover in self.optimisers.items():
            own = optimiser.of_network(self.recipe.optimiser, name)
            optimiser.set_rate(mover, optimiser.rate(own, self.step, self.loop.steps))
        try:
            values, trouble = self._take_turns(batches)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
                raise UserError(self._explain_memory(batches)) from None
            raise
        self.step += 1
        if trouble:
            self._skip(batches, trouble)
            return
        self.skips = 0
        self.meter.add({key: value for key, value in values.items() if math.isfinite(value)})
        if self.average is not None:
            self.average.update()

    def _take_turns(self, batches: list[Batch]) -> tuple[dict[str, float], str]:
        """Lets each network have its turn; returns what to log, and what was not finite ("" = nothing)."""
        turns: list[Turn] = [self.objective.steps(self._here(batch), self.generator) for batch in batches]
        values: dict[str, float] = {}
        try:
            while (yielded := self._gather_gradients(turns)) is not None:
                moved, trouble = self._move(*yielded)
                values |= moved
                if trouble:
                    return values, trouble
        finally:
            for turn in turns:
                turn.close()  # an objective may have something to put back
        return values, ""

    def _gather_gradients(self, turns: list[Turn]) -> tuple[str, dict[str, Tensor]] | None:
        """Advances every micro-batch to the next turn and goes backward; (network, mean losses), or None at the end."""
        whose: str | None = None
        means: dict[str, Tensor] = {}
        for turn in turns:
            with self._autocast():
                yielded = next(turn, None)
            if yielded is None:
                continue
            name, losses = yielded
            if whose is None:
                whose = name
                self.optimisers[name].zero_grad()  # not the network: gathered shards are not what is moved
            assert name == whose, f"micro-batches disagree on whose turn it is: {whose}, {name}"
            self.scaler.scale(torch.stack([loss.float() for loss in losses.values()]).sum() / len(turns)).backward()
            for key, loss in losses.items():
                share = loss.detach().float() / len(turns)
                means[key] = means[key] + share if key in means else share
        return None if whose is None else (whose, means)

    def _move(self, name: str, losses: dict[str, Tensor]) -> tuple[dict[str, float], str]:
        """Clips and steps one network, unless something is not finite; (what to log, what was not finite)."""
        network, mover = self.networks[name], self.optimisers[name]
        if not self.sharded:  # shards are averaged on their way back
            self.team.average_gradients(network)
        self.scaler.unscale_(mover)
        gradients = optimiser.gradients(network)
        norm = torch.nn.utils.get_total_norm(gradients)
        figures = torch.stack(
            [*losses.values(), shards.whole(norm).to(self.team.device)]
        ).tolist()  # the one wait for the GPU
        values = dict(zip([f"{name}/{key}" for key in (*losses, "gradient")], figures, strict=True))
        # a scaled fp16 gradient overflows now and then: the scaler leaves that step out and lowers its scale
        watched = list(values)[:-1] if self.scaler.is_enabled() else list(values)
        bad = [f"{key} {values[key]}" for key in watched if not math.isfinite(values[key])]
        trouble = self.team.any(bool(bad))
        if not trouble:
            if self.loop.clip is not None:
                torch.nn.utils.clip_grads_with_norm_(network.parameters(), self.loop.clip, norm)
            self.scaler.step(mover)
        self.scaler.update()
        return values, (", ".join(bad) or "a loss of another process") if trouble else ""

    def _skip(self, batches: list[Batch], trouble: str) -> None:
        """Notes the clips of a step that moved nothing; ends the run when that goes on and on."""
        self.skips += 1
        own = {"step": self.step, "trouble": trouble, "ids": [name for batch in batches for name in batch["ids"]]}
        path = self.folder / "skipped.jsonl"
        everybody = self.team.gather(own)
        if self.team.leads:
            with path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(line) + "\n" for line in everybody)
        if self.skips >= self.loop.max_skips:
            raise UserError(
                f"step {self.step}: {self.skips} steps in a row had losses that are not finite ({trouble}); their "
                f"clips are in {path}; mend them, or lower optimiser.lr or loop.clip, and go on from the last one saved"
            )

    def _explain_memory(self, batches: list[Batch]) -> str:
        ids = [name for batch in batches for name in batch["ids"]]
        largest = max(batches, key=lambda batch: amount(batch, self.recipe.model)[0])
        much, unit = amount(largest, self.recipe.model)
        tensors = ((name, value) for name, value in largest.items() if isinstance(value, Tensor))
        name, tensor = max(tensors, key=lambda pair: pair[1].numel())
        return (
            f"step {self.step}: out of memory on a batch of {much:.1f} {unit}, {name} {list(tensor.shape)} "
            f"({', '.join(ids[:3])}, {len(ids)} clips in the step); lower data.batch_seconds, and raise "
            "loop.accumulate to keep the step as large"
        )

    def _here(self, batch: Batch) -> Batch:
        """The batch on this process's device."""
        device = self.team.device
        return {k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}

    def _autocast(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.dtype is None else torch.autocast(self.team.device.type, self.dtype)

    # ---------------------------------------------------------------------------------------- validation and speech

    def _validate(self, log: Log | None) -> bool:
        """Losses of the held-out clips with the averaged weights; True if their sum is the lowest so far."""
        sums: dict[str, float] = {}
        shown = None
        with self._judging():
            for i, batch in enumerate(self.source.validation()):
                if not self.sharded and i % self.team.world != self.team.rank:
                    continue  # shards are gathered by all, so there all hear all
                generator = torch.Generator(self.team.device).manual_seed(i)  # the same noise each time
                here = self._here(batch)
                losses = self.objective.validate(here, generator)
                if i == 0 and self.loop.tensorboard and (self.sharded or log is not None):
                    shown = samples.make(self.recipe.module, self.networks[self.model], here, self.hear)
                clips = len(batch["ids"])
                for key, value in (*losses.items(), (CLIPS, 1.0)):
                    sums[key] = sums.get(key, 0.0) + clips * float(value)
        everybody = self.team.gather(sums)
        clips = sum(part.get(CLIPS, 0.0) for part in everybody)
        if not clips:
            return False
        names = dict.fromkeys(key for part in everybody for key in part if key != CLIPS)
        means = {key: sum(part.get(key, 0.0) for part in everybody) / clips for key in names}
        loss = sum(means.values())
        improved = math.isfinite(loss) and (self.best is None or loss < self.best[0])
        if improved:
            self.best = (loss, self.step)
        if log is not None:
            log.write(self.step, {f"validation/{key}": value for key, value in means.items()} | {"validation": loss})
            if shown is not None:
                log.show(self.step, shown)
            said = "  ".join(f"{key} {value:.4g}" for key, value in means.items())
            log.say(f"step {self.step}: {clips:.0f} held-out clips: {said}{'  (best so far)' if improved else ''}")
        return improved

    @contextmanager
    def _judging(self) -> Iterator[None]:
        """Networks in evaluation mode, averaged weights, no gradients, and no draw from the training's generators."""
        devices = [self.team.device] if self.team.device.type == "cuda" else []
        worn = nullcontext() if self.average is None else self.average.worn()
        for network in self.networks.values():
            network.eval()
        try:
            with torch.random.fork_rng(devices), torch.no_grad(), self._autocast(), worn:
                yield
        finally:
            for network in self.networks.values():
                train_mode(network)

    def _report(self, log: Log | None) -> None:
        """Logs the means since the last time."""
        means, pace = self.meter.take(self.team.total), self.pace.take(self.team.total)
        if log is not None:
            rates = {f"{name}/lr": mover.param_groups[0]["lr"] for name, mover in self.optimisers.items()}
            log.write(self.step, means | rates | pace)
            log.progress(self.step, {k: v for k, v in means.items() if not k.endswith("/gradient")}, pace)

    def _describe(self) -> list[str]:
        sizes = [
            f"{name} {sum(p.numel() for p in net.parameters()) / 1e6:.2f} M" for name, net in self.networks.items()
        ]
        place = str(self.team.device) if self.team.world == 1 else f"{self.team.world} processes"
        return [f"{self.recipe.name}: {', '.join(sizes)} parameters, on {place}; {self.folder}", *self.frozen]

    def _tell(self, log: Log | None, lines: list[str]) -> None:
        if log is not None:
            for line in lines:
                log.say(line)

    def _log(self, screen: TextIO | None) -> AbstractContextManager[Log | None]:
        if not self.team.leads:
            return nullcontext()
        return Log(
            self.folder, self.step, self.loop.steps, self.loop.tensorboard, screen=screen, trackio=self.loop.trackio
        )

    def _save(self) -> None:
        """Writes a checkpoint of this step, and removes those that are too old."""
        for network in self.networks.values():
            self.team.share(network.buffers())  # running statistics differ between processes; from here on they do not
        snapshot = resume.snapshot(self)
        if self.sharded:
            checkpoint.save_sharded(self.folder, snapshot, self.recipe.to_dict(), self.team)
        elif self.team.leads:
            checkpoint.save(self.folder, snapshot, self.recipe.to_dict())
        if self.team.leads:
            checkpoint.prune(self.folder, self.loop.keep, self.best[1] if self.best else None)
        self.team.wait()


def _told(layers: list[str], model: nn.Module) -> list[str]:
    size = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return [f"lora: {size / 1e6:.3f} M numbers train on {len(layers)} layers ({layers[0]} ... {layers[-1]})"]


CLIPS = "*clips"  # beside the losses of a validation; no loss has this name


def amount(batch: Batch, model: Any) -> tuple[float, str]:
    """How much a batch holds: (seconds of sound, "seconds"), or (clips, "clips") where there is no sound in it.

    `model` is the model's Config; its mel, or it itself, knows how many frames and samples are a second.
    """
    clock = getattr(model, "mel", model)
    if "frame_mask" in batch and hasattr(clock, "frame_rate"):
        return float(batch["frame_mask"].sum()) / clock.frame_rate, "seconds"
    if "audio" in batch and hasattr(clock, "sample_rate"):
        return batch["audio"].numel() / clock.sample_rate, "seconds"
    return float(len(batch["ids"])), "clips"
