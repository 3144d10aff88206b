"""Corpora of speech, each read from a few clips in its own layout on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from aoide.config import UserError
from aoide.data import corpora
from tests.data.conftest import beep, heard, put, save, voice


def libritts(root: Path, folder: str = "LibriTTS") -> Path:
    chapter = root / folder / "dev-clean" / "84" / "121123"
    name = "84_121123_000007_000001"
    lines = [f"{name}\tMaximilian.\tMaximilian.", "84_121123_000008_000000\tDr. V rose.\tDoctor V rose."]
    put(chapter / "84_121123.trans.tsv", "\n".join([*lines, "84_121123_000009_000000\tGone.\tGone."]) + "\n")
    put(chapter / "84_121123.book.tsv", f"{name}\tx\tx\t0\t12.5\n84_121123_000008_000000\tx\tx\t0\t10.0\n")
    for line in lines:
        beep(chapter / f"{line.partition(chr(9))[0]}.wav", 0.6, 24000)
    beep(chapter / "84_121123_000010_000000.wav", 0.6, 24000)
    (chapter / "._84_121123_000007_000001.wav").touch()
    put(chapter / "84_121123_000010_000000.normalized.txt", "Beside it.\n")
    put(root / folder / "SPEAKERS.txt", ";ID  |SEX| SUBSET\n84   | F | dev-clean | 8.02 | Christie Nowak\n")
    return root / folder


def vctk(root: Path) -> Path:
    for name in ("p225_001", "p225_002"):
        for mic in (1, 2):
            beep(root / "wav48_silence_trimmed" / "p225" / f"{name}_mic{mic}.flac", 0.6, 48000)
        put(root / "txt" / "p225" / f"{name}.txt", f"Please call {name}.\n")
    beep(root / "wav48_silence_trimmed" / "p280" / "p280_001_mic1.flac", 0.6, 48000)
    put(root / "txt" / "p280" / "p280_001.txt", "Please call Stella.\n")
    put(
        root / "speaker-info.txt",
        "ID  AGE  GENDER  ACCENTS  REGION COMMENTS\np225  23  F    English    Southern  England\n",
    )
    return root


def mls(root: Path) -> Path:
    base = root / "mls_german"
    parts = {
        "train": ["1756_1400_000000\tzwei worte", "1756_1400_000001\tdrei worte mehr", "1756_1400_000002\tdas fehlt"],
        "dev": ["1756_1400_000010\tnoch zwei"],
        "test": ["1756_1400_000011\tund noch mal"],
    }
    for part, rows in parts.items():
        put(base / part / "transcripts.txt", "".join(f"{row}\n" for row in rows))
        for row in rows[:2]:
            beep(base / part / "audio" / "1756" / "1400" / f"{row.partition(chr(9))[0]}.flac", 0.6)
    put(base / "metainfo.txt", " SPEAKER   |   GENDER   | PARTITION\n 1756       |    F       | train\n")
    put(root / "mls_lm_german" / "data.txt", "a language model, not speech\n")
    return root


def librilight(root: Path) -> Path:
    for part in ("small", "medium", "large"):
        book = root / part / "100" / f"{part}_fairies_0812_librivox_64kb_mp3"
        facts = {"speaker": "100", "snr": 9.5, "voice_activity": [[0.1, 0.5], [0.6, 1.1], [2.5, 3.0]]}
        put(book / "01_baum_64kb.json", json.dumps(facts))
        beep(book / "01_baum_64kb.flac", 3.0)
    return root


def hifitts(root: Path) -> Path:
    base = root / "hi_fi_tts_v0"
    lines = []
    for number in (1, 2, 3):
        path = f"audio/92_clean/10425/war_0{number}_wells.flac"
        text = {"text": f"number {number}", "text_normalized": f"Number {number}."}
        lines.append(json.dumps({"audio_filepath": path, "duration": 0.6, **text}))
        if number < 3:
            beep(base / path, 0.6, 44100)
    put(base / "92_manifest_clean_train.json", "\n".join(lines) + "\n")
    return base


def emilia(root: Path) -> Path:
    lines = []
    for number in (0, 1):
        name = f"DE_B00000_S00000_W00000{number}"
        wav = f"DE_B00000/DE_B00000_S00000/mp3/{name}.mp3"
        beep(root / "raw" / "DE" / wav, 0.6, 24000)
        facts = {"id": name, "wav": wav, "text": f" Und {number}.", "duration": 0.6, "speaker": "DE_B00000_S00000"}
        lines.append(json.dumps(facts | {"language": "de", "dnsmos": 3.3697}))
    put(root / "raw" / "DE" / "DE_B00000.jsonl", "\n".join(lines) + "\n")
    return root


def test_libritts(tmp_path: Path) -> None:
    clips, refused = heard("libritts", libritts(tmp_path).parent)
    assert {name: clip.text for name, clip in clips.items()} == {
        "84_121123_000007_000001": "Maximilian.",
        "84_121123_000008_000000": "Doctor V rose.",
        "84_121123_000010_000000": "Beside it.",
    }
    assert refused == {"84_121123_000009_000000": "there is no 84_121123_000009_000000.wav"}
    clip = clips["84_121123_000007_000001"]
    assert (clip.speaker, clip.gender, clip.language, clip.more) == ("84", "female", "en", {"part": "dev-clean"})
    with pytest.raises(UserError, match="no part 'dev-claen'; did you mean dev-clean"):
        heard("libritts", tmp_path, parts="dev-claen")


def test_libritts_r(tmp_path: Path) -> None:
    assert len(heard("libritts", libritts(tmp_path, "LibriTTS_R"), parts="dev-clean")[0]) == 3


def test_vctk(tmp_path: Path) -> None:
    clips, refused = heard("vctk", vctk(tmp_path))
    assert {name: clip.text for name, clip in clips.items()} == {
        "p225_001": "Please call p225_001.",
        "p225_002": "Please call p225_002.",
    }
    assert refused == {"p280_001": "there is no p280_001_mic2 in wav48_silence_trimmed"}
    clip = clips["p225_001"]
    assert clip.audio.name == "p225_001_mic2.flac" and (clip.speaker, clip.gender) == ("p225", "female")
    assert clip.more == {"age": 23, "accent": "English", "region": "Southern England"}
    assert set(heard("vctk", tmp_path, mic=1)[0]) == {"p225_001", "p225_002", "p280_001"}
    with pytest.raises(UserError, match="microphones 1 and 2"):
        heard("vctk", tmp_path, mic=3)


def test_vctk_080(tmp_path: Path) -> None:
    beep(tmp_path / "VCTK-Corpus" / "wav48" / "p225" / "p225_001.wav", 0.6)
    put(tmp_path / "VCTK-Corpus" / "txt" / "p225" / "p225_001.txt", "Please call.")
    put(tmp_path / "VCTK-Corpus" / "txt" / "p225" / "p225_002.txt", "No sound.")
    put(
        tmp_path / "VCTK-Corpus" / "speaker-info.txt",
        "ID  AGE  GENDER  ACCENTS  REGION\n225  23  F    English    Surrey\n",
    )
    clips, refused = heard("vctk", tmp_path)
    assert clips["p225_001"].gender == "female" and list(refused) == ["p225_002"]


def test_mls(tmp_path: Path) -> None:
    clips, refused = heard("mls", mls(tmp_path))
    assert list(clips) == [f"1756_1400_0000{number}" for number in ("00", "01", "10", "11")]
    clip = clips["1756_1400_000001"]
    assert (clip.text, clip.speaker, clip.gender, clip.language) == ("drei worte mehr", "1756", "female", "de")
    assert clip.more == {"part": "train"} and refused == {
        "1756_1400_000002": "there is no 1756_1400_000002.flac or .opus"
    }
    assert heard("mls", tmp_path / "mls_german", parts="train,dev,test")[0].keys() == clips.keys()
    with pytest.raises(UserError, match="in language pl"):
        heard("mls", tmp_path, language="pl")


def test_librilight(tmp_path: Path) -> None:
    book = librilight(tmp_path) / "small" / "100" / "small_fairies_0812_librivox_64kb_mp3"
    put(book / "02_baum_64kb.json", "{}")
    beep(book / "02_baum_64kb.flac", 0.5)
    clips, refused = heard("librilight", tmp_path)
    name = "small/100/small_fairies_0812_librivox_64kb_mp3"
    assert f"{name}/01_baum_64kb-0001" in clips and len(clips) == 6
    first, second = clips[f"{name}/01_baum_64kb-0001"], clips[f"{name}/01_baum_64kb-0002"]
    assert (first.start, first.samples) == (1600, 16000) and (second.start, second.samples) == (40000, 8000)
    assert (first.text, first.speaker, first.more) == (None, "100", {"snr": 9.5})
    assert refused == {f"{name}/02_baum_64kb": "its annotation cannot be read: no 'voice_activity'"}


def test_hifitts(tmp_path: Path) -> None:
    clips, refused = heard("hifitts", hifitts(tmp_path).parent)
    assert {name: clip.text for name, clip in clips.items()} == {
        "92_clean/10425/war_01_wells": "Number 1.",
        "92_clean/10425/war_02_wells": "Number 2.",
    }
    clip = clips["92_clean/10425/war_01_wells"]
    assert (clip.speaker, clip.gender, clip.more) == ("92", "female", {"quality": "clean", "split": "train"})
    assert refused == {"92_clean/10425/war_03_wells": "no such file"}


def test_emilia_as_lists(tmp_path: Path) -> None:
    base = emilia(tmp_path) / "raw" / "DE"
    (base / "DE_B00000.jsonl").write_text((base / "DE_B00000.jsonl").read_text() + "{broken\n")
    clips, refused = heard("emilia", tmp_path)
    assert list(clips) == ["DE_B00000_S00000_W000000", "DE_B00000_S00000_W000001"]
    clip = clips["DE_B00000_S00000_W000000"]
    assert (clip.text, clip.speaker, clip.language, clip.more) == (
        "Und 0.",
        "DE_B00000_S00000",
        "de",
        {"dnsmos": 3.3697},
    )
    assert "cannot be read" in refused["DE_B00000:3"]
    assert not heard("emilia", tmp_path, language="en")[0]


def test_emilia_as_unpacked(tmp_path: Path) -> None:
    for number in (0, 1, 2):
        name = f"EN_B00000_S00001_W00000{number}"
        facts = {
            "id": name,
            "wav": f"EN_B00000/x/{name}.mp3",
            "text": f" Yes, {number}.",
            "speaker": "EN_B00000_S00001",
        }
        put(tmp_path / "EN-B000000" / f"{name}.json", json.dumps(facts | {"language": "en", "dnsmos": 3.1}))
        if number < 2:
            beep(tmp_path / "EN-B000000" / f"{name}.mp3", 0.6, 24000)
    clips, refused = heard("emilia", tmp_path)
    assert clips["EN_B00000_S00001_W000001"].text == "Yes, 1." and len(clips) == 2
    assert refused == {"EN_B00000_S00001_W000002": "no such file"}


def test_fillets(tmp_path: Path) -> None:
    game = tmp_path / "data" / "usr/share/games/fillets-ng"
    lines = 'dialogId("bar-v-co", "font_big", "What \\"is\\" it?")\ndialogStr("Ale co to \\"je\\"?")\n\n'
    lines += 'dialogId("bar-m-ne", "font_small", "No.")\ndialogStr("Ne.")\n'
    put(game / "script" / "barrel" / "dialogs_cs.lua", lines)
    for name in ("bar-v-co", "bar-m-ne", "bar-x-gr0"):
        beep(tmp_path / "cs" / "usr/share/games/fillets-ng/sound/barrel/cs" / f"{name}.ogg", 0.6, 22050)
    clips, refused = heard("fillets", tmp_path)
    assert {name: (clip.text, clip.speaker) for name, clip in clips.items()} == {
        "bar-v-co": ('Ale co to "je"?', "big"),
        "bar-m-ne": ("Ne.", "small"),
    }
    assert clips["bar-v-co"].more == {"english": 'What "is" it?'} and clips["bar-v-co"].language == "cs"
    assert refused == {"bar-x-gr0": "no text"}


def test_gcin(tmp_path: Path) -> None:
    for folder, seconds in (("ㄅㄚ1", 0.3), ("ㄓㄨㄟ", 0.3), ("ㄚ1", 0.1)):
        beep(tmp_path / "usr/share/gcin-voice/ogg" / folder / "5.ogg", seconds, 44100)
    clips, refused = heard("gcin", tmp_path)
    assert clips["ㄓㄨㄟ/5"].phonemes == "ㄓ ㄨ ㄟ" and clips["ㄅㄚ1/5"].text == "ㄅㄚ1" and len(clips) == 2
    assert refused == {"ㄚ1/5": "0.10 s is shorter than 0.2 s"}


def test_klettres(tmp_path: Path) -> None:
    base = tmp_path / "usr/share/klettres"
    row = '<sound name="{}" file="pt_BR/alpha/{}.ogg"/>'
    rows = [row.format(letter.upper(), letter) for letter in "abç"]
    put(
        base / "pt_BR" / "sounds.xml", f"<klettres><language><alphabet>{''.join(rows)}</alphabet></language></klettres>"
    )
    put(base / "xx" / "sounds.xml", "<klettres>")
    for letter in "ab":
        beep(base / "pt_BR" / "alpha" / f"{letter}.ogg")
    clips, refused = heard("klettres", tmp_path)
    assert {name: clip.text for name, clip in clips.items()} == {"pt_BR/alpha/a": "A", "pt_BR/alpha/b": "B"}
    assert clips["pt_BR/alpha/a"].language == "pt-br"
    assert refused["pt_BR/alpha/ç"] == "no such file" and "not XML" in refused["xx"]
    assert not heard("klettres", tmp_path, language="xx")[0]


def test_what_is_cut_off_or_says_too_much_is_refused(tmp_path: Path) -> None:
    base = vctk(tmp_path)
    sound = base / "wav48_silence_trimmed" / "p225" / "p225_001_mic2.flac"
    sound.write_bytes(sound.read_bytes()[:3000])
    put(base / "txt" / "p225" / "p225_002.txt", "many words for little sound " * 3)
    save(base / "wav48_silence_trimmed" / "p225" / "p225_003_mic2.flac", voice(0.6), text=None)
    (base / "txt" / "p225" / "p225_003.txt").write_bytes(b"caf\xe9")
    clips, refused = heard("vctk", base)
    assert not clips and "broken sound file" in refused["p225_001"] and "more than one can say" in refused["p225_002"]
    assert refused["p225_003"] == "its annotation cannot be read: p225_003.txt is not UTF-8 at byte 3"


def _said(made: object) -> set[tuple[str | None, str]]:
    """Texts and speakers of what a recipe of lhotse returns, however deep its supervisions lie."""
    if isinstance(made, dict) and "supervisions" in made:
        made = made["supervisions"]
    if isinstance(made, dict):
        return set().union(*(_said(value) for value in made.values()))
    segments = [s for item in made for s in getattr(item, "supervisions", [item])]  # type: ignore[attr-defined]
    return {((s.text or "").strip(), s.speaker) for s in segments}


RECIPES: list[tuple[str, Callable[[Path], Path], dict[str, object]]] = [
    ("libritts", libritts, {"dataset_parts": "dev-clean"}),
    ("vctk", vctk, {"use_edinburgh_vctk_url": True}),
    ("mls", mls, {"opus": False}),
    ("librilight", librilight, {}),
    ("emilia", emilia, {"lang": "de", "num_jobs": 1}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "make", "options"), RECIPES)
def test_lhotse_reads_the_same(
    name: str, make: Callable[[Path], Path], options: dict[str, object], tmp_path: Path
) -> None:
    """Its recipes on what they bear: they end at the first broken sound, and at a table that names a missing one.

    Five seconds in all, four of them its import.
    """
    recipe = pytest.importorskip(f"lhotse.recipes.{name}")
    base = make(tmp_path)
    if name == "libritts":  # whose recipe knows the table alone
        (base / "dev-clean" / "84" / "121123" / "84_121123_000010_000000.wav").unlink()
    if name == "mls":
        table = base / "mls_german" / "train" / "transcripts.txt"
        table.write_text("".join(table.read_text().splitlines(keepends=True)[:2]))
    found = _said(getattr(recipe, f"prepare_{name}")(base, **options))
    clips = [item for item in corpora.find(name).clips(tmp_path) if hasattr(item, "text")]
    ours = {((clip.text or "").strip(), clip.speaker) for clip in clips}
    assert ours == found and ours
