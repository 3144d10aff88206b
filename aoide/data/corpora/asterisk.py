"""The voice prompts of the Asterisk telephone system, by one professional speaker in each language.

Size      English (Allison Smith) 568 prompts: 551 spoken, 24 minutes; the others are tones, monkeys and silence, and
          are refused. French 26 minutes, Spanish 31, Italian 24, Russian 25. 16,000 Hz
Licence   CC-BY-SA-3.0 (Russian CC-BY-3.0). They are real people who did not agree to be cloned: use the clips for
          tests, vocoders and as a control, and do not publish a voice that is theirs.
Get it    the Debian packages asterisk-core-sounds-en and asterisk-core-sounds-en-g722, unpacked into one folder or two:
            apt-get download asterisk-core-sounds-en asterisk-core-sounds-en-g722
            for deb in *.deb; do dpkg -x "$deb" ROOT; done
          (installed on the machine, ROOT is /)
Layout    ROOT/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz      name: text
          ROOT/usr/share/asterisk/sounds/en_US_f_Allison/digits/1.g722
          Each may also lie one folder deeper, as when every package is unpacked into a folder of its own.

G.722 is decoded through PyAV.

Options
    --language CODE   en, fr, es, it or ru; the packages end in it (default: en)
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

from aoide.config import UserError
from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout

TRANSCRIPT = "usr/share/doc/asterisk-core-sounds-{0}/core-sounds-{0}.txt.gz"
SOUNDS = "usr/share/asterisk/sounds/{0}_*"  # en_US_f_Allison, fr_CA_f_June ...
_REMARK = re.compile(r"\s*[\[(<].*?[\])>]")  # [ascending tones], (1 second of silence), <beep ascending>; at [@]


def clips(root: Path, *, language: str = "en") -> Iterator[Clip | Refused]:
    """All spoken prompts, sorted by name; the name, such as digits/1, is the id."""
    package = f"asterisk-core-sounds-{language}"
    transcript = _find(root, TRANSCRIPT.format(language), package)
    sounds = _find(root, SOUNDS.format(language), f"{package}-g722")
    gender, speaker = sounds.name.split("_")[-2:]
    texts = _read(transcript)
    for name in sorted(texts | {_name(path, sounds): "" for path in sounds.rglob("*.g722")}):
        path = sounds / f"{name}.g722"
        text = texts.get(name, "")
        said = _REMARK.sub("", text)
        if not path.is_file():
            yield Refused(id=name, path=transcript, reason=f"there is no {path.name}")
        elif text and not said:
            yield Refused(id=name, path=path, reason=f"not speech: {text}")
        else:
            yield Clip(
                id=name,
                audio=path,
                text=said,
                speaker=speaker.lower(),
                language=language,
                gender=_layout.gender(gender),
                style="speech",
            )


def _read(transcript: Path) -> dict[str, str]:
    """Lines `name: text`; those that begin with a semicolon are comments."""
    try:
        content = gzip.decompress(transcript.read_bytes()).decode("utf-8")
    except (OSError, EOFError, ValueError) as error:
        raise UserError(f"{transcript}: cannot be read: {error}") from None
    lines = (line.partition(":") for line in content.splitlines() if line.strip() and not line.startswith(";"))
    return {name.strip(): " ".join(text.split()) for name, colon, text in lines if colon}


def _name(path: Path, sounds: Path) -> str:
    return path.relative_to(sounds).with_suffix("").as_posix()


def _find(root: Path, inside: str, package: str) -> Path:
    for found in (root.glob(inside), root.glob(f"*/{inside}")):
        for path in sorted(found):
            return path
    raise UserError(
        f"{root}: expected {inside} in it; found {_layout.listing(root)}; unpack the Debian package {package} there"
    )
