"""The server's own words for why it did not start, picked out of what it wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable

# `E1121 02:25:49.470231 3972 model_lifecycle.cc:642] "message"`, or the ISO 8601 form.
_ENTRY = re.compile(r"^(?P<level>[EWIF])\d{4} [\d:.]+ +\d+ [\w.]+:\d+\] +(?P<message>.*)$")
_ROW = re.compile(r"^\| (?P<model>[^|]+?) +\| (?P<version>[^|]*?) +\| (?P<status>UNAVAIL.*?) +\|$")
_PORT = re.compile(r"Socket '(?P<socket>[^']+)' already in use")
_FAILED = re.compile(r"failed to load '(?P<model>[^']+)' version \d+: (?P<reason>.*)", re.DOTALL)
_POLL = re.compile(r"Poll failed for model directory '(?P<model>[^']+)': (?P<reason>.*)", re.DOTALL)
_ENSEMBLE = re.compile(
    r"(?:Invalid argument: )?(?P<reason>.*?\bensemble '?(?P<model>[^' ,]+)'?[ ,].*)", re.DOTALL
)
_STUCK = re.compile(
    r"Failed to preinitialize Python stub: (?P<reason>.*?'\S*/(?P<model>[^/']+)/\d+/[^/']+'.*)"
)
# The shell that starts a stub, a stub whose arguments the shell cut in pieces, and the loader that
# does not find a stub's libraries.
_SHELL = re.compile(
    r"^(?P<reason>bash: (?:-c: |line \d+: (?!.*command not found)).*|\s*what\(\): +stol\b.*"
    r"|\S*triton_python_backend_stub: .*(?:while loading shared libraries:|\(required by) .*)"
)
_STARTED = re.compile(r"Started (?P<service>HTTPService|GRPCInferenceService|Metrics Service) at ")
_PARSE = re.compile(r"Error parsing text-format [\w.]+: (?P<reason>.*)")
_NOISE = (
    "CudaDriverHelper",
    "unable to create stream",
    "failed to load all models",
    "Failed to create instance",  # said again with the model's name
)
_CONSEQUENCE = "which has no loaded version"
_FRAMES = re.compile(r"\n\s*At:\n(?P<frames>.*)", re.DOTALL)
_CLASS = re.compile(r"^Internal: \w+Error: ")
_OURS = "/ensemblegen/engine/"


def port_taken(lines: Iterable[str]) -> str | None:
    """The `host:port` that another program had, if that is what stopped the server."""
    found = (_PORT.search(line) for line in lines)
    return next((match["socket"] for match in found if match), None)


def reasons(lines: Iterable[str]) -> dict[str, str]:
    """Why each model failed, in the order of the log; the key is '' for the server itself."""
    found: dict[str, str] = {}
    parse_error = ""
    for level, message in entries(lines):
        if level != "E" or any(noise in message for noise in _NOISE):
            continue
        parsed = _PARSE.search(message)
        if parsed:
            parse_error = parsed["reason"]
            continue
        model, reason = _model_of(message)
        if "failed to read text proto" in reason and parse_error:
            reason = f"{reason.strip()}: {parse_error}"
        found.setdefault(model, _without_our_frames(reason))
    members = {model: reason for model, reason in found.items() if _CONSEQUENCE not in reason}
    return members or found or _rows(lines)


def stuck(lines: Iterable[str]) -> dict[str, str]:
    """Models whose Python stub gave up before it told the server, which waits for it for ever."""
    lines = list(lines)
    found = (_STUCK.search(line) for line in lines)
    by_model = {match["model"]: match["reason"] for match in found if match}
    shell = (_SHELL.match(line) for line in lines)
    unnamed = [
        f"a Python stub did not start: {match['reason'].strip()}" for match in shell if match
    ]
    return by_model or ({"": unnamed[0]} if unnamed else {})


def started(lines: Iterable[str]) -> set[str]:
    """The services that the server itself says it has opened."""
    found = (_STARTED.search(line) for line in lines)
    return {match["service"] for match in found if match}


def entries(lines: Iterable[str]) -> list[tuple[str, str]]:
    """The log as (level, message); lines that belong to an entry are joined to it."""
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        match = _ENTRY.match(line)
        if match:
            found.append((match["level"], [match["message"]]))
        elif line.startswith(("error: ", "[libprotobuf ERROR")):
            found.append(("E", [line.removeprefix("error: ")]))
        elif found and not line.startswith(("+", "|")):
            found[-1][1].append(line)
    return [(level, _unquoted("\n".join(rows))) for level, rows in found]


def _model_of(message: str) -> tuple[str, str]:
    for pattern in (_FAILED, _POLL, _ENSEMBLE):
        match = pattern.search(message)
        if match:
            return match["model"].rstrip("/").rpartition("/")[2], match["reason"].strip()
    return "", message.strip()


def _rows(lines: Iterable[str]) -> dict[str, str]:
    rows = (_ROW.match(line) for line in lines)
    return {
        row["model"].strip(): row["status"].partition(": ")[2] or row["status"]
        for row in rows
        if row
    }


def _without_our_frames(reason: str) -> str:
    """Frames of a stand-in backend tell the author of a pipeline nothing; those of a step do."""
    frames = _FRAMES.search(reason)
    if frames and all(_OURS in line for line in frames["frames"].splitlines() if line.strip()):
        return _CLASS.sub("", reason[: frames.start()]).rstrip()
    return reason


def _unquoted(text: str) -> str:
    inner = text.strip()
    if inner.startswith('"') and inner.endswith('"') and len(inner) > 1:
        inner = inner[1:-1]
    return inner.replace('\\"', '"').replace("\\n", "\n").replace("\\t", "\t").rstrip("; ")
