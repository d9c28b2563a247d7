"""The kinds of steps, by their word in pipeline.yaml. A new kind is a module here and a line.

A kind is imported when a pipeline has its word: what others need to read their files is not loaded.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import TypeVar

from ensemblegen.members.kind import Kind, Member, MemberTensor, Memory, Port, Signature, Site
from ensemblegen.spec import StepSpec

_WHERE = {
    "python": "python.Python",
    "libtorch": "libtorch.Libtorch",
    "fil": "fil.Fil",
    "onnx": "onnx.Onnx",
    "openvino": "openvino.OpenVino",
    "tensorflow": "tensorflow.Tensorflow",
    "tensorrt": "tensorrt.Tensorrt",
    "dali": "dali.Dali",
    "backend": "backend.Backend",
    "reuse": "reuse.Reuse",
    "ensemble": "ensemble.Ensemble",
    "deployed": "deployed.DeployedModel",
}
"""The module and the class, in the order in which an author is told of the words."""

T = TypeVar("T")


class _ByWord(Mapping[str, T]):
    """What there is of each kind, looked up when it is asked for."""

    def __init__(self, words: Iterable[str], find: Callable[[str], T]) -> None:
        self._words = tuple(words)
        self._find = find

    def __getitem__(self, word: str) -> T:
        if word not in self._words:
            raise KeyError(word)
        return self._find(word)

    def __contains__(self, word: object) -> bool:
        return word in self._words

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)


@cache
def _kind(word: str) -> Kind:
    module, _, name = _WHERE[word].partition(".")
    kind: Kind = getattr(import_module(f"{__name__}.{module}"), name)()
    return kind


KINDS: Mapping[str, Kind] = _ByWord(_WHERE, _kind)
SPECS: Mapping[str, type[StepSpec]] = _ByWord(_WHERE, lambda word: _kind(word).spec)
"""What a step of each kind may say."""

__all__ = [
    "KINDS",
    "SPECS",
    "Kind",
    "Member",
    "MemberTensor",
    "Memory",
    "Port",
    "Signature",
    "Site",
]
