"""When each phoneme of a recording sounds, found out by comparing it with a voice that says the same.

    align = Aligner(Runtime("voices/en-heart"))
    align(sound, phonemes)           # -> frames of every token, on the voice's clock

The voice speaks the phonemes and knows when it says which. Dynamic time warping (Sakoe and Chiba 1978) finds the path
along which the cepstra of both go best together, and carries these times over to the recording. Cepstra are freed of
their mean and scale, so that who speaks, into which microphone, hardly counts. No training, no model of its own: right
to a few hundredths of a second where both read in a like manner, which is enough to adapt a voice to a new speaker.
"""

from __future__ import annotations

import numpy as np

from aoide.audio.mel_config import MelConfig, filterbank
from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.generate.runtime import Request, Runtime
from aoide.text.tokenizer import Tokenizer

COEFFICIENTS = 13  # of the cepstrum: the shape of the mouth, without the pitch
BANDS = 40
RANGE = 7.0  # nats below the loudest band (60 dB): what is quieter counts as silence
ASIDE = 0.3  # what a step to one side costs beyond its distance, so that a path keeps to the diagonal where it can
MOST = 6000  # frames of a recording, 75 s at 80 a second: the table grows with the square


class Aligner:
    """Compares recordings with what `voice` says.

    Args:
        voice: speaks the language of the recordings; times come on its clock.
    """

    def __init__(self, voice: Runtime) -> None:
        self.voice = voice
        of = voice.description
        self.frame_rate = of.sample_rate / of.hop
        self._tokenizer = Tokenizer(of.symbols)
        n_fft = 1 << (2 * of.hop - 1).bit_length()
        mel = MelConfig(sample_rate=of.sample_rate, n_fft=n_fft, win=n_fft, hop=of.hop, n_mels=BANDS, fmax=8000.0)
        self._filters = filterbank(mel)
        self._window = np.hanning(n_fft + 1)[:-1]

    def __call__(self, sound: Sound, phonemes: str) -> tuple[int, ...]:
        """The frames of every token, with the pause at both ends; their sum is samples // hop of the sound.

        Raises:
            UserError: a phoneme that the voice does not know, a sound that is too short for its text, or too long.
        """
        tokens = self._tokenizer.encode(phonemes)
        heard = self._cepstra(sound.mono().resample(self.voice.description.sample_rate).samples)
        if len(heard) < len(tokens):
            raise UserError(f"{sound.seconds:.2f} s are too short for {len(tokens)} phonemes and pauses")
        if len(heard) > MOST:
            raise UserError(f"{sound.seconds:.0f} s are too long to align; cut it into sentences")
        (said,) = self.voice.run([Request(tokens, 1.0, 0.0)])
        ends = np.cumsum(said.durations)
        path = warp(self._cepstra(said.samples), heard)
        where = np.concatenate([[0.0], path[np.minimum(ends[:-1], len(path) - 1)], [len(heard)]])
        return tuple(_whole(where).tolist())

    def _cepstra(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) -> (frames, coefficients), each coefficient with mean 0 and deviation 1."""
        size, hop = len(self._window), self.voice.description.hop
        count = len(samples) // hop
        padded = np.pad(samples, (size // 2, size))
        frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop][:count]
        mel = np.abs(np.fft.rfft(frames * self._window)) @ self._filters.T
        log = np.log(np.maximum(mel, mel.max(initial=1e-9) * np.exp(-RANGE)))
        places = (np.arange(BANDS) + 0.5) / BANDS
        cepstra = log @ np.cos(np.pi * np.outer(places, np.arange(COEFFICIENTS)))
        return (cepstra - cepstra.mean(0)) / (cepstra.std(0) + 1e-9)


def warp(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Where in `other` each frame of `one` is: (frames, dim), (others, dim) -> (frames,) places, never going back.

    The table of costs is filled along its diagonals from corner to corner, each in one stroke.
    """
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * one @ other.T
    distance = np.sqrt(np.maximum(squares, 0.0))
    rows, columns = distance.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    for diagonal in range(rows + columns - 1):
        i = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        j = diagonal - i
        aside = np.minimum(total[i, j + 1], total[i + 1, j]) + ASIDE
        total[i + 1, j + 1] = distance[i, j] + np.minimum(total[i, j], aside)
    return _walk_back(total)


def _walk_back(total: np.ndarray) -> np.ndarray:
    """The cheapest path through the table, as the mean place in the columns of every row."""
    i, j = total.shape[0] - 1, total.shape[1] - 1
    sums, counts = np.zeros(i), np.zeros(i)
    while i > 0 and j > 0:
        sums[i - 1] += j - 1
        counts[i - 1] += 1
        straight, up, left = total[i - 1, j - 1], total[i - 1, j] + ASIDE, total[i, j - 1] + ASIDE
        if straight <= up and straight <= left:
            i, j = i - 1, j - 1
        elif up <= left:
            i -= 1
        else:
            j -= 1
    return sums / np.maximum(counts, 1)


def _whole(boundaries: np.ndarray) -> np.ndarray:
    """Boundaries in frames -> whole durations of at least one frame with the same sum."""
    count, last = len(boundaries) - 1, int(boundaries[-1])
    edges = np.rint(boundaries).astype(int)
    for k in range(1, count):
        edges[k] = min(max(edges[k], edges[k - 1] + 1), last - (count - k))
    return np.diff(edges)
