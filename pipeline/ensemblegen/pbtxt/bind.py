"""The tree asked what it means: a ModelConfig, the place of each value, and what does not fit."""

from __future__ import annotations

from typing import Any

from ensemblegen.pbtxt import wording
from ensemblegen.pbtxt.report import Remedy
from ensemblegen.pbtxt.shape import Slot, Table
from ensemblegen.pbtxt.tokens import NUMBER, STRING, placeholder
from ensemblegen.pbtxt.tree import Block, Field, List, Node, Scalar
from ensemblegen.pbtxt.values import Values
from ensemblegen.places import At
from ensemblegen.targets import FIELDS_SINCE

_LATE = frozenset(way.rpartition(".")[2] for way in FIELDS_SINCE)


class Binder(Values):
    """Binds one text; what it has found is in its mappings afterwards."""

    # --- messages --------------------------------------------------------------------------------

    def message(self, block: Block, table: Table, message: Any, way: At) -> None:
        """Put what `block` says into `message`, which stands at `way`."""
        self.blocks[way] = (block.start, block.end)
        self.values.setdefault(way, (block.start, block.start + 1))
        self._odd(block.odd)
        seen: dict[str, Field] = {}
        for each in block.fields:
            slot = table.slots.get(each.name)
            if slot is None:
                self._unknown_field(each, table, way)
                continue
            at = (*way, slot.name)
            self.keys.setdefault(at, (each.start, each.end))
            if self.doubt[0] <= each.start < self.doubt[1]:
                self.unknown.add(at)
            if slot.name in _LATE:
                self._check_release(each, at)
            if self._fits(each, slot):
                self._field(each, slot, message, at, seen)

    def _field(self, each: Field, slot: Slot, message: Any, at: At, seen: dict[str, Field]) -> None:
        if slot.kind == "map":
            self._map(each, slot, message, at)
        elif slot.repeated:
            self._repeated(each, slot, message, at)
        elif self._is_first(each, slot, message, at, seen):
            self._single(each, slot, message, at)

    def _fits(self, each: Field, slot: Slot) -> bool:
        """Whether there is a value at all, and a colon where one is needed."""
        value = each.value
        if value is None:
            words = f"{slot.name} has no value"
            self.report.say("E120", each.start, each.end, words, Remedy(_example(slot)))
            return False
        if not each.colon and slot.table is None and not isinstance(value, Block):
            remedy = Remedy(f"write {slot.name}:", ":", each.end, each.end)
            self.report.say("E120", each.start, each.end, f"no ':' after {slot.name}", remedy)
        return True

    def _is_first(
        self, each: Field, slot: Slot, message: Any, at: At, seen: dict[str, Field]
    ) -> bool:
        """Whether the server would take this value beside those before it."""
        first = seen.setdefault(slot.name, each)
        if first is not each:
            line = self.report.lines.line(first.start)
            lost = not slot.presence and not _is_set(message, slot)
            if lost and at not in self.unknown:
                words = f"{slot.name} is given twice: only this value counts"
                remedy = Remedy(f"remove the one of line {line}")
                self.report.say("E127", each.start, each.end, words, remedy)
                return True
            words = f"{slot.name} is given twice"
            remedy = Remedy(f"it stands on line {line} already")
            self.report.say("E125", each.start, each.end, words, remedy)
            return False
        if not slot.oneof:
            return True
        other = seen.setdefault(f"oneof {slot.oneof}", each)
        if other is each:
            return True
        line = self.report.lines.line(other.start)
        words = f"{slot.name} and {other.name} exclude each other"
        remedy = Remedy(f"{other.name} stands on line {line}: keep one of the two")
        self.report.say("E126", each.start, each.end, words, remedy)
        return False

    def _unknown_field(self, each: Field, table: Table, way: At) -> None:
        if not each.name:
            return  # worded where it was read
        here = ".".join(str(part) for part in way if isinstance(part, str))
        remedy = wording.unknown_field(each.name, table, here)
        name = wording.shortened(each.name)
        words = f"{table.name} has no field '{name}'"
        if each.name[0] == "[":
            words, remedy = (
                f"{table.name} has no extension {wording.shortened(each.name)}",
                Remedy("remove it"),
            )
        self.report.say("E122", each.start, each.end, words, remedy)

    def _check_release(self, each: Field, at: At) -> None:
        since = FIELDS_SINCE.get(".".join(part for part in at if isinstance(part, str)))
        if since is None or self.target is None or self.target.has(since):
            return
        words = f"Triton {self.target.release} does not know {each.name}; {since} is the first"
        self.report.say("E504", each.start, each.end, words, Remedy("remove it, or serve with it"))

    # --- values ----------------------------------------------------------------------------------

    def _single(self, each: Field, slot: Slot, message: Any, at: At) -> None:
        value = each.value
        if isinstance(value, List):
            self._single_in_list(value, slot, at)
        elif slot.table is not None:
            if isinstance(value, Block):
                inner = getattr(message, slot.name)
                inner.SetInParent()
                self.message(value, slot.table, inner, at)
            else:
                self._no_message(value, slot, at)
        else:
            read = self._scalar(value, slot, at)
            if read is not None:
                setattr(message, slot.name, read)

    def _single_in_list(self, value: List, slot: Slot, at: At) -> None:
        self.unknown.add(at)
        end = value.end + 1 or value.start + 1
        remedy = Remedy("remove the brackets")
        if len(value.items) == 1 and value.end > 0 and not value.odd:
            inner = self.text[value.start + 1 : value.end].strip()
            remedy = Remedy("remove the brackets", inner, value.start, end)
            if "\n" in self.text[value.start : value.end]:
                remedy = Remedy("remove the brackets")
        words = f"{slot.name} takes one value, not a list"
        self.report.say("E123", value.start, end, words, remedy)

    def _repeated(self, each: Field, slot: Slot, message: Any, at: At) -> None:
        target = getattr(message, slot.name)
        value = each.value
        if isinstance(value, List):
            end = value.end + 1 or value.start + 1
            self.values.setdefault(at, (value.start, end))
            self._odd(value.odd)
            items = value.items
        else:
            assert value is not None  # noqa: S101 - as _fits says
            self.values.setdefault(at, (value.start, value.start + 1))
            items = [value]
            key = (*at, len(target))
            self.keys[key] = (each.start, each.end)
        for item in items:
            self._item(item, slot, target, at)

    def _item(self, item: Node, slot: Slot, target: Any, at: At) -> None:
        here = (*at, len(target))
        if slot.table is None:
            read = self._scalar(item, slot, here)
            if read is None:
                self.unknown.add(at)
            else:
                target.append(read)
        elif isinstance(item, Block):
            self.message(item, slot.table, target.add(), here)
        else:
            self._no_message(item, slot, at)

    def _no_message(self, value: Node | None, slot: Slot, at: At) -> None:
        """Something else where a message in braces must stand."""
        self.unknown.add(at)
        if value is None or self._is_open(value):
            return
        remedy = Remedy(f"write {slot.name} {{ ... }}")
        end = value.end + (not isinstance(value, Scalar))
        if isinstance(value, List):
            end = value.start + 1
            words = f"{slot.name} is a message in braces, not a list"
            if slot.repeated or slot.kind == "map":
                words = "a list in a list"
        else:
            shown = wording.shortened(self.text[value.start : value.end])
            words = f"{slot.name} is a message in braces, not {shown}"
        if isinstance(value, Scalar) and slot.table is not None:
            remedy = _wrapped(slot, slot.table, self.text, value) or remedy
        self.report.say("E123", value.start, end, words, remedy)

    # --- maps ------------------------------------------------------------------------------------

    def _map(self, each: Field, slot: Slot, message: Any, at: At) -> None:
        value = each.value
        assert value is not None  # noqa: S101 - as _fits says
        if isinstance(value, List):
            self.values.setdefault(at, (value.start, value.end + 1 or value.start + 1))
            self._odd(value.odd)
        else:
            self.values.setdefault(at, (value.start, value.start + 1))
        for item in value.items if isinstance(value, List) else [value]:
            if isinstance(item, Block):
                self._entry(item, slot, getattr(message, slot.name), at, each)
            else:
                self._no_message(item, slot, at)

    def _entry(self, block: Block, slot: Slot, target: Any, at: At, named: Field) -> None:
        assert slot.table is not None  # noqa: S101 - as the kind says
        self._odd(block.odd)
        fields: dict[str, Field] = {}
        for each in block.fields:
            inner = slot.table.slots.get(each.name)
            if inner is None:
                self._unknown_field(each, Table(slot.name, slot.table.slots), at)
                self.report.broken = True
            elif self._fits(each, inner) and self._is_first(each, inner, None, at, fields):
                fields[each.name] = each
        key = self._key(fields.get("key"), slot, at)
        if key is None or block.odd:
            self.unknown.add(at)
        if key is None:
            return
        here = (*at, key)
        if here in self.keys:
            self._again(here, fields.get("key"), named, slot)
        self._value(fields.get("value"), slot, target, here)
        found = fields.get("key")
        place = found.value if found is not None else None
        self.keys[here] = (place.start, place.end) if place else (named.start, named.end)
        self.values.setdefault(here, (block.start, block.start + 1))

    def _again(self, here: At, key: Field | None, named: Field, slot: Slot) -> None:
        place = key.value if key is not None and key.value is not None else named
        line = self.report.lines.line(self.keys[here][0])
        name = wording.shortened(str(here[-1]))
        words = f"{slot.name} has the key '{name}' twice: only this one counts"
        remedy = Remedy(f"it stands on line {line} already")
        if not self.doubt[0] <= named.start < self.doubt[1]:
            self.report.say("E127", place.start, place.end, words, remedy)

    def _key(self, key: Field | None, slot: Slot, at: At) -> str | int | None:
        assert slot.table is not None  # noqa: S101 - as the kind says
        inner = slot.table.slots["key"]
        if key is None:
            return "" if inner.kind == "string" else 0
        value = key.value
        if isinstance(value, Scalar) and value.kind == STRING and inner.kind == "string":
            read = self.string(value)
            waiting = placeholder(read)
            if waiting is not None:
                self.unknown.add((*at, read))
                self.placeholders.append((*value.parts[0], waiting))
            return read
        before = self.values.copy() if value is None else None
        found = self._scalar(value, inner, (*at, "key"))
        self.values.pop((*at, "key"), before)
        return found if isinstance(found, (str, int)) else None

    def _value(self, value: Field | None, slot: Slot, target: Any, here: At) -> None:
        assert slot.table is not None  # noqa: S101 - as the kind says
        inner = slot.table.slots["value"]
        node = value.value if value is not None else None
        if inner.table is not None:
            held = target[here[-1]]
            held.Clear()
            if isinstance(node, Block):
                self.message(node, inner.table, held, here)
            elif isinstance(node, List):
                self._single_in_list(node, inner, here)
            elif node is not None:
                self._no_message(node, inner, here)
        elif isinstance(node, List):
            self._single_in_list(node, inner, here)
        elif node is not None:
            read = self._scalar(node, inner, here)
            target[here[-1]] = "" if read is None else read
        else:
            target[here[-1]] = ""


