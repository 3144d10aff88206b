"""Every corpus is read from a few clips in its own layout on disk."""

from __future__ import annotations

import ast
import gzip
from pathlib import Path

import numpy as np
import pytest

from aoide.config import UserError
from aoide.data import corpora
from aoide.data.clips import Clip, Refused
from aoide.data.corpora import asterisk, folder, ljspeech
from tests.data.conftest import save, voice

SOUNDS = "usr/share/asterisk/sounds/en_US_f_Allison"


def sorted_out(found: object) -> tuple[dict[str, Clip], dict[str, str]]:
    """Clips by id, and reasons by id."""
    items = list(found)  # type: ignore[call-overload]
    return {c.id: c for c in items if isinstance(c, Clip)}, {r.id: r.reason for r in items if isinstance(r, Refused)}


def test_every_corpus_explains_itself() -> None:
    wanted = "asterisk audiocaps csd emilia fillets folder gcin gtsinger hedgewars hifitts kiritan kising klettres "
    wanted += "librilight libritts ljspeech m4singer mls named nus48e opencpop opensfx opensinger opera pjs popbutfy "
    wanted += "popcs sinsy svcc taught tuxpaint vctk vocalset"
    assert set(wanted.split()) <= set(corpora.names())
    for name in corpora.names():
        module = corpora.find(name)
        assert module.__doc__ and callable(module.clips)
        for word in ("Licence", "Size") if name != "folder" else ("licence", "Size"):
            assert word in module.__doc__, f"{name} does not state its {word.lower()}"


@pytest.mark.parametrize("name", sorted(set(corpora.names()) - {"folder", "general_midi", "sinsy", "taught", "wild"}))
def test_a_wrong_root_says_what_is_expected_and_what_is_there(name: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "photos").mkdir()
    options = {"output": tmp_path / "out"} if name == "opensfx" else {}
    with pytest.raises(UserError, match=r"expected .*; found notes.txt, photos/"):
        list(corpora.find(name).clips(tmp_path, **options))
    assert not (tmp_path / "out").exists()


