"""Write the reading list of the taught corpus: recipes/tts/sentences-en.txt.gz.

    python tools/make_sentences.py --wordnet /usr/share/wordnet -o recipes/tts/sentences-en.txt.gz

Sources: example sentences and glosses of WordNet 3.0 (Debian `wordnet-base`, WordNet licence, free for any use with its
notice) and patterns for what a text normaliser has to read: numbers, dates, money, times, units, names, short answers,
questions. The list is committed, so nobody needs WordNet to train; this script says how it came to be.
"""

import argparse
import gzip
import random
import re
from pathlib import Path

GOOD = re.compile(r"^[A-Za-z0-9 ,.;:'!?%$\"-]+$")
WH = re.compile(
    r"^(who|what|when|where|why|how|which|is|are|was|were|do|does|did|can|could|would|will|have|has|should)\b", re.I
)
NAMES = [
    "Alice",
    "Ben",
    "Carla",
    "David",
    "Emma",
    "Frank",
    "Grace",
    "Henry",
    "Iris",
    "Jack",
    "Karen",
    "Liam",
    "Maria",
    "Noah",
    "Olivia",
    "Peter",
    "Rachel",
    "Sam",
    "Tina",
    "Victor",
]
SURNAMES = [
    "Smith",
    "Jones",
    "Garcia",
    "Miller",
    "Davis",
    "Brown",
    "Wilson",
    "Moore",
    "Taylor",
    "Anderson",
    "Thomas",
    "Jackson",
    "White",
    "Harris",
    "Martin",
    "Lee",
    "Clark",
]
PLACES = [
    "London",
    "Paris",
    "Boston",
    "Chicago",
    "Berlin",
    "Tokyo",
    "Madrid",
    "Rome",
    "Dublin",
    "Seattle",
    "Denver",
    "Sydney",
    "Toronto",
    "Austin",
    "Geneva",
    "Oslo",
]
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
THINGS = [
    "book",
    "ticket",
    "train",
    "garden",
    "window",
    "letter",
    "table",
    "engine",
    "river",
    "cloud",
    "painting",
    "bicycle",
    "sandwich",
    "camera",
    "blanket",
    "guitar",
]
UNITS = ["km", "kg", "cm", "mm", "miles", "pounds", "hours", "minutes", "degrees", "liters", "GB", "MB", "mph"]
SHORT = [
    "Yes.",
    "No.",
    "Hello.",
    "Hello there.",
    "Thank you.",
    "Thanks a lot.",
    "Good morning.",
    "Good night.",
    "See you tomorrow.",
    "Of course.",
    "Not yet.",
    "Maybe.",
    "Really?",
    "What?",
    "Why not?",
    "Who is it?",
    "Come in!",
    "Stop!",
    "Wait a minute.",
    "I don't know.",
    "That's right.",
    "Never mind.",
    "Excuse me.",
    "I'm sorry.",
    "You're welcome.",
    "How are you?",
    "Fine, thanks.",
    "Let's go!",
    "Be careful!",
    "Look at that!",
    "Well done!",
    "Happy birthday!",
    "Any questions?",
    "One moment, please.",
    "Go on.",
    "Try again.",
    "Goodbye.",
    "Welcome back.",
    "Oh, no!",
    "It's late.",
    "I see.",
    "So what?",
    "Very well.",
    "Okay.",
    "All right, then.",
]


def examples(folder: Path) -> list[str]:
    """Quoted example sentences and short definitions of WordNet."""
    found = []
    for part in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{part}").read_text("utf-8").splitlines():
            if line.startswith("  "):
                continue
            head, _, gloss = line.partition(" | ")
            word = head.split()[4].replace("_", " ")
            quotes = [q.strip(" ;") for q in re.findall(r'"([^"]+)"', gloss)]
            found += [q for q in quotes if 3 <= len(q.split()) <= 32]
            definition = re.sub(r'"[^"]*"', "", gloss).strip(" ;")
            if part == "noun" and word.islower() and 6 <= len(definition.split()) <= 24 and "(" not in definition:
                article = "An" if word[0] in "aeiou" else "A"
                found.append(
                    f"{article} {word} is {definition}"
                    if definition.startswith(("a ", "an ", "the "))
                    else f"{word}: {definition}"
                )
    return found


def tidy(sentence: str) -> str | None:
    sentence = re.sub(r"\s+", " ", sentence.replace("`", "'")).strip(" ,;:-")
    if (
        not GOOD.match(sentence)
        or sentence.count("'") > 3
        or re.search(r"\b(rap|nigg|fag|slut|whor|cunt|fuck|shit|kike|spic)", sentence, re.I)
    ):
        return None
    sentence = sentence[0].upper() + sentence[1:]
    if sentence[-1] not in ".!?":
        sentence += "?" if WH.match(sentence) and len(sentence.split()) < 14 else "."
    return sentence


