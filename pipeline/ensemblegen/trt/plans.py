"""Plans of recipes: built with trtexec where it is, kept, or left to the machine that serves.

before  a Plan (of a pipeline) whose TensorRT members say how their plans are built
after   the same Plan with those plans, or as it was where that is to happen elsewhere

A plan depends on the ONNX file, the arguments, the version of TensorRT and the GPU, and is kept in
`<cache>/plans/<key>.plan` under a hash of all of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ensemblegen.backends.tensorrt import FILE
from ensemblegen.content import Linked
from ensemblegen.environments import store
from ensemblegen.errors import InputError, MachineError, Problem
from ensemblegen.members import Member
from ensemblegen.members.recipe import Built, Recipe
from ensemblegen.members.tensorrt import recipe_of, recipes, with_plan
from ensemblegen.plan import Plan
from ensemblegen.trt import build_plan

How = Literal["build", "look", "defer"]
"""build: make what is not kept; look: only what is kept counts; defer: leave it to the target."""
Watch = Callable[[str], AbstractContextManager[object]]
"""Called with what is done, and entered while it lasts."""

_VERSION = re.compile(rb"TensorRT v(\d+)")
_TAIL = 12
"""Lines of trtexec's log that a problem shows."""
_QUERY = ("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")


@dataclass(frozen=True, slots=True)
class Trtexec:
    """The program of this machine, and what its plans are for."""

    program: str
    version: str
    """`10.5.0`, or as it says it where that is something else."""
    gpu: str


def build(plan: Plan, how: How, watch: Watch) -> Plan:
    """`plan` with the plans of its recipes.

    InputError where one is neither kept nor can be built, with trtexec's last words.
    """
    wanted = list(recipes(member for each in plan.all() for member in each.members))
    if how == "defer":
        _require_portable(wanted)
    if how == "defer" or not wanted:
        return plan
    program = find()
    if program is None:
        raise InputError([_missing(member, recipe) for member, recipe in wanted])
    made = {each.model: _made(each, recipe, program, how, watch) for each, recipe in wanted}
    return _with(plan, made)


def find() -> Trtexec | None:
    """The trtexec of this machine; None where it, or a GPU for it to build for, is not.

    MachineError where it is here and cannot be started.
    """
    program = build_plan.find()
    gpu = _gpu()
    if program is None or gpu is None:
        return None
    try:
        told = subprocess.run(
            [program, "--help"], capture_output=True, stdin=subprocess.DEVNULL, check=False
        ).stdout
    except OSError as error:
        raise MachineError(f"cannot start {program}: {error.strerror or error}") from error
    match = _VERSION.search(told)
    version = match[1].decode() if match else hashlib.sha256(told).hexdigest()[:12]
    return Trtexec(program, _dotted(version), gpu)


def _dotted(version: str) -> str:
    """`100500` as 10.5.0, `8601` as 8.6.1: TensorRT's own way to write them as one number."""
    if not version.isdigit() or len(version) < 4:
        return version
    number, base = int(version), 100 if len(version) > 4 else 10
    return f"{number // (100 * base)}.{number // 100 % base}.{number % 100}"


def _gpu() -> str | None:
    """The name of the first GPU."""
    try:
        listed = subprocess.run(_QUERY, capture_output=True, text=True, check=False)
    except OSError:
        return None
    names = listed.stdout.splitlines() if listed.returncode == 0 else []
    return names[0].strip() if names else None


def _with(plan: Plan, made: Mapping[str, Built]) -> Plan:
    """`plan` with what was made for its models, by name."""
    members = tuple(
        with_plan(member, made[member.model]) if recipe_of(member) else member
        for member in plan.members
    )
    return replace(plan, members=members, inner=tuple(_with(each, made) for each in plan.inner))


def _made(member: Member, recipe: Recipe, program: Trtexec, how: How, watch: Watch) -> Built:
    folder = store.folder() / "plans"
    kept = folder / f"{_key(recipe, program)}.plan"
    if kept.is_file():
        return Built(Linked(kept), program.version, program.gpu, None)
    if how == "look":
        message = f"the plan of '{member.step}' is not built yet"
        hint = "compile without --dry-run and --check: that builds it"
        raise InputError([Problem("E496", message, recipe.span, hint)])
    began = time.monotonic()
    with watch(f"building the plan of '{member.step}' with trtexec {program.version}"):
        _run(member, recipe, program, kept)
    return Built(Linked(kept), program.version, program.gpu, time.monotonic() - began)


def _run(member: Member, recipe: Recipe, program: Trtexec, kept: Path) -> None:
    """Put the plan at `kept`, whole; where that fails, the log stays beside it."""
    log = kept.with_suffix(".log")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".build-") as scratch:
            made = Path(scratch, FILE)
            with log.open("wb") as words:
                command = recipe.command(str(recipe.onnx.resolve()), str(made))
                build_plan.run(program.program, command[1:], recipe.folder.resolve(), words)
            made.chmod(0o444)  # repositories hold second names of it
            os.replace(made, kept)  # noqa: PTH105 - over what another process built meanwhile
    except build_plan.BuildError as error:
        message = f"the plan of '{member.step}' cannot be built: {error}{_tail(log)}"
        hint = f"trtexec's whole log is {log}"
        raise InputError([Problem("E496", message, recipe.span, hint)]) from error
    except OSError as error:
        message = f"cannot keep plans in {kept.parent}: {error.strerror or error}"
        hint = "free some disk space, or set ENSEMBLEGEN_CACHE to a folder with more"
        raise MachineError(message, hint) from error
    log.unlink(missing_ok=True)


def _tail(log: Path) -> str:
    with contextlib.suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "".join(f"\n{line.rstrip()}" for line in lines[-_TAIL:] if line.strip())
    return ""


def _key(recipe: Recipe, program: Trtexec) -> str:
    """A hash of all that the plan depends on."""
    contents = [Linked(each).sha256 for each in (recipe.onnx, *recipe.weights, *recipe.named)]
    whole = [contents, recipe.arguments, program.version, program.gpu]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:32]


def _missing(member: Member, recipe: Recipe) -> Problem:
    lacking = "trtexec is not on PATH" if build_plan.find() is None else "no GPU is here"
    command = shlex.join(recipe.command(str(recipe.onnx), FILE))
    message = (
        f"the plan of '{member.step}' must be built on the kind of GPU that serves it, and "
        f"{lacking}. What builds it:\n{command}"
    )
    hint = (
        f"compile there, for example in {recipe.container}; or here with --defer-plans; or run "
        f"that command there, and write `tensorrt: {FILE}`"
    )
    return Problem("E496", message, recipe.span, hint)


def _require_portable(members: Iterable[tuple[Member, Recipe]]) -> None:
    """InputError where a command names files that would not go along."""
    problems = [
        Problem("E494", f"a flag names {recipe.named[0]}, which does not go along", recipe.span,
                "build the plan here, or do without the file")
        for _, recipe in members if recipe.named
    ]  # fmt: skip
    if problems:
        raise InputError(problems)


def pending(repository: Path) -> dict[str, Path]:
    """The models of a compiled repository whose plans are not built, each with its builder."""
    found = (order.parent for order in sorted(repository.glob(f"*/{build_plan.ORDER}")))
    return {
        folder.name: folder / build_plan.NAME
        for folder in found
        if not (folder / "1" / FILE).is_file()
    }