def test_corpora_are_light_to_import() -> None:
    """`aoide prepare --help` lists them; a corpus imports what is heavy in the functions that need it."""
    for path in Path(corpora.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        top = {a.name for n in tree.body if isinstance(n, ast.Import) for a in n.names}
        assert not top & {"torch", "lhotse", "av", "onnx", "onnxruntime", "hibari"}, path.name


def test_a_wrong_name_gets_the_near_ones() -> None:
    with pytest.raises(UserError, match="did you mean ljspeech"):
        corpora.find("lj-speech")
    with pytest.raises(UserError, match="corpora are asterisk"):
        corpora.find("xyz")


def test_folder_of_files(recordings: Path) -> None:
    save(recordings / "anna" / "more" / "x.y.wav", voice(1.0), text=None)
    (recordings / "anna" / "more" / "x.y.lab").write_text("\ufefftwo\n  lines ", "utf-8")
    save(recordings / "top.flac", voice(1.0))
    (recordings / "anna" / "._clip.wav").touch()  # what macOS leaves behind
    clips, refused = sorted_out(folder.clips(recordings))
    assert not refused and len(clips) == 10
    assert clips["anna/clip1"] == Clip(
        id="anna/clip1", audio=recordings / "anna" / "clip1.wav", text="Clip number 1.", speaker="anna", language="en"
    )
    assert clips["anna/more/x.y"].text == "two lines" and clips["anna/more/x.y"].speaker == "anna"
    assert clips["top"].speaker == "recordings"
    renamed, _ = sorted_out(folder.clips(recordings, speaker="eve", language="de"))
    assert {(c.speaker, c.language) for c in renamed.values()} == {("eve", "de")}


def test_folder_with_a_table(tmp_path: Path) -> None:
    for name in ("a", "b", "c.1"):
        save(tmp_path / "wavs" / f"{name}.wav", voice(0.5), text=None)
    save(tmp_path / "d.flac", voice(0.5), text=None)
    lines = [
        "a|Dr. A|Doctor A",
        "b.wav|Just b",
        "c.1|No normal form|",
        "d|Here",
        "",
        "no bars",
        "e|missing",
        "|nameless",
    ]
    (tmp_path / "metadata.csv").write_text("\ufeff" + "\r\n".join(lines), "utf-8")
    clips, refused = sorted_out(folder.clips(tmp_path, speaker="me"))
    assert {name: clip.text for name, clip in clips.items()} == {
        "a": "Doctor A",
        "b": "Just b",
        "c.1": "No normal form",
        "d": "Here",
    }
    assert (
        "line 6 is not" in refused["no bars"] and "line 7: no sound file e" in refused["e"] and "line 8" in refused[""]
    )


def test_folder_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no sound files"):
        list(folder.clips(tmp_path))
    save(tmp_path / "x.wav", voice(0.5), text=None)
    (tmp_path / "x.txt").write_bytes(b"caf\xe9")
    assert "cannot be read" in sorted_out(folder.clips(tmp_path))[1]["x"]
    (tmp_path / "metadata.csv").write_bytes(b"x|caf\xe9")
    with pytest.raises(UserError, match="not UTF-8"):
        list(folder.clips(tmp_path))


def test_asterisk_in_french(tmp_path: Path) -> None:
    table = tmp_path / "usr/share/doc/asterisk-core-sounds-fr/core-sounds-fr.txt.gz"
    table.parent.mkdir(parents=True)
    table.write_bytes(gzip.compress("activated: activé\n".encode()))
    write_g722(tmp_path / "usr/share/asterisk/sounds/fr_CA_f_June/activated.g722", voice(0.5))
    clips, refused = sorted_out(asterisk.clips(tmp_path, language="fr"))
    assert not refused and (clips["activated"].text, clips["activated"].speaker) == ("activé", "june")
    assert (clips["activated"].language, clips["activated"].gender) == ("fr", "female")


def test_ljspeech(tmp_path: Path) -> None:
    inner = tmp_path / "LJSpeech-1.1"
    for i in (1, 2, 3):
        save(inner / "wavs" / f"LJ001-000{i}.wav", voice(0.5, 22050), 22050, text=None)
    table = 'LJ001-0001|"Printing," in 1455|"Printing," in fourteen fifty-five\nLJ001-0002|b|b\nLJ001-0003|c|c\n'
    (inner / "metadata.csv").write_text(table, "utf-8")
    for root in (tmp_path, inner):
        clips, refused = sorted_out(ljspeech.clips(root))
        assert len(clips) == 3 and not refused
        assert clips["LJ001-0001"].text == '"Printing," in fourteen fifty-five'
        assert (clips["LJ001-0001"].speaker, clips["LJ001-0001"].language) == ("LJ", "en")
    with pytest.raises(UserError, match="keithito"):
        list(ljspeech.clips(tmp_path / "wavs"))


def write_g722(path: Path, samples: np.ndarray) -> None:
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="g722") as container:
        stream = container.add_stream("g722", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], format="s16", layout="mono")
        frame.rate = 16000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """Three prompts, a beep and a lost one in the layout of the Debian packages."""
    root = tmp_path / "prompts"
    lines = [
        "; Core Asterisk Sounds in English",
        "",
        "activated: Activated.",
        "digits/1: one [1]",
        "at-tone: At the tone:  press  five",
        "beep: [this is a simple beep tone]",
        "silence/1: (1 second of silence)",
        "pls-try-call-later: Please try later.",
    ]
    transcript = root / "text" / asterisk.TRANSCRIPT.format("en")
    transcript.parent.mkdir(parents=True)
    transcript.write_bytes(gzip.compress("\n".join(lines).encode()))
    for i, name in enumerate(("activated", "digits/1", "at-tone", "beep", "silence/1", "unlisted")):
        write_g722(root / SOUNDS / f"{name}.g722", voice(0.6 + 0.1 * i, seed=i))
    return root


def test_asterisk(prompts: Path) -> None:
    clips, refused = sorted_out(asterisk.clips(prompts))
    assert {name: clip.text for name, clip in clips.items()} == {
        "activated": "Activated.",
        "at-tone": "At the tone: press five",
        "digits/1": "one",
        "unlisted": "",  # refused for its missing text when it is checked
    }
    assert refused["beep"] == "not speech: [this is a simple beep tone]"
    assert "not speech" in refused["silence/1"] and "there is no" in refused["pls-try-call-later"]
    with pytest.raises(UserError, match="unpack the Debian package asterisk-core-sounds-en there"):
        list(asterisk.clips(prompts / "usr"))
    with pytest.raises(UserError, match="asterisk-core-sounds-en-g722 there"):
        list(asterisk.clips(prompts / "text"))
