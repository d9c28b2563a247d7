"""Commands run in this process, as an author runs them."""

from __future__ import annotations

import pytest

from ensemblegen.cli.app import main


def run(*words: str) -> int:
    """The exit status of `ensemblegen WORDS`."""
    with pytest.raises(SystemExit) as left:
        main(list(words))
    assert isinstance(left.value.code, int)
    return left.value.code
