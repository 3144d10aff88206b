"""The teacher's corpus: what it writes, that it goes on where it stopped, and that nothing finished is made again."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from aoide import cli
from aoide.audio import io
from aoide.config import UserError
from aoide.data.clips import Clip, Limits, Refused, check
from aoide.data.corpora import taught
from aoide.data.manifest import Manifest

LINES = ["Hello there.", "It rains.  ", "What? Be careful!", "…", "Hello there."]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[str]]:
    """Made once: (root, list, what was said)."""
    pytest.importorskip("hibari")
    pytest.importorskip("onnx")
    root = tmp_path_factory.mktemp("taught")
    text = root / "list.txt"
    text.write_text("\n".join(LINES), "utf-8")
    said: list[str] = []
    taught.make(root, said.append, text=text, jobs=1)
    return root, text, said


def times(root: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in root.rglob("*.*") if path.suffix in (".npy", ".flac", ".json")}


def test_what_is_made(corpus: tuple[Path, Path, list[str]]) -> None:
    root, text, said = corpus
    assert len(said) == 1 and "4 of 4 lines to speak" in said[0] and "MB in" in said[0] and "free)" in said[0]
    items = list(taught.clips(root, text=text))
    clips = {clip.text: clip for clip in items if isinstance(clip, Clip)}
    assert set(clips) == {"Hello there.", "It rains.", "What?", "Be careful!"}
    assert clips["What?"].id == taught.id_of("What? Be careful!") + "-1"
    [refused] = [item for item in items if isinstance(item, Refused)]
    assert refused.reason == "says nothing: …"
    for clip in clips.values():
        checked = check(clip, Limits())
        assert not isinstance(checked, Refused), checked
        assert clip.phonemes and clip.durations and clip.frame_rate == 80.0
        frames = sum(clip.durations)
        assert len(clip.durations) == len(clip.phonemes) + 2
        assert checked[0].samples == 300 * frames and checked[0].sample_rate == 24000
        spectra, f0 = np.load(clip.arrays["spectra"], mmap_mode="r"), np.load(clip.arrays["f0"])
        assert spectra.shape == (frames, 4, 601) and spectra.dtype == np.float16 and np.isfinite(spectra).all()
        assert f0.shape == (frames,) and f0.dtype == np.float32 and 100 < np.median(f0[f0 > 50]) < 400


def test_sound_and_spectra_are_of_the_same_speech(corpus: tuple[Path, Path, list[str]]) -> None:
    """The log magnitudes, summed over the bins, rise and fall with the sound."""
    root, text, _ = corpus
    clip = next(item for item in taught.clips(root, text=text) if isinstance(item, Clip))
    spectra = np.load(clip.arrays["spectra"]).astype(np.float64)
    loud = io.read(clip.audio).samples.reshape(-1, 300).std(axis=1)
    predicted = np.sqrt((np.exp(2 * spectra[:, 0]) + np.exp(2 * spectra[:, 2])).sum(axis=1))
    assert np.corrcoef(np.log(loud + 1e-4), np.log(predicted + 1e-4))[0, 1] > 0.8


def test_a_second_run_makes_nothing(corpus: tuple[Path, Path, list[str]]) -> None:
    root, text, _ = corpus
    before = times(root)
    taught.make(root, pytest.fail, text=text, jobs=1)
    assert times(root) == before


def test_an_interrupted_run_goes_on(corpus: tuple[Path, Path, list[str]]) -> None:
    """What is missing comes back as it was; the rest is not touched."""
    root, text, _ = corpus
    name = taught.id_of("Hello there.")
    lost = [root / "clips" / f"{name}.json", root / "spectra" / f"{name}.npy"]
    kept = {path: path.read_bytes() for path in lost}
    before = {path: time for path, time in times(root).items() if path not in lost}
    for path in lost:
        path.unlink()
    assert [r.reason for r in taught.clips(root, text=text) if r.id == name] == ["was not made"]
    said: list[str] = []
    taught.make(root, said.append, text=text, jobs=1)
    assert "1 of 4 lines" in said[0]
    assert {path: path.read_bytes() for path in lost} == kept
    assert {path: time for path, time in times(root).items() if path not in lost} == before


def test_spectra_can_be_left_out_and_added(corpus: tuple[Path, Path, list[str]], tmp_path: Path) -> None:
    text = tmp_path / "list.txt"
    text.write_text("It rains.")
    taught.make(tmp_path, lambda line: None, text=text, spectra=False, jobs=1)
    assert not (tmp_path / "spectra").exists()
    [clip] = taught.clips(tmp_path, text=text, spectra=False)
    assert list(clip.arrays) == ["f0"]
    before = times(tmp_path)
    taught.make(tmp_path, lambda line: None, text=text, jobs=1)
    after = times(tmp_path)
    assert [p.parent.name for p in after.keys() - before.keys()] == ["spectra"]
    assert all(after[path] == time for path, time in before.items())


def test_no_room(corpus: tuple[Path, Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    monkeypatch.setattr(taught.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(UserError, match="choose another --root"):
        taught.make(tmp_path, lambda line: None, text=corpus[1])


def test_lists(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"one\n\n two  words \none\n"))
    assert taught.sentences(tmp_path / "a.gz") == ["one", "two words"]
    assert len(taught.sentences(None)) > 8000
    for content, words in (
        (b"\xff\xfe", "not a text file"),
        (b"\n \n", "no sentences"),
        (b"\x1f\x8b\x08", "cannot be read"),
    ):
        (tmp_path / "b").write_bytes(content)
        with pytest.raises(UserError, match=words):
            taught.sentences(tmp_path / "b")


@pytest.mark.slow
def test_the_whole_way_in_parallel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("hibari")
    (tmp_path / "list.txt").write_text("\n".join(f"This is sentence number {i}." for i in range(8)))
    words = ["prepare", "taught", "-o", str(tmp_path / "out"), "--text", str(tmp_path / "list.txt"), "--jobs", "2"]
    assert cli.main(words) == 0
    manifest = Manifest(tmp_path / "out")
    assert len(manifest) == 8 and manifest[0].audio.is_relative_to(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["with_phonemes"] == 8
    first = capsys.readouterr()
    assert "8 of 8 lines to speak" in first.err
    assert cli.main(words) == 0
    assert capsys.readouterr() == (first.out, "")
