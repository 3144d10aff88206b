"""Models of torch, explained as `aoide explain` does; toys with weights by chance stand for runs."""

import dataclasses
import importlib
from pathlib import Path
from typing import Any

import pytest

import aoide
from aoide.config import UserError
from aoide.explain.subjects import Request
from aoide.generate.handles import Edits

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.sweep


def opened(name: str, **changes: Any) -> Any:
    """A toy of a model, as if it came from a run."""
    from aoide.explain import runs

    module = importlib.import_module(f"aoide.models.{name.replace('/', '.')}")
    torch.manual_seed(0)
    return runs.Opened(name, module.Model(dataclasses.replace(module.TOY, **changes)).eval(), None)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("said") / "hi.wav"
    aoide.load("en-heart").say("Hi there.").save(path)
    return str(path)


@pytest.mark.parametrize("name", ["tts/fastspeech2", "tts/vits", "tts/jets"])
def test_a_speaker_shows_its_durations_and_its_aligner(name: str, recording: str) -> None:
    from aoide.explain import runs

    model = opened(name, symbols=200)
    trace = runs._speak(Request(model="toy", input="Hi there."), model)
    kinds = {panel["kind"] for panel in trace.about["inside"]}
    assert {"handles", "attention"} <= kinds and "alignment" not in kinds and "final" in trace.about
    assert trace.about["inside"][0]["tokens"][0] == "·"  # the silence before the first sound
    heard = runs._speak(Request(model="toy", input="Hi there.", like=recording), model)
    found = next(panel for panel in heard.about["inside"] if panel["kind"] == "alignment")
    assert found["ends"][-1] == found["frames"] and found["tokens"] == len(found["symbols"])


def test_fastspeech_is_spoken_again_with_an_edit() -> None:
    from aoide.explain import runs

    model = opened("tts/fastspeech2", symbols=200)
    plain = runs._speak(Request(model="toy", input="Hi there."), model)
    tokens = len(plain.about["inside"][0]["tokens"])
    slow = runs._speak(Request(model="toy", input="Hi there.", edits=Edits(durations=(3.0,) * tokens)), model)
    assert slow.about["seconds"] > 2 * plain.about["seconds"]
    assert runs._can_be_edited(model.model) and not runs._can_be_edited(opened("tts/vits").model)


def test_a_flow_shows_its_steps(recording: str) -> None:
    from aoide.explain import runs

    model = opened("tts/matcha", symbols=200)
    trace = runs._speak(Request(model="toy", input="Hi there.", settings={"steps": 4}), model)
    assert [step["label"] for step in trace.about["steps"]] == [f"step {n} of 4" for n in range(1, 5)]
    assert trace.about["picture"]["what"] == "mel"
    with pytest.raises(UserError, match="has no aligner that hears a recording"):
        runs._speak(Request(model="toy", input="Hi there.", like=recording), model)


def test_a_vocoder_and_a_codec(recording: str) -> None:
    from aoide.explain import runs

    copied = runs._vocoder(Request(model="toy", input=recording), opened("vocoder/hifigan"))
    assert len(copied.about["steps"]) == 2 and "reference" in copied.about
    coded = runs._codec(Request(model="toy", input=recording), opened("codec/dac"))
    panel = coded.about["inside"][0]
    assert panel["kind"] == "codes" and len(panel["used"]) == len(coded.about["steps"])


def test_discriminators_say_where_they_hear_the_difference(recording: str) -> None:
    from aoide.nn.discriminators import Critics, Period

    critics = Critics({"period": Period(periods=(2, 3), channels=(4, 8)).critic(24000)})
    with aoide.trace() as recorder, torch.inference_mode():
        critics(torch.randn(2, 4800))
    made = recorder.trace
    panels = made.about["inside"]
    assert [made.array(panel["map"]).shape[1] for panel in panels] == [2, 3]  # a row for each place in a period
    assert [(panel["critic"], panel["part"]) for panel in panels] == [("period", 1), ("period", 2)]
    assert all(len(panel["means"]) == 2 for panel in panels)
