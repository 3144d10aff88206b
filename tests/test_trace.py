"""The recorder's hook keeps what was reported while it was open, and nothing otherwise."""

import threading

import numpy as np
import pytest

from aoide import trace


def test_off_by_default() -> None:
    assert not trace.active()
    trace.report("x", 1, step=0)  # goes nowhere


def test_recording_keeps_copies_in_order() -> None:
    x = np.zeros(2)
    with trace.record() as recording:
        assert trace.active()
        for step in range(3):
            trace.report("x", x, step=step)
            trace.report("sigma", 0.5 * step, step=step)
            x += 1
    assert not trace.active()
    assert recording.names() == ["x", "sigma"]
    assert [value.tolist() for value in recording.values("x")] == [[0, 0], [1, 1], [2, 2]]
    assert [event.where for event in recording.events if event.name == "x"] == [{"step": i} for i in range(3)]
    assert (
        repr(recording.events[0]) == "Event(x, step=0: (2,))"
        and repr(recording.events[1]) == "Event(sigma, step=0: 0.0)"
    )


def test_tensors_are_detached_copies() -> None:
    torch = pytest.importorskip("torch")
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    with trace.record() as recording:
        trace.report("y", y)
    with torch.no_grad():
        y.zero_()
    assert recording.values("y")[0].tolist() == [2, 2] and not recording.values("y")[0].requires_grad


def test_only_and_nesting() -> None:
    with trace.record(only={"a"}) as outer:
        trace.report("a", 1)
        trace.report("b", 2)
        with trace.record() as inner:
            trace.report("a", 3)
        trace.report("a", 4)
    assert outer.values("a") == [1, 4] and outer.names() == ["a"] and inner.values("a") == [3]


def test_an_error_closes_the_recording() -> None:
    with pytest.raises(RuntimeError), trace.record():
        raise RuntimeError
    assert not trace.active()


def test_threads_do_not_mix() -> None:
    with trace.record() as recording:
        thread = threading.Thread(target=trace.report, args=("other", 1))
        thread.start()
        thread.join()
    assert recording.events == []
