"""The phoneme alphabet, and where stress is written.

One character is one sound. The alphabet is the one of the misaki lexicon and of the voices of the Kokoro family
(Apache-2.0), of which five letters are worth knowing: A I O W Y are the diphthongs of *face, price, goat, mouth,
choice*, T is the tapped t of *city*, ᵊ the schwa that almost vanishes in *table*, ᵻ the vowel of the ending in
*houses*, and ɐ the article *a*. Primary ˈ and secondary ˌ stress stand directly before the vowel: həlˈO.
"""

# The number of each symbol is fixed by the voices that were trained on it; 0 is the silence at both ends.
_NUMBERED = (
    (1, ";:,.!?"),
    (9, '—…"()“”'),
    (16, " \u0303ʣʥʦʨᵝꭧAI"),
    (31, "O"),
    (33, "Q"),
    (35, "ST"),
    (39, "W"),
    (41, "Yᵊabcdef"),
    (50, "hijklmnopqrstuvwxyzɑɐɒæ"),
    (75, "βɔɕç"),
    (80, "ɖðʤə"),
    (85, "ɚɛɜ"),
    (90, "ɟ"),
    (92, "ɡ"),
    (99, "ɥ"),
    (101, "ɨɪʝ"),
    (110, "ɯɰŋɳɲɴø"),
    (118, "ɸθœ"),
    (123, "ɹ"),
    (125, "ɾɻ"),
    (128, "ʁɽʂʃʈʧ"),
    (135, "ʊʋ"),
    (138, "ʌɣɤ"),
    (142, "χ"),
    (143, "ʎ"),
    (147, "ʒʔ"),
    (156, "ˈˌː"),
    (162, "ʰ"),
    (164, "ʲ"),
    (169, "↓"),
    (171, "→↗↘"),
    (177, "ᵻ"),
)
SYMBOLS: dict[str, int] = {symbol: first + i for first, run in _NUMBERED for i, symbol in enumerate(run)}

VOWELS = frozenset("AIOQWYaiuæɑɒɔəɛɜɪʊʌᵻ")
CONSONANTS = frozenset("bdfhjklmnpstvwzðŋɡɹɾTʃʒʤʧθ")
PAUSES = frozenset(";:,.!?—…")  # marks that a listener hears as a break; quotes and brackets are none
PRIMARY, SECONDARY = "ˈ", "ˌ"

_TWO_PART = frozenset("AIOQWYʤʧ")  # diphthongs and affricates: two sounds in one letter


def length(phonemes: str) -> int:
    """How many sounds `phonemes` has, a diphthong or an affricate counting as two; stress marks count as in misaki."""
    return sum(2 if sound in _TWO_PART else 1 for sound in phonemes)


def unstressed(phonemes: str) -> str:
    """Without any stress mark."""
    return phonemes.replace(PRIMARY, "").replace(SECONDARY, "")


def weakened(phonemes: str) -> str:
    """Primary stress becomes secondary, and what was secondary goes."""
    return phonemes.replace(SECONDARY, "").replace(PRIMARY, SECONDARY)


def lightly_stressed(phonemes: str) -> str:
    """A word without any stress gets secondary stress, as the first word of a sentence does: ʃi -> ʃˌi."""
    return phonemes if PRIMARY in phonemes or SECONDARY in phonemes else _marked(phonemes, SECONDARY)


def fully_stressed(phonemes: str) -> str:
    """A word without primary stress gets it, as a word in capitals does: ʃi -> ʃˈi, ʃˌʊd -> ʃˈʊd."""
    if PRIMARY in phonemes:
        return phonemes
    if SECONDARY in phonemes:
        return phonemes.replace(SECONDARY, PRIMARY)
    return _marked(phonemes, PRIMARY)


def _marked(phonemes: str, mark: str) -> str:
    """`mark` before the first vowel; unchanged where there is none (ʃ, hm)."""
    for i, sound in enumerate(phonemes):
        if sound in VOWELS:
            return phonemes[:i] + mark + phonemes[i:]
    return phonemes
