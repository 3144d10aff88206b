"""Aoide with one of its voices: python aoide_voice.py NAME|FOLDER"""

import sys
from pathlib import Path

import numpy as np
import talk

import aoide

talk.one_thread()
VOICE = aoide.load(sys.argv[1])
PACKAGE = Path(aoide.__file__).parent
TEXT = [path for path in (PACKAGE / "text").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]


def say(text: str) -> tuple[np.ndarray, int]:
    sound = VOICE.say(text)
    return sound.samples, sound.sample_rate


talk.speaker(
    say,
    {
        "name": f"aoide {VOICE.name}",
        "graph": str(VOICE.folder / "voice.onnx"),
        "needed": [str(path) for path in (VOICE.folder / "voice.onnx", VOICE.folder / "voice.json", *TEXT)],
        "code": [str(PACKAGE / part) for part in ("text", "generate", "audio")],
        "versions": talk.versions("aoide", "onnxruntime", "numpy"),
    },
)
