"""OpenAI's own Python client, pointed at a server of ours: what the page docs/serving.md shows.

pip install openai
aoide serve &
python examples/openai_client.py                        or another address: ... http://127.0.0.1:8000/v1 KEY
"""

import sys
import time

import openai

ADDRESS, KEY, *_ = [*sys.argv[1:], *("http://127.0.0.1:8000/v1", "none")[len(sys.argv) - 1 :]]
TEXT = "Any input becomes sound. The sound is sent while it is made, so the first of it is there at once."
client = openai.OpenAI(base_url=ADDRESS, api_key=KEY, max_retries=0)

print("models:", ", ".join(model.id for model in client.models.list()))

for format in ("mp3", "opus", "aac", "flac", "wav", "pcm"):
    made = client.audio.speech.create(
        model="tts-1", voice="alloy", input=TEXT, response_format=format, extra_body={"seed": 1}
    )
    print(f"{format:4} {len(made.content):7,} bytes  {made.response.headers['content-type']}")

started = time.perf_counter()
with client.audio.speech.with_streaming_response.create(
    model="tts-1", voice="en-heart", input=TEXT * 10, response_format="pcm", speed=1.2
) as answer:
    pieces = answer.iter_bytes()
    size = len(next(pieces))
    first = time.perf_counter() - started
    size += sum(map(len, pieces))
whole = time.perf_counter() - started
print(
    f"streamed: {size / 2 / 24_000:.1f} s of sound; the first after {1000 * first:.0f} ms, the last after {whole:.1f} s"
)
print("which is marked:", answer.headers["x-aoide-provenance"])

for wrong in (
    {"voice": "en-hart", "input": TEXT},
    {"voice": "alloy", "input": "?!"},
    {"voice": "alloy", "input": "a" * 5000},
):
    try:
        client.audio.speech.create(model="tts-1", **wrong)
    except openai.APIStatusError as error:
        print(f"{type(error).__name__} {error.status_code}: {error.body['message']}")
