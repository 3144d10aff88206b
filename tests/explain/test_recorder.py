"""`with aoide.trace(model) as trace:` keeps what the page shows, and costs nothing where nobody asked."""

import subprocess
import sys
import timeit
from pathlib import Path

import numpy as np
import pytest

import aoide
from aoide import trace
from aoide.explain.recorder import Recorder
from aoide.explain.traces import Trace
from tests.explain import everything

torch = pytest.importorskip("torch")


def test_off_costs_a_look_at_a_variable() -> None:
    """Against an empty function, ten times as much; a copy of what is reported would be thousands."""
    x = torch.zeros(1, 400, 100)

    def nothing(name: str, value: object, **where: object) -> None:
        pass

    empty = min(timeit.repeat(lambda: nothing("diffusion/x", x, step=1), number=5000, repeat=5))
    off = min(timeit.repeat(lambda: trace.report("diffusion/x", x, step=1), number=5000, repeat=5))
    assert off < 10 * empty + 1e-3
    assert not trace.active("attention")
    told = []

    class Watched:
        def mean(self, axis: int) -> None:
            told.append(axis)

    trace.layer(0, 3, Watched())
    assert told == []  # nothing is computed


def test_importing_aoide_does_not_load_the_explorer() -> None:
    code = "import aoide, sys; aoide.trace; print([m for m in sys.modules if m.startswith(('aoide.explain', 'torch'))])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_samplers_steps_become_mels(tmp_path: Path) -> None:
    from aoide.models.svc import diffwavenetsvc as svc

    torch.manual_seed(0)
    model = svc.Model(svc.TOY).eval()
    torch.nn.init.normal_(model.denoiser.out.weight, std=0.1)
    fields = svc.example(svc.TOY, batch=1)
    steers = {name: fields[name] for name in ("content", "f0", "energy", "speaker")}
    with aoide.trace(model, singer="a") as recorder:
        mel = model.convert(**steers, steps=5, sampler="ddim", generator=torch.Generator().manual_seed(0))
    assert isinstance(recorder, Recorder) and not trace.active()
    made = recorder.trace
    assert made.about["model"] == "svc/diffwavenetsvc" and made.about["settings"] == {"singer": "a"}
    assert [step["label"] for step in made.about["steps"]] == [f"step {n} of 5" for n in range(1, 6)]
    last, picture = made.array("pictures")[-1], made.about["picture"]
    span = picture["high"] - picture["low"]
    wanted = np.clip(mel[0].numpy(), picture["low"] - 0.6 * span, picture["high"] + 0.25 * span)
    assert picture["what"] == "mel" and np.abs(last - wanted).max() < 0.02 * span
    spaces = [(path["name"], path.get("layer")) for path in made.about["paths"]]
    assert ("pictures", None) in spaces and [layer for name, layer in spaces if name == "hidden"] == [0, 1, 2]
    metrics = {metric["name"]: metric["values"] for metric in made.about["metrics"]}
    assert metrics["to_last"][-1] == 0 and metrics["to_last"][0] > 0
    recorder.save(tmp_path / "run.aoide")
    assert Trace.load(tmp_path / "run.aoide").about["steps"][0]["number"] == 0


def test_attention_is_asked_for_seldom() -> None:
    recorder = Recorder()
    asked = []
    with trace.record(into=recorder):
        for step in range(20):
            asked.append(0)
            for _ in range(12):  # layers
                if trace.active("attention"):
                    asked[-1] += 1
                    trace.report("attention", torch.rand(1, 2, 8, 8))
            trace.report("flow/x", torch.zeros(1, 8, 4), step=step)
    assert asked[0] == 12 and asked[1] == asked[2] == asked[4] == asked[8] == 3 and asked[3] == asked[19] == 0
    kept = [event for event in recorder.events if event.name == "attention"]
    assert {event.where["layer"] for event in kept[12:]} == {0, 6, 11}


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aoide.explain.recorder.MOST_BYTES", 10_000)
    with aoide.trace() as recorder:
        for step in range(100):
            trace.report("other", np.zeros(1000), step=step)
    assert recorder.left_out > 90 and len(recorder.events) < 10


def test_everything_is_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aoide.explain.build.HEARD", 2)  # the others are heard in the browser's tests
    made = everything.record().trace
    kinds = [panel["kind"] for panel in made.about["inside"]]
    assert set(kinds) == {"handles", "alignment", "attention", "unmasking", "certainty", "codes", "critic"}
    panels = {panel["kind"]: panel for panel in made.about["inside"]}
    assert panels["handles"]["tokens"] == everything.SYMBOLS and panels["handles"]["durations"][3] == 22
    assert panels["alignment"]["ends"][-1] == 112
    assert panels["unmasking"]["steps"] == [5, 5, 5] and made.array(panels["unmasking"]["order"]).shape == (3, 30)
    assert made.array(panels["codes"]["map"]).shape == (4, 90)
    assert made.array(panels["critic"]["map"]).shape[:2] == (2, 13)
    picture = made.array("pictures")[-1]
    assert np.corrcoef(picture.ravel(), everything.mel().ravel())[0, 1] > 0.99
    heard = [step for step in made.about["steps"] if "sound" in step]
    assert [step["number"] for step in heard] == [0, everything.STEPS - 1] and made.about["vocoder"] == {"exact": True}
    assert made.sounds[heard[-1]["sound"]][:4] == b"OggS"
    assert len(made.bytes()) < 1_000_000


def test_runs_of_different_numbers_of_steps_lie_on_one_clock() -> None:
    random = np.random.default_rng(0)
    noise, words = random.normal(size=(1, 30, 8)), random.normal(size=(1, 20, 8))
    with aoide.trace(None, name="svs/example") as recorder:
        for step in range(3):
            aoide.trace.report("flow/x", noise * (3 - step), step=step, time=step / 2)
        aoide.trace.report("flow/x", words, step=0, time=1.0)
    made = recorder.trace
    assert [step["label"] for step in made.about["steps"]] == ["step 1 of 1"]
    wanted = np.concatenate([noise, words], axis=1)
    assert np.corrcoef(made.array("pictures").ravel(), wanted.ravel())[0, 1] > 0.99


def test_steps_that_are_components_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aoide.explain.build.HEARD", 2)
    basis = np.random.default_rng(0).normal(size=(8, 100)).astype(np.float32)
    with aoide.trace(None, to_mel=lambda x: x @ basis - 6, mel=everything.HOUSE, name="tta/example") as recorder:
        for step in range(40):
            trace.report("flow/x", np.full((1, 60, 8), step / 40, np.float32), step=step, time=(step + 1) / 40)
    made = recorder.trace
    assert made.about["picture"]["what"] == "mel" and len(made.about["steps"]) == 24
    assert np.abs(made.array("pictures")[-1] - (np.full((60, 8), 39 / 40) @ basis - 6)).mean() < 0.2
