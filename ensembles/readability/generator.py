"""Generated texts with a synthetic difficulty, for a demo that needs no data of anyone.

A level from 0 (easy) to 1 (hard) sets five knobs, each with a jitter of its own, so that no single
one gives the level away: the tier of the words, the clauses of a sentence, how clauses are joined,
how noun phrases grow, and how much is spoken or told of persons. The label is linear in the mean of
the knobs, plus noise of a known size. It says nothing about real text.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from ensembles.readability import lexicon
from ensembles.readability.corpus import Corpus
from ensembles.readability.lexicon import Tiers

NOISE = 0.3  # standard deviation of what no model can learn of the label
JITTER = 0.12  # of each knob about the level
EASIEST, SPAN = 1.5, 4.5  # label of difficulty 0, and how far difficulty 1 lies below it


@dataclass(frozen=True)
class Knobs:
    """Each from 0 (easy) to 1 (hard)."""

    words: float
    clauses: float
    joints: float
    phrases: float
    persons: float

    @property
    def difficulty(self) -> float:
        return (self.words + self.clauses + self.joints + self.phrases + self.persons) / 5


def generate(n_texts: int, seed: int) -> Corpus:
    """A corpus of `n_texts`; higher labels are easier. The same seed gives the same corpus."""
    rng = random.Random(seed)
    texts, labels = [], []
    for _ in range(n_texts):
        knobs = _knobs(rng)
        texts.append(_Writer(knobs, rng).text(rng.randint(60, 160)))
        labels.append(EASIEST - SPAN * knobs.difficulty + rng.gauss(0, NOISE))
    return Corpus(tuple(texts), tuple(labels), generated=True)


def _knobs(rng: random.Random) -> Knobs:
    level = rng.random()
    jittered = [min(1.0, max(0.0, rng.gauss(level, JITTER))) for _ in range(5)]
    return Knobs(*jittered)


class _Writer:
    """Writes one text. A method returns words without the final mark unless it says otherwise."""

    def __init__(self, knobs: Knobs, rng: random.Random) -> None:
        self._knobs = knobs
        self._rng = rng
        self._nouns = lexicon.NOUNS[rng.choice(sorted(lexicon.NOUNS))]

    def text(self, n_words: int) -> str:
        sentences: list[str] = []
        while sum(sentence.count(" ") + 1 for sentence in sentences) < n_words:
            sentences.append(self._sentence())
        return " ".join(sentences)

    def _sentence(self) -> str:
        """With its final mark."""
        if self._easy(self._knobs.persons) and self._rng.random() < 0.3:
            return self._speech()
        clauses = [self._clause()]
        while len(clauses) < 4 and self._rng.random() < 0.75 * self._knobs.clauses:
            clauses += [self._pick(lexicon.JOINTS, self._knobs.joints), self._clause()]
        words = " ".join(clauses)
        if self._rng.random() < 0.25:
            words = f"{self._pick(lexicon.OPENERS, self._knobs.joints)} {words}"
        mark = "!" if self._easy(self._knobs.persons) and self._rng.random() < 0.15 else "."
        return _tidy(words) + mark

    def _speech(self) -> str:
        said = self._rng.choice(lexicon.SPOKEN).format(
            noun=self._noun(), adjective=self._pick(lexicon.ADJECTIVES, self._knobs.words)
        )
        if said.endswith("."):
            said = said[:-1] + ","
        return f'"{said}" {self._rng.choice(lexicon.SAYING)} {self._rng.choice(lexicon.NAMES)}.'

    def _clause(self) -> str:
        subject = self._subject()
        if self._rng.random() < 0.4:
            predicate = self._pick(lexicon.ACTS, self._knobs.words)
        else:
            predicate = f"{self._pick(lexicon.VERBS, self._knobs.words)} {self._phrase()}"
        if self._rng.random() < 0.3:
            predicate += f" {self._pick(lexicon.ADVERBS, self._knobs.words)}"
        if self._rng.random() < 0.45:
            place = self._pick(lexicon.PREPOSITIONS, self._knobs.words)
            predicate += f" {place} {self._phrase()}"
        return f"{subject} {predicate}"

    def _subject(self) -> str:
        if self._easy(self._knobs.persons):
            return self._rng.choice((*lexicon.NAMES, *lexicon.PRONOUNS * 2))
        aside = ""
        if self._rng.random() < 0.35 * self._knobs.phrases**2:
            aside = self._rng.choice(lexicon.ASIDES)
        return self._phrase() + aside

    def _phrase(self, room: int = 2) -> str:
        """A noun phrase: "the old dog", or "the systematic interpretation of the tendency"."""
        article = "the" if self._rng.random() < 0.6 else "a"
        adjectives = ""
        if self._rng.random() < 0.25 + 0.4 * self._knobs.phrases:
            adjectives = self._pick(lexicon.ADJECTIVES, self._knobs.words) + " "
        phrase = f"{article} {adjectives}{self._noun()}"
        if room and self._rng.random() < 0.5 * self._knobs.phrases:
            phrase += f" of {self._phrase(room - 1)}"
        return phrase

    def _noun(self) -> str:
        tiers = lexicon.ABSTRACT if self._rng.random() < 0.3 else self._nouns
        return self._pick(tiers, self._knobs.words)

    def _pick(self, tiers: Tiers, knob: float) -> str:
        """A word of about the tier that the knob asks for."""
        tier = round(min(2.0, max(0.0, self._rng.gauss(2 * knob, 0.6))))
        return self._rng.choice(tiers[tier])

    def _easy(self, knob: float) -> bool:
        return self._rng.random() > 0.15 + knob


def _tidy(sentence: str) -> str:
    """With "an" before vowels, commas closed up, and a capital to begin with."""
    sentence = re.sub(r"\ba (?=[aeiou])", "an ", sentence)
    sentence = re.sub(r"\s+([,;])", r"\1", sentence)
    return sentence[0].upper() + sentence[1:]
