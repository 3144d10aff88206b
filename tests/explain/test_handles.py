"""Durations, pitch and energy of a voice, edited and spoken again."""

import json
from pathlib import Path

import numpy as np
import pytest

from aoide.config import UserError
from aoide.generate import handles
from aoide.generate.handles import Edits, resynth, speak


@pytest.fixture(scope="module")
def spoken() -> handles.Spoken:
    return speak("en-heart", "Hello.")


def test_no_edit_changes_nothing(spoken: handles.Spoken) -> None:
    same = spoken.edited(Edits())
    assert np.array_equal(same.sound().samples, spoken.sound().samples)
    assert len(spoken.symbols) == len(spoken.durations) and spoken.durations.sum() == len(spoken.f0)
    parts = spoken.sound(noise=False).samples + spoken.sound(pulses=False).samples
    assert np.abs(parts - spoken.sound().samples).max() < 1e-3  # the stages are what the whole is made of


def test_edits_do_what_they_say(spoken: handles.Spoken) -> None:
    count = len(spoken.symbols)
    slower = spoken.edited(Edits(durations=(2.0,) * count))
    assert np.array_equal(slower.durations, 2 * spoken.durations) and len(slower.f0) == 2 * len(spoken.f0)
    higher = spoken.edited(Edits(pitch=(12.0,) * count))
    assert np.allclose(higher.f0, 2 * spoken.f0)
    louder = spoken.edited(Edits(energy=(6.0,) * count))
    ratio = np.linalg.norm(louder.sound().samples) / np.linalg.norm(spoken.sound().samples)
    assert abs(20 * np.log10(ratio) - 6) < 0.5
    one = [0.0] * count
    one[3] = 5.0
    moved = spoken.edited(Edits(pitch=tuple(one)))
    token = np.repeat(np.arange(count), spoken.durations)
    assert np.array_equal(moved.f0[token != 3], spoken.f0[token != 3])


def test_resynth_is_what_a_server_answers(spoken: handles.Spoken) -> None:
    sound = resynth({"model": "en-heart", "input": "Hello.", "edits": {"pitch": [2.0] * len(spoken.symbols)}})
    assert sound.sample_rate == 24000 and len(sound.samples) == len(spoken.sound().samples)
    assert "synthetic" in sound.tags["comment"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"input": ""}, "a text of 1 to"),
        ({"input": "x" * 5000}, "a text of 1 to"),
        ({"input": "Hi.", "model": "/etc"}, "model: one of"),
        ({"input": "Hi.", "speed": "fast"}, "numbers"),
        ({"input": "Hi.", "speed": 9}, "speed"),
        ({"input": "Hello.", "edits": {"pitch": [0.0]}}, "of another text"),
        ({"input": "Hi.", "edits": {"pitch": [99]}}, "-12 to 12"),
        ({"input": "Hi.", "edits": {"pitch": "up"}}, "list of numbers"),
        ({"input": "Hi.", "edits": {"volume": []}}, "durations, pitch, energy"),
        ({"input": "Hi.", "edits": [1]}, "durations, pitch, energy"),
        ({"input": "Hi.", "edits": {"pitch": [float("nan")]}}, "nan"),
        ({"input": "..."}, "nothing to say"),
    ],
)
def test_bad_bodies_get_a_sentence(body: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        resynth(body)


def test_edits_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "edits.json"
    path.write_text(json.dumps({"model": "en-heart", "edits": {"durations": [1.5], "pitch": [], "energy": []}}))
    assert Edits.read(path) == Edits(durations=(1.5,))
    path.write_text("{")
    with pytest.raises(UserError, match="not JSON"):
        Edits.read(path)
    with pytest.raises(UserError, match="no such file"):
        Edits.read(tmp_path / "none.json")


@pytest.mark.sweep
def test_a_server_speaks_an_edit() -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("av")
    httpx = pytest.importorskip("httpx")
    from io import BytesIO

    import soundfile

    from tests.serve.server import running

    with running() as at:
        url = f"{at}/v1/audio/resynth"
        tokens = len(speak("en-heart", "Hi.").symbols)
        body = {"model": "en-heart", "input": "Hi.", "response_format": "wav", "tokens": ["not looked at"]}
        plain = httpx.post(url, json=body, timeout=60)
        slow = httpx.post(url, json={**body, "edits": {"durations": [2.0] * tokens}}, timeout=60)
        assert plain.status_code == slow.status_code == 200
        lengths = [len(soundfile.read(BytesIO(answer.content))[0]) for answer in (plain, slow)]
        assert abs(lengths[1] / lengths[0] - 2) < 0.01
        assert httpx.post(url, json={**body, "edits": {"pitch": [0.0]}}, timeout=60).status_code == 400
        assert httpx.post(url, json={**body, "model": "../etc"}, timeout=60).status_code == 404


def test_the_page_s_own_server_says_what_was_wrong() -> None:
    import threading
    from http.client import HTTPConnection

    from aoide.commands._show import server

    with server("<html></html>") as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        for path, length, status in (
            ("/v1/audio/other", "2", 404),
            ("/v1/audio/resynth", "9999999999", 413),
            ("/v1/audio/resynth", "²", 413),
            ("/v1/audio/resynth", "2", 400),
        ):
            asked = HTTPConnection("127.0.0.1", running.server_port, timeout=20)
            asked.putrequest("POST", path)
            asked.putheader("Content-Length", length)
            asked.endheaders(b"{}")
            assert asked.getresponse().status == status
            asked.close()
        running.shutdown()
