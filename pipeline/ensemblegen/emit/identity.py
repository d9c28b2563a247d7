"""What a model is, whoever asked for it: when two steps may have one model, and what differs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ensemblegen.content import Content, Linked, sha256, size
from ensemblegen.emit import config, serving
from ensemblegen.members import Member
from ensemblegen.plan import Plan


@dataclass(frozen=True)
class Identity:
    """Everything that a model's folder follows from, but for the names of pipelines and steps."""

    config: Any
    variants: Mapping[str, Any]
    """Configs by the placement that they are for."""
    files: Mapping[str, Content]
    environments: Mapping[str, str]
    """What it runs in, by device: the file that declares it."""

    @cached_property
    def key(self) -> bytes:
        """Equal for models that are the same without a look into their artifacts."""
        digest = hashlib.sha256()
        for name, message in (("", self.config), *sorted(self.variants.items())):
            digest.update(f"{name}\0".encode() + message.SerializeToString(deterministic=True))
        for path, content in sorted(self.files.items()):
            linked = isinstance(content, Linked)
            value = str(content.path).encode() if isinstance(content, Linked) else content
            digest.update(f"\0{path}\0{linked}\0{len(value)}\0".encode() + value)
        digest.update(repr(sorted(self.environments.items())).encode())
        return digest.digest()


def of(plan: Plan, member: Member) -> Identity:
    # A model says in its errors whose it is; that makes no other model of it.
    nobody = replace(member.kind.asked_by(member, ""), origin="", model="")
    return Identity(
        config.member(plan, nobody, plan.devices[member.step]),
        {
            name: config.member(plan, nobody, devices[member.step])
            for name, devices in plan.variants.items()
        },
        {
            **dict(member.kind.files(replace(nobody, step=""))),
            **serving.warmup_files(serving.samples(plan, member)),
        },
        {
            **{name: str(each.path.resolve()) for name, each in member.environments.items()},
            **({"placed": plan.environment_placement} if member.environments else {}),
        },
    )


def differences(one: Identity, other: Identity) -> Iterator[str]:
    """In what two models differ, in words; nothing if they can be one.

    A placement that only one of them has is no difference: the model gets both.
    """
    found = dict(_fields(one.config, other.config))
    for variant in sorted(one.variants.keys() & other.variants.keys()):
        found |= dict(_fields(one.variants[variant], other.variants[variant]))
    yield from found.values()
    for path in sorted(one.files.keys() | other.files.keys()):
        if path not in one.files or path not in other.files:
            yield f"{path}, which one of them lacks"
        elif not _equal(one.files[path], other.files[path]):
            yield _content(path, one.files[path], other.files[path], set(found))
    if one.environments != other.environments:
        yield "their environments"


def _fields(one: Any, other: Any) -> Iterator[tuple[str, str]]:
    """The fields of ModelConfig in which two differ; numbers and words with their values."""
    if one == other:
        return
    for field in one.DESCRIPTOR.fields:
        values = getattr(one, field.name), getattr(other, field.name)
        if values[0] != values[1]:
            plain = isinstance(values[0], (bool, int, float, str))
            shown = f" ({values[0]} and {values[1]})" if plain else ""
            yield field.name, f"{field.name}{shown}"


def _content(path: str, one: Content, other: Content, told: Set[str]) -> str:
    """A file of another content; of JSON of ours, the keys that no field told of."""
    if path.endswith(".json") and isinstance(one, bytes) and isinstance(other, bytes):
        here, there = json.loads(one), json.loads(other)
        keys = [key for key in {**here, **there} if here.get(key) != there.get(key)]
        return f"{', '.join([key for key in keys if key not in told] or keys)} of {path}"
    return f"the content of {path}"


def _equal(one: Content, other: Content) -> bool:
    if one == other:
        return True
    return size(one) == size(other) and sha256(one) == sha256(other)
