"""A plain FastAPI wrapper around a voice, as one writes it in an evening: what `aoide serve` is measured against.

python plain_server.py --voice hibari --port 8101         an answer on a thread of FastAPI's own, hibari as it comes
python plain_server.py --voice aoide --threads 2 ...      one request at a time, with all of the processor
"""

import argparse
import io

import soundfile
import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--voice", choices=("hibari", "aoide"), required=True)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--port", type=int, required=True)
options = parser.parse_args()
app = FastAPI()


class Request(BaseModel):
    input: str


def wav(samples, sample_rate: int) -> Response:
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate, format="WAV", subtype="PCM_16")
    return Response(file.getvalue(), media_type="audio/wav")


if options.voice == "hibari":
    import hibari

    voice = hibari.Hibari()
    voice("Ready.", seed=0)

    @app.post("/v1/audio/speech")
    def speech(request: Request) -> Response:
        return wav(voice(request.input, seed=0), hibari.SAMPLE_RATE)

else:
    import aoide

    voice = aoide.load("en-heart", threads=options.threads)
    voice.say("Ready.")

    @app.post("/v1/audio/speech")
    async def speech(request: Request) -> Response:
        sound = voice.say(request.input)
        return wav(sound.samples, sound.sample_rate)


@app.get("/healthz")
def healthz() -> str:
    return "ok"


uvicorn.run(app, port=options.port, log_level="error")
