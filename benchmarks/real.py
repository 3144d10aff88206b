"""Real speech as the floor: the telephone prompts of Debian's asterisk-core-sounds-en and -g722 packages.

563 clips of one professional speaker with a transcript, 16 kHz, CC-BY-SA-3.0. What Whisper mishears here, and what
DistillMOS takes off here, is the judges' own error, and no voice should be blamed for it.
"""

import gzip
import re
from pathlib import Path

WHERE_DEBIAN_PUTS_IT = (Path("/usr/share/asterisk/sounds"), Path("/usr/share/doc/asterisk-core-sounds-en"))
WORDS = range(5, 26)  # as long as the sentences that the voices speak; spelt-out letters are no words


def recordings(folders: list[Path] | None, count: int) -> list[tuple[Path, str]]:
    """(g722 file, transcript) of up to `count` clips, evenly spread over the sorted names; empty if there are none."""
    roots = folders or WHERE_DEBIAN_PUTS_IT
    texts = [path for root in roots for path in sorted(root.rglob("core-sounds-en.txt*"))]
    files = {path.stem: path for root in roots for path in root.rglob("en_US_f_Allison/*.g722")}
    if not texts or not files:
        return []
    found = sorted((files[name], text) for name, text in transcripts(texts[0]).items() if name in files)
    step = max(1, len(found) / count)
    return [found[int(i * step)] for i in range(min(count, len(found)))]


def transcripts(path: Path) -> dict[str, str]:
    """Name -> text of the clips that are whole sentences; `[beep]` and the like are no speech."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        pairs = (re.match(r"([\w-]+): (.+)", line) for line in lines)
        texts = {pair[1]: pair[2].strip() for pair in pairs if pair}
    return {name: text for name, text in texts.items() if words(text) in WORDS and "[" not in text}


def words(text: str) -> int:
    return len(re.findall(r"[A-Za-z']{2,}|\bI\b|\ba\b", text))
