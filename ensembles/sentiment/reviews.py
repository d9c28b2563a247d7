"""Reviews of one or two clauses, with what they say: written here, so that no data is needed.

A clause praises or complains, and a negation turns it round; a review whose clauses disagree is
mixed. So no single word decides, and a bag of words cannot know.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

LABELS = ("negative", "mixed", "positive")

_THINGS = {
    "food": ("soup", "bread", "coffee", "pasta", "dessert", "breakfast", "salad"),
    "people": ("waiter", "guide", "staff", "service", "driver", "teacher", "host"),
    "places": ("room", "hotel", "garden", "beach", "kitchen", "bathroom", "station"),
    "works": ("film", "plot", "ending", "music", "book", "story", "cast"),
    "goods": ("battery", "screen", "camera", "keyboard", "kettle", "jacket", "bicycle"),
}
_GENERAL = (
    ("wonderful", "great", "excellent", "lovely", "superb", "perfect", "amazing", "good", "fine"),
    ("terrible", "awful", "horrible", "poor", "disappointing", "dreadful", "bad", "useless"),
)
_OWN = {
    "food": (("delicious", "fresh", "tasty"), ("cold", "stale", "bland")),
    "people": (("friendly", "helpful", "patient"), ("rude", "slow", "careless")),
    "places": (("clean", "quiet", "spacious"), ("filthy", "noisy", "cramped")),
    "works": (("gripping", "clever", "moving"), ("dull", "boring", "predictable")),
    "goods": (("reliable", "sturdy", "handy"), ("broken", "flimsy", "faulty")),
}
"""Adjectives of praise and of complaint."""

_ARTICLES = ("the", "this", "our", "their")
_VERBS = ("was", "is", "seemed", "looked")
_DEGREES = ("", "", "", "really ", "very ", "quite ", "rather ", "so ")
_NEGATIONS = ("not ", "never ", "hardly ", "anything but ")
_JOINTS = (", but ", " and ", ", and ", ", yet ", "; ")
_OPENERS = ("", "", "", "honestly, ", "in the end, ", "sadly or not, ", "to be fair, ")
_MARKS = (".", ".", ".", "!", "")


@dataclass(frozen=True)
class Review:
    """A text, and the place of its label in LABELS."""

    text: str
    label: int


def generate(n_reviews: int, seed: int) -> Iterator[Review]:
    """The same seed gives the same reviews."""
    rng = random.Random(seed)
    for _ in range(n_reviews):
        clauses = [_clause(rng) for _ in range(rng.choice((1, 2, 2)))]
        said = [praises for _, praises in clauses]
        words = rng.choice(_JOINTS).join(text for text, _ in clauses)
        text = f"{rng.choice(_OPENERS)}{words}{rng.choice(_MARKS)}"
        label = 1 if len(set(said)) == 2 else 2 * said[0]
        yield Review(text[0].upper() + text[1:], label)


def _clause(rng: random.Random) -> tuple[str, bool]:
    """A clause, and whether it praises."""
    kind = rng.choice(sorted(_THINGS))
    praise = rng.random() < 0.5
    adjectives = (_OWN[kind] if rng.random() < 0.5 else _GENERAL)[not praise]
    negation = rng.choice(_NEGATIONS) if rng.random() < 0.3 else ""
    subject = f"{rng.choice(_ARTICLES)} {rng.choice(_THINGS[kind])}"
    degree = "" if negation else rng.choice(_DEGREES)
    words = f"{subject} {rng.choice(_VERBS)} {negation}{degree}{rng.choice(adjectives)}"
    return words, praise != bool(negation)
