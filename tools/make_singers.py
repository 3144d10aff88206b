"""Makes the singers of the package: python tools/make_singers.py en -o DIR, or ja --run RUN -o DIR.

The English one is the voice en-heart, exported so that it takes durations and F0 from a score; the Japanese one is a
run of recipes/svs/ja-f001-song.yaml. Figures of the cards come from benchmarks/singing.py and are written in by hand.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from aoide import voices  # noqa: E402  (after the path)
from aoide.data.corpora.sinsy import LETTERS  # noqa: E402
from aoide.generate.pack_singer import SpeechSings, export_singer  # noqa: E402
from aoide.generate.singer import Description  # noqa: E402
from aoide.models.svs import xiaoicesing  # noqa: E402
from aoide.models.tts import fastspeech2s  # noqa: E402
from aoide.text import lyrics  # noqa: E402
from aoide.text.phonemes import SYMBOLS, VOWELS  # noqa: E402
from aoide.train import checkpoint, start  # noqa: E402

GLIDES = "AIOQWY"  # English vowels that go on to another
UNVOICED_EN = "p t k f s h θ ʃ ʧ"
UNVOICED_JA = "p t k f s h sh ch ts ky py hy ty cl"
NEAREST_JA = {"v": "b", "ty": "ch", "dy": "j"}  # sounds that the songs do not have
NEAREST_EN = {"ɐ": "ʌ", "ɚ": "ɜ"}  # vowels of lyrics that the voice has never said


def english(target: Path) -> Description:
    """The voice en-heart made to sing."""
    weights = start.of_folder(voices.find("en-heart"), "tts/fastspeech2s")
    model = fastspeech2s.Model(fastspeech2s.Config())
    model.load_state_dict(weights.networks[weights.model])
    symbols = {s: SYMBOLS[NEAREST_EN.get(s, s)] for s in lyrics.symbols("en") if NEAREST_EN.get(s, s) in SYMBOLS}
    symbols |= {mark: SYMBOLS[mark] for mark in (" ", ",", "ˈ")}
    vowels = [s for s in symbols if s in VOWELS]
    about = Description(
        name=target.name,
        language="en",
        summary="English, the voice en-heart made to sing; synthetic",
        licence="MIT",
        sha256={},
        sample_rate=model.config.sample_rate,
        hop=model.config.hop,
        symbols=symbols,
        unvoiced=tuple(UNVOICED_EN.split()),
        low=50,
        high=76,
        rest=",",
        between=" ",
        stress="ˈ",
        stressed=tuple(vowels),
        end=tuple(" ðə sˈɪŋ"),
    )
    return export_singer(SpeechSings(model, {SYMBOLS[v]: v in GLIDES for v in vowels}), about, target)


def japanese(run: Path, target: Path) -> Description:
    """A run of recipes/svs/ja-f001-song.yaml."""
    model = checkpoint.load_model(checkpoint.locate(run), ema=True)[1]
    table = {symbol: SYMBOLS[LETTERS[NEAREST_JA.get(symbol, symbol)]] for symbol in LETTERS}
    about = Description(
        name=target.name,
        language="ja",
        summary="Japanese, taught by Sinsy's voice NIT SONG070 F001; synthetic",
        licence="CC-BY-3.0",
        sha256={},
        sample_rate=model.config.sample_rate,
        hop=model.config.hop,
        symbols={s: table[s] for s in [*lyrics.symbols("ja"), "pau"] if s in table},
        unvoiced=tuple(UNVOICED_JA.split()),
        low=55,
        high=77,
        rest="pau",
    )
    return export_singer(xiaoicesing.Sung(model.eval()), about, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("language", choices=("en", "ja"))
    parser.add_argument("--run", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    print(english(options.output) if options.language == "en" else japanese(options.run, options.output))


if __name__ == "__main__":
    main()
