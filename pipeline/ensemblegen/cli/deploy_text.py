"""How plans, steps and states of a deployment look."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ensemblegen.cli.render import Format, console, print_error, print_json, stderr_console
from ensemblegen.deploy.call import Call
from ensemblegen.deploy.plan import Step, Wait
from ensemblegen.deploy.upload import Upload
from ensemblegen.errors import EnsemblegenError

if TYPE_CHECKING:
    from rich.console import Console


class Lines:
    """Progress, a line a step and a line a change of status; silent without a console."""

    def __init__(self, out: Console | None) -> None:
        self._out = out
        self._last = ""

    def step(self, number: int, of: int, step: Step) -> None:
        self._last = ""
        self._print(f"{number}/{of}  {_title(step)}")

    def sent(self, done: int, total: int) -> None:
        self._print(f"      {done / 1e6:.1f} of {total / 1e6:.1f} MB")

    def status(self, status: str, seconds: float) -> None:
        if status != self._last:
            self._last = status
            self._print(f"      {status} after {seconds:.0f} s")

    def failed(self, error: EnsemblegenError) -> None:
        if self._out is not None:
            print_error(error, Format.human)

    def _print(self, text: str) -> None:
        if self._out is not None:
            self._out.print(text, markup=False)


def _title(step: Step) -> str:
    if isinstance(step, Wait):
        return f"wait until {step.endpoint} is {step.until}"
    if isinstance(step, Upload):
        return f"upload {step.path} to s3://{step.bucket}/{step.key}"
    return f"{step.service} {step.operation} {_name(step.parameters)}".rstrip()


_NAMES = ("ModelName", "EndpointName", "EndpointConfigName", "AlarmName", "PolicyName",
          "ResourceId", "Key")  # fmt: skip


def _name(parameters: Mapping[str, Any]) -> str:
    return next((str(parameters[key]) for key in _NAMES if key in parameters), "")


def plan(steps: Sequence[Step], what: str, format: Format) -> None:
    """Every call with its parameters, in its order."""
    if format is Format.json:
        print_json({"ok": True, "calls": as_json(steps)})
        return
    out = console()
    if not steps:
        out.print(f"{what}: nothing to do", markup=False)
        return
    rows = as_json(steps)
    out.print(f"{what}: {len(rows)} steps; nothing is changed by --plan", markup=False)
    for number, row in enumerate(rows, 1):
        times = f" x {row['times']}" if row["times"] > 1 else ""
        why = f"  ({row['why']})" if row["why"] else ""
        out.print(f"{number:>3}  {row['service']} {row['operation']}{times}{why}", markup=False)
        for key, value in row["parameters"].items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            out.print(f"       {key}: {text}", markup=False)


def as_json(steps: Iterable[Step]) -> list[dict[str, Any]]:
    return [_row(call, times) for step in steps for call, times in _calls(step)]


def _calls(step: Step) -> Iterator[tuple[Call, int]]:
    if isinstance(step, Wait):
        named = {"EndpointName": step.endpoint}
        yield (
            Call("sagemaker", "describe_endpoint", named, f"again and again until {step.until}"),
            1,
        )
    elif isinstance(step, Upload):
        yield from step.calls()
    else:
        yield step, 1


def _row(call: Call, times: int) -> dict[str, Any]:
    return {
        "service": call.service,
        "operation": call.operation,
        "times": times,
        "why": call.why,
        "parameters": dict(call.parameters),
    }


def status(told: Mapping[str, Any]) -> None:
    out = console()
    if told["status"] is None:
        out.print(f"there is no endpoint {told['endpoint']}", markup=False)
    else:
        out.print(f"{told['endpoint']}  {told['status']}", markup=False)
    for label, text in _facts(told):
        out.print(f"  {label:<12} {text}", markup=False)
    for line in told["log"]:
        out.print(f"  | {line}", markup=False)
    _leftovers(told["leftovers"], "left over, removed by the next deploy or delete")


def _facts(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if told["failure"]:
        yield "failure", told["failure"]
    if told["instances"]:
        machines = told["instances"]
        yield "machines", f"{machines['current']} of {machines['desired']} x {machines['type']}"
    if told["model"]:
        yield "model", f"{told['model']['name']}, {told['model']['mode']}"
        yield "image", str(told["model"]["image"])
        yield "data", str(told["model"]["data"])
    if told["autoscaling"]:
        scaling = told["autoscaling"]
        per = scaling["invocations_per_minute"]
        yield "autoscaling", f"{scaling['min']} to {scaling['max']}, at {per} a minute each"
    for name, state in told["alarms"].items():
        yield "alarm", f"{name}: {state}"


def outputs(told: Mapping[str, Any]) -> None:
    for name, value in told.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        console().print(f"{name}  {text}", markup=False)


def deleted(told: Mapping[str, Any]) -> None:
    if told["remains"]:
        _leftovers(told["remains"], f"of {told['endpoint']} this remains")
    elif told["removed"]:
        console().print(f"{told['endpoint']} is gone, and nothing is billed for it", markup=False)
    else:
        console().print(f"there is nothing of {told['endpoint']}", markup=False)
    if not told["archives_looked_for"]:
        text = "archives were not looked for: say --bucket, or --config with the file it came from"
        stderr_console().print(text, markup=False)


def _leftovers(lines: Sequence[str], title: str) -> None:
    if lines:
        console().print(f"{title}:")
        for line in lines:
            console().print(f"  {line}", markup=False)
