"""The generated texts: reproducible, harder words and longer sentences with a lower label."""

from __future__ import annotations

import re
import statistics

from ensembles.readability import lexicon
from ensembles.readability.generator import EASIEST, NOISE, SPAN, generate
from python_models.readability_preprocess.features import FeatureCounter, words_of
from python_models.readability_preprocess.words import from_words

CORPUS = generate(200, seed=3)


def test_the_same_seed_gives_the_same_corpus() -> None:
    assert generate(20, seed=3).texts == generate(20, seed=3).texts
    assert generate(20, seed=3).texts != generate(20, seed=4).texts


def test_labels_spread_over_the_declared_range() -> None:
    assert CORPUS.generated
    assert min(CORPUS.targets) > EASIEST - SPAN - 4 * NOISE
    assert max(CORPUS.targets) < EASIEST + 4 * NOISE
    assert statistics.stdev(CORPUS.targets) > 3 * NOISE


def test_easier_texts_have_shorter_sentences_and_commoner_words() -> None:
    spoken = [[word.decode() for word in words_of(text)] for text in CORPUS.texts]
    features = FeatureCounter(from_words(spoken))(CORPUS.texts)
    word_length = [statistics.mean(map(len, words)) for words in spoken]
    assert statistics.correlation(features[:, 4].tolist(), CORPUS.targets) < -0.6
    assert statistics.correlation(word_length, CORPUS.targets) < -0.8


def test_length_does_not_give_the_label_away() -> None:
    n_words = [float(len(text.split())) for text in CORPUS.texts]
    assert abs(statistics.correlation(n_words, CORPUS.targets)) < 0.5


def test_texts_are_tidy() -> None:
    for text in CORPUS.texts:
        assert not re.search(r"\s[,;.]|  |\b[Aa] [aeiou]|[,;][.!]", text), text
        assert text[0].isupper() or text[0] == '"'
        assert text[-1] in '.!"'


def test_tiers_share_no_word() -> None:
    for tiers in (
        *lexicon.NOUNS.values(),
        *(lexicon.ABSTRACT, lexicon.ADJECTIVES, lexicon.VERBS, lexicon.ACTS),
        *(lexicon.ADVERBS, lexicon.PREPOSITIONS, lexicon.JOINTS, lexicon.OPENERS),
    ):
        words = [word for tier in tiers for word in tier]
        assert len(words) == len(set(words))