def _is_set(message: Any, slot: Slot) -> bool:
    """Whether a field without presence holds more than its default; -0.0 is more, too."""
    if message is None:
        return True
    value = getattr(message, slot.name)
    return bool(value) or str(value) == "-0.0"


def _wrapped(slot: Slot, table: Table, text: str, value: Scalar) -> Remedy | None:
    """`value: "x"` of a parameter: the one field that the message has is what was meant."""
    if len(table.slots) != 1 or "\n" in text[value.start : value.end]:
        return None
    (name, inner), *_ = table.slots.items()
    word = text[value.start : value.end]
    if inner.kind == "string" and value.kind != STRING:
        word = f'"{word}"'
    if inner.repeated:
        word = f"[ {word} ]"
    shown = f"{{ {name}: {word} }}"
    fits = value.kind in (STRING, NUMBER) and inner.kind in ("string", "int")
    return Remedy(f"write {slot.name}: {shown}", shown if fits else None, value.start, value.end)


def _example(slot: Slot) -> str:
    if slot.table is not None:
        return f"write {slot.name} {{ ... }}"
    inner = {"string": '"..."', "bool": "true", "int": "1", "float": "1.0"}.get(slot.kind, "...")
    return f"write {slot.name}: [ {inner} ]" if slot.repeated else f"write {slot.name}: {inner}"
