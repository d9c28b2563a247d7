"""Puts the repository on the path: `python_models` and `ensembles` are namespace packages there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

TEXTS = (
    "The cat sat on the mat. It purred, and then it slept!",
    "Don't look now: the organism's metabolism is characterised by considerable efficiency.",
    '"Who is there?" said Ann. "It\'s me", he said (quietly)... Nobody answered',
    "Rain fell on the river, on the road and on the roofs of the old town.",
)


@pytest.fixture(scope="session")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the `tokenizer.json` and `words.json` of a few sentences."""
    from ensembles.readability.vocabulary import tokens_of, write_tokenizer
    from python_models.readability_preprocess import words
    from python_models.readability_preprocess.features import words_of

    folder = tmp_path_factory.mktemp("assets")
    spoken = [[word.decode() for word in words_of(text)] for text in TEXTS]
    write_tokenizer(tokens_of(spoken), folder / "tokenizer.json")
    words.from_words(spoken).write(folder / "words.json")
    return folder


@pytest.fixture(scope="session")
def context(assets: Path) -> Callable[..., Any]:
    """What the runtime hands a step; keyword arguments are its parameters."""

    def made(**parameters: Any) -> Any:
        return SimpleNamespace(
            device="cpu", device_id=0, parameters=parameters, directory=assets, logger=None
        )

    return made
