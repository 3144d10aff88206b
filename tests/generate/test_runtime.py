"""The runtime of exported voices: the graph's contract, batches, and folders that are broken."""

import json

import numpy as np
import pytest

from aoide.config import UserError
from aoide.generate import folder as voice_folder
from aoide.generate.runtime import Request, Runtime
from tests.generate import tiny

KINDS = ["sourcefilter", "istft", "waveform"]


def request(length, seed=0, speed=1.0, pitch=0.0):
    symbols = np.random.default_rng(seed).choice(list(tiny.SYMBOLS.values()), length - 2)
    return Request(np.concatenate([[0], symbols, [0]]).astype(np.int64), speed, pitch)


@pytest.fixture(scope="module", params=KINDS)
def runtime(request, tmp_path_factory):
    return Runtime(tiny.make(tmp_path_factory.mktemp("voices") / request.param, request.param))


def test_an_utterance_is_as_long_as_its_durations(runtime):
    spoken = runtime.run([request(12)])[0]
    assert spoken.durations.shape == (12,) and spoken.durations.min() >= 1
    assert spoken.samples.shape == (spoken.durations.sum() * tiny.HOP,)
    assert spoken.samples.dtype == np.float32 and np.abs(spoken.samples).max() > 0.01


def test_alone_and_in_a_batch_are_the_same(runtime):
    requests = [
        request(length, seed=length, speed=0.8 + length / 50, pitch=length / 10) for length in (5, 30, 3, 12, 9)
    ]
    together = runtime.run(requests)
    for one, in_batch in zip(requests, together, strict=True):
        alone = runtime.run([one])[0]
        assert np.array_equal(alone.durations, in_batch.durations)
        assert np.abs(alone.samples - in_batch.samples).max() <= 1e-5


def test_the_same_twice_is_bit_equal(runtime):
    first, second = runtime.run([request(20)])[0], runtime.run([request(20)])[0]
    assert np.array_equal(first.samples, second.samples)


def test_speed_shortens_and_nothing_is_nothing(runtime):
    slow, fast = runtime.run([request(40, speed=0.5), request(40, speed=2.0)])
    assert 3 < len(slow.samples) / len(fast.samples) < 5
    assert runtime.run([]) == []


def test_pitch_moves_the_harmonics(tmp_path):
    runtime = Runtime(tiny.make(tmp_path / "v"))
    low, high = (runtime.outputs(*batch(request(9, pitch=pitch)))["f0"] for pitch in (0.0, 12.0))
    assert np.allclose(2 * low, high)


def batch(one):
    return (
        one.tokens[None],
        np.array([len(one.tokens)]),
        np.array([one.speed], np.float32),
        np.array([one.pitch], np.float32),
    )


def test_the_voice_decides_what_speed_and_pitch_of_rest_are(tmp_path):
    plain, quick = Runtime(tiny.make(tmp_path / "a")), Runtime(tiny.make(tmp_path / "b", speed=1.5, pitch=2.0))
    assert np.array_equal(plain.run([request(9, speed=1.5, pitch=2.0)])[0].samples, quick.run([request(9)])[0].samples)


def test_no_more_than_the_voice_bears_at_once(tmp_path, monkeypatch):
    runtime = Runtime(tiny.make(tmp_path / "v", max_batch=2))
    sizes = []
    outputs = runtime.outputs

    def counted(tokens, *rest):
        sizes.append(len(tokens))
        return outputs(tokens, *rest)

    monkeypatch.setattr(runtime, "outputs", counted)
    lengths = [9, 3, 30, 4, 12]
    spoken = runtime.run([request(length) for length in lengths])
    assert sizes == [2, 2, 1]
    assert [len(utterance.durations) for utterance in spoken] == lengths


# ------------------------------------------------------------------------------------------------------- broken folders


@pytest.fixture
def voice(tmp_path):
    return tiny.make(tmp_path / "en-tiny")


def refusal(folder):
    with pytest.raises(UserError) as caught:
        Runtime(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change(folder, **settings):
    data = json.loads((folder / "voice.json").read_text("utf-8"))
    data = {key: value for key, value in {**data, **settings}.items() if value is not None}
    (folder / "voice.json").write_text(json.dumps(data), "utf-8")


def test_a_folder_that_is_no_voice(tmp_path):
    assert "no such folder" in refusal(tmp_path / "nowhere")
    assert "no voice.json" in refusal(tmp_path)


def test_a_truncated_graph(voice):
    graph = (voice / "voice.onnx").read_bytes()
    (voice / "voice.onnx").write_bytes(graph[: len(graph) // 2])
    assert "truncated or exchanged" in refusal(voice)


def test_a_missing_graph(voice):
    (voice / "voice.onnx").unlink()
    assert "no such file" in refusal(voice)


def test_a_foreign_graph(voice):
    import hashlib

    (voice / "voice.onnx").write_bytes(b"not a graph")
    change(voice, sha256=hashlib.sha256(b"not a graph").hexdigest())
    assert "cannot run it" in refusal(voice)


def test_a_graph_of_another_kind(voice):
    change(voice, kind="istft")
    assert "not a graph of kind istft" in refusal(voice)


def test_a_graph_of_another_size(voice):
    change(voice, n_fft=2400)
    assert "voice.json says n_fft 2400, but the graph gives 601 bins" in refusal(voice)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b"{}", b'{"format": "one"}'])
def test_a_broken_description(voice, content):
    (voice / "voice.json").write_bytes(content)
    assert "voice.json" in refusal(voice)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"format": 2, "aoide": "9.0"}, "format 2 of Aoide 9.0"),
        ({"sampel_rate": 1}, "sampel_rate: no such setting; did you mean sample_rate?"),
        ({"hop": None}, "hop: is missing"),
        ({"hop": 0}, "1 or more"),
        ({"hop": 301}, "multiple of hop"),
        ({"kind": "vocoder"}, "is not one of"),
        ({"symbols": {}}, "symbols"),
        ({"symbols": {"ab": 3}}, "symbols"),
    ],
)
def test_a_wrong_description(voice, settings, complaint):
    change(voice, **settings)
    assert complaint in refusal(voice)


def test_threads_are_one_or_more(voice):
    with pytest.raises(UserError, match="threads"):
        Runtime(voice, threads=0)


def test_the_keys_of_a_description_are_frozen(voice):
    """Voices in the world have these keys: a change here is a new `format`."""
    assert list(json.loads((voice / "voice.json").read_text("utf-8"))) == [
        "format", "name", "kind", "language", "sample_rate", "hop", "n_fft", "padding", "symbols", "speed", "pitch",
        "max_tokens", "max_batch", "summary", "licence", "sha256", "aoide",
    ]  # fmt: skip
    assert voice_folder.FORMAT == 1
    assert voice_folder.INPUTS == ("tokens", "lengths", "speed", "pitch")


def test_the_steps_can_be_traced(voice):
    from aoide import trace

    with trace.record() as recording:
        Runtime(voice).run([request(9)])
    assert recording.names() == list(voice_folder.OUTPUTS["sourcefilter"])
