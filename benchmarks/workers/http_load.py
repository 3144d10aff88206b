"""Clients of a speech server, in a process of their own: each asks for one text after the other.

    python http_load.py ADDRESS --clients 32 --seconds 60 --format pcm < texts

Prints one line of JSON: answers, errors, seconds of sound received a second, times to the first sound, of each client's
answers. Written on plain sockets, as a client that takes the processor's time would be measured with the server.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from urllib.parse import urlsplit

HEADER = 44  # bytes before the samples of a plain WAV file
RATE = 24_000


async def one(address: str, path: str, body: bytes) -> tuple[int, int, float, bool]:
    """Status, bytes of the answer, seconds to the first of them, and whether it came to its end."""
    host, port = urlsplit(address).hostname, urlsplit(address).port
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection(host, port)
    try:
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        status = int((await reader.readline()).split()[1])
        headers = {}
        while line := (await reader.readline()).strip():
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        first, size, whole = 0.0, 0, False
        if headers.get(b"transfer-encoding") == b"chunked":
            while not whole:
                length = int(await reader.readline(), 16)
                first = first or time.perf_counter() - started
                await reader.readexactly(length + 2)
                size, whole = size + length, length == 0
        else:
            length = int(headers[b"content-length"])
            await reader.readexactly(length)
            first, size, whole = time.perf_counter() - started, length, True
        return status, size, first, whole
    finally:
        writer.close()


class Totals:
    def __init__(self) -> None:
        self.answers = self.bytes = 0
        self.errors: dict[str, int] = {}
        self.firsts: list[float] = []

    def failed(self, why: str) -> None:
        self.errors[why] = self.errors.get(why, 0) + 1


async def client(number: int, options: argparse.Namespace, texts: list[str], totals: Totals, end: float) -> None:
    turn = number
    while time.monotonic() < end and (options.answers is None or turn < number + options.answers * options.clients):
        body = json.dumps({"input": texts[turn % len(texts)], "response_format": options.format, "seed": 0})
        try:
            status, size, first, whole = await one(options.address, options.path, body.encode())
        except (OSError, ValueError, IndexError, asyncio.IncompleteReadError) as error:
            totals.failed(type(error).__name__)
        else:
            if status != 200 or not whole:
                totals.failed(str(status) if status != 200 else "dropped")
            totals.answers += 1
            totals.bytes += size - (HEADER if options.format == "wav" else 0)
            totals.firsts.append(first)
        turn += options.clients


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("--path", default="/v1/audio/speech")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=600.0, help="no client asks again after that")
    parser.add_argument("--answers", type=int, help="of each client")
    parser.add_argument("--format", choices=("pcm", "wav"), default="pcm")
    options = parser.parse_args()
    texts = [line.strip() for line in sys.stdin if line.strip()]
    totals = Totals()
    started = time.monotonic()
    end = started + options.seconds
    await asyncio.gather(*(client(number, options, texts, totals, end) for number in range(options.clients)))
    seconds = time.monotonic() - started
    report = {
        "clients": options.clients,
        "seconds": round(seconds, 2),
        "answers": totals.answers,
        "errors": totals.errors,
        "sound_per_second": round(totals.bytes / 2 / RATE / seconds, 2),
        "first_ms_median": round(1000 * statistics.median(totals.firsts), 1) if totals.firsts else None,
        "first_ms_worst": round(1000 * max(totals.firsts), 1) if totals.firsts else None,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    asyncio.run(main())
