"""Notes -> tokens: the `Score` type and its file formats. Pure Python and numpy.

    score = Score.load("song.musicxml")
    for finding in score.check(low=55, high=76):
        print(finding)
    score.transpose(-2).save("song.ustx")

Which phonemes a lyric has and when each is sung is told by `aoide.text.lyrics`.
"""

from aoide.score.bends import drawn_pitch
from aoide.score.frames import Frames, to_frames
from aoide.score.score import Curve, Finding, Meter, Note, Phoneme, Score, Segment, Tempo, pitch_name, pitch_number

__all__ = [
    "Curve",
    "Finding",
    "Frames",
    "Meter",
    "Note",
    "Phoneme",
    "Score",
    "Segment",
    "Tempo",
    "drawn_pitch",
    "pitch_name",
    "pitch_number",
    "to_frames",
]