def patterns(rng: random.Random, count: int) -> list[str]:
    """Sentences with the classes of a text normaliser, filled at random."""
    pick = rng.choice

    def number() -> str:
        size = pick([9, 99, 999, 9_999, 99_999, 2_500_000])
        value = rng.randint(0, size)
        return f"{value:,}" if rng.random() < 0.5 else str(value)

    forms = [
        lambda: (
            f"On {pick(MONTHS)} {rng.randint(1, 31)}, {rng.randint(1700, 2030)}, {pick(NAMES)} moved to {pick(PLACES)}."
        ),
        lambda: (
            f"The meeting is on {pick(DAYS)} at {rng.randint(1, 12)}:{rng.randint(0, 59):02d} {pick(['am', 'pm'])}."
        ),
        lambda: f"It costs ${number()}.{rng.randint(0, 99):02d}, not ${number()}.",
        lambda: f"Dr. {pick(SURNAMES)} paid £{number()} for the {pick(THINGS)}.",
        lambda: (
            f"Please call {rng.randint(200, 999)}-{rng.randint(200, 999)}-{rng.randint(1000, 9999)} and ask for Mrs. {pick(SURNAMES)}."
        ),
        lambda: (
            f"The {pick(THINGS)} weighs {number()} {pick(UNITS)} and is {rng.randint(1, 99)}.{rng.randint(0, 9)} cm wide."
        ),
        lambda: f"About {rng.randint(1, 100)}% of the {number()} people in {pick(PLACES)} agreed.",
        lambda: f"{pick(NAMES)} finished {rng.randint(1, 40)}{pick(['th'])} out of {number()}.",
        lambda: f"Chapter {rng.randint(1, 60)}, page {rng.randint(1, 900)}: the {pick(THINGS)} and the {pick(THINGS)}.",
        lambda: (
            f"Version {rng.randint(0, 9)}.{rng.randint(0, 20)}.{rng.randint(0, 9)} was released in {rng.randint(1990, 2029)}."
        ),
        lambda: (
            f"Flight {pick('ABDKLU')}{pick('AEFLS')} {rng.randint(10, 999)} to {pick(PLACES)} leaves from gate {pick('ABCDEF')}{rng.randint(1, 60)}."
        ),
        lambda: f'"{pick(SHORT)}" said {pick(NAMES)}.',
        lambda: (
            f"{pick(NAMES)}, {pick(NAMES)} and {pick(NAMES)} took the {pick(THINGS)} to {pick(PLACES)}; {pick(NAMES)} stayed at home."
        ),
        lambda: f"Did {pick(NAMES)} really leave the {pick(THINGS)} in {pick(PLACES)}?",
        lambda: (
            f"{pick(NAMES)} {pick(SURNAMES)} said that the {pick(THINGS)}, the {pick(THINGS)} and the {pick(THINGS)} were gone!"
        ),
        lambda: (
            f"The {pick(['FBI', 'NASA', 'BBC', 'CEO', 'USA', 'UN', 'GPS', 'DVD', 'HTML', 'CPU'])} report has {number()} pages."
        ),
        lambda: f"{rng.randint(1, 9)} + {rng.randint(1, 9)} = {rng.randint(2, 18)}.",
        lambda: " ".join(str(rng.randint(0, 9)) for _ in range(rng.randint(3, 8))) + ".",
        lambda: " ".join(rng.sample("ABCDEFGHIJKLMNOPQRSTUVWXYZ", rng.randint(2, 6))) + ".",
        lambda: pick(SHORT),
        lambda: f"{pick(SHORT)} {pick(SHORT)}",
    ]
    return [pick(forms)() for _ in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    natural = list(dict.fromkeys(s for e in examples(args.wordnet) if (s := tidy(e))))
    rng.shuffle(natural)
    chosen, short_run = [], []
    for sentence in natural:  # join some, so that the voice learns to speak several clauses in one breath
        if len(sentence.split()) < 7 and rng.random() < 0.5:
            short_run.append(sentence)
            if len(short_run) == 2:
                chosen.append(" ".join(short_run))
                short_run = []
        else:
            chosen.append(sentence)
    lines = list(dict.fromkeys(chosen[:7_200] + patterns(rng, 1_800) + SHORT))
    rng.shuffle(lines)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with args.output.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as packed:
        packed.write(("\n".join(lines) + "\n").encode())
    print(f"{len(lines)} sentences, {sum(len(s.split()) for s in lines)} words -> {args.output}")


if __name__ == "__main__":
    main()
