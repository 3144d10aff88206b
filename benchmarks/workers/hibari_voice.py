"""hibari-tts, the teacher, with its one voice that comes in the package ("heart")."""

from pathlib import Path

import hibari
import talk

talk.one_thread()
VOICE = hibari.Hibari()
ASSETS = Path(hibari.__file__).parent / "assets"
AMERICAN = [
    path for path in ASSETS.iterdir() if "_gb" not in path.name
]  # the British half is not needed for this voice

talk.speaker(
    lambda text: (VOICE(text, seed=0), hibari.SAMPLE_RATE),
    {
        "name": "hibari heart",
        "graph": str(VOICE.model_path),
        "needed": [str(path) for path in AMERICAN],
        "versions": talk.versions("hibari-tts", "onnxruntime", "numpy", "scipy"),
    },
)
