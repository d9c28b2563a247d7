"""Files that are something else than protobuf's text format: one clear answer for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from ensemblegen.errors import nearest
from ensemblegen.pbtxt import shape
from ensemblegen.pbtxt.report import Remedy
from ensemblegen.pbtxt.tree import Odd

_CONFLICT = re.compile(r"^<<<<<<<(?: .*)?$", re.MULTILINE)
_CONFLICT_END = re.compile(r"^>>>>>>>(?: .*)?$", re.MULTILINE)
_LFS = "version https://git-lfs.github.com/spec/"
_HTML = re.compile(r"<(?:!doctype html|html|head|\?xml)\b", re.IGNORECASE)
_JSON = re.compile(r'\{\s*(?:"(?:[^"\\\n]|\\.)*"\s*:|\}\s*\Z)|\[\s*[{"]')
_LINK = re.compile(r"(\.\.?/)*[\w./-]+\.pbtxt\s*")
_YAML = re.compile(r"^(?:---[ \t]*$|[ \t]*- \w+:(?:[ \t]|$))", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")


def find(text: str) -> Odd | None:
    """What `text` is, if that is no config.pbtxt."""
    start = len(text) - len(text.lstrip("\ufeff \t\r\n"))
    head = text[start : start + 400]
    for is_it, what, hint in _HEADS:
        if is_it(head):
            return _odd(start, what, hint)
    conflict = _CONFLICT.search(text)
    if conflict and _CONFLICT_END.search(text, conflict.end()):
        words = "an unresolved merge: the conflict markers of git"
        return Odd(*conflict.span(), words, Remedy("decide for one side"), "E128")
    if "{" not in text and _YAML.search(text):
        hint = "config.pbtxt has `name { ... }` for messages and [ ] for lists"
        return _odd(start, "YAML, not protobuf's text format", hint)
    return None


_ROOTS = {
    "infer_config": "a config of DeepStream's nvinferserver",
    "item": "a label map of TensorFlow",
    "node": "a graph of TensorFlow or MediaPipe",
    "feature": "a schema of TensorFlow Metadata",
    "layer": "a network of Caffe",
    "layers": "a network of Caffe",
    "model_config_list": "a config of TensorFlow Serving",
    "batch_timeout_micros": "a config of TensorFlow Serving",
    "train_config": "a config of training",
    "training_config": "a config of training",
    "dataset_config": "a config of training",
}
"""Fields at the top of files of the same format that are something else, and what those are."""
_OWN = frozenset({"backend", "platform", "instance_group", "output", "ensemble_scheduling"})


def schema(names: Collection[str]) -> tuple[str, str] | None:
    """What a file with these fields at its top is, if it is no config of a model, and a hint."""
    if not _OWN.isdisjoint(names):
        return None
    found = next((_ROOTS[name] for name in names if name in _ROOTS), None)
    if found is not None:
        return f"this is {found}, not a model's config", "check the model's config.pbtxt instead"
    plain = set(names)
    known, homes = shape.root().slots, shape.homes()
    odd = [name for name in plain if name not in homes and not nearest(name, known)]
    if len(names) < 2 or len(odd) < 0.6 * len(plain) or (len(odd) < 3 and len(odd) < len(plain)):
        return None
    if not plain.isdisjoint(known):
        return "most of this file are no fields of a model's config", "is it the right file?"
    return "nothing in this file is a field of a model's config", "is it the right file?"


def _is_binary(head: str) -> bool:
    return "\x00" in head and len(_CONTROL.findall(head)) * 5 > len(head)


_HEADS: tuple[tuple[Callable[[str], object], str, str], ...] = (
    (lambda head: head.startswith(_LFS), "a git-lfs pointer, not the file itself", "git lfs pull"),
    (
        _LINK.fullmatch,
        "the name of another file: a symbolic link, kept as text",
        "check the repository out on a system with symbolic links",
    ),
    (lambda head: head.startswith("#!"), "a script, not a config", "is it the right file?"),
    (_HTML.match, "a web page, not a config", "download the raw file"),
    (
        _JSON.match,
        "JSON, not protobuf's text format",
        "config.pbtxt has `name: value` and `name { ... }`, without quotes around names",
    ),
    (_is_binary, "a binary file, or UTF-16, not text in UTF-8", "save it as UTF-8"),
)


def _odd(start: int, what: str, hint: str) -> Odd:
    return Odd(start, start + 1, f"this is {what}", Remedy(hint), "E128")
