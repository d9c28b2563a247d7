"""A WordPiece tokenizer written down from a corpus, rather than trained.

`tokenizers` can train one, but its trainer gives another vocabulary in every process for the same
texts, and the same seed must give the same model. Here: the frequent words whole, then letter
groups that occur inside words, then single characters, so that any word can be spelled.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
COVERED = 0.85  # of all running words are whole tokens; the others show what pieces mean
GROUPS = 600  # letter groups of each kind
LONGEST_GROUP = 4


def tokens_of(texts: Iterable[Iterable[str]]) -> list[str]:
    """The vocabulary of texts given as lower-case words; a token's place is its id."""
    counts = Counter(word for words in texts for word in words if word.isalpha())
    order = sorted(counts, key=lambda word: (-counts[word], word))
    starts, insides = _groups(counts)
    characters = string.ascii_lowercase + string.digits
    parts = [
        SPECIAL,
        [*characters, *string.punctuation],
        [f"##{character}" for character in characters],
        _covering(order, counts),
        _most(starts),
        [f"##{group}" for group in _most(insides)],
    ]
    return list(dict.fromkeys(token for part in parts for token in part))


def _covering(order: list[str], counts: Counter[str]) -> list[str]:
    wanted = COVERED * counts.total()
    chosen: list[str] = []
    for word in order:
        if wanted <= 0:
            break
        chosen.append(word)
        wanted -= counts[word]
    return chosen


def _groups(counts: Counter[str]) -> tuple[Counter[str], Counter[str]]:
    """Letter groups at the start of words and further in, each distinct word counted once."""
    starts: Counter[str] = Counter()
    insides: Counter[str] = Counter()
    for word in counts:
        for size in range(2, LONGEST_GROUP + 1):
            starts[word[:size]] += 1
            insides.update(word[at : at + size] for at in range(1, len(word) - size + 1))
    return starts, insides


def _most(groups: Counter[str]) -> list[str]:
    return sorted(groups, key=lambda group: (-groups[group], group))[:GROUPS]


def write_tokenizer(tokens: list[str], path: Path) -> None:
    """An uncased BERT tokenizer with these tokens, as a `tokenizer.json`."""
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 - a token of text
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    tokenizer.save(str(path))
