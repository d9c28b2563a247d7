"""Small models and ensembles over them as config.pbtxt, and what the real server makes of them."""

from __future__ import annotations

import http.client
import itertools
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ensemblegen.engine.server import Options, Server

MODEL = '''\
import json

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Gives zeros in the shapes that its config declares; -1 is what the first input has there."""

    def initialize(self, args):
        self.config = json.loads(args["model_config"])

    def execute(self, requests):
        return [pb_utils.InferenceResponse(list(self.outputs(request))) for request in requests]

    def outputs(self, request):
        first = request.inputs()[0].shape() if request.inputs() else []
        for port in self.config["output"]:
            dims = [int(dim) for dim in port["dims"]]
            shape = [first[0], *dims] if self.config["max_batch_size"] else dims
            known = [*first, *([4] * len(shape))]
            shape = [known[i] if dim == -1 else dim for i, dim in enumerate(shape)]
            kind = pb_utils.triton_string_to_numpy(port["data_type"])
            yield pb_utils.Tensor(port["name"], np.zeros(shape, kind))
'''

_PORT = re.compile(r"(\w+):(\w+)\[([-\d,]*)\](~\[([-\d,]*)\])?(\?)?")


def port(field: str, text: str) -> str:
    """`NAME:FP32[4]`, `NAME:FP32[2,2]~[4]` with reshape, `NAME:FP32[4]?` optional."""
    match = _PORT.fullmatch(text)
    assert match, text
    name, kind, dims, _, reshape, optional = match.groups()
    parts = [f'{field} {{ name: "{name}" data_type: TYPE_{kind} dims: [{dims}]']
    if reshape is not None:
        parts.append(f"reshape {{ shape: [{reshape}] }}")
    return " ".join([*parts, "optional: true" if optional else "", "}\n"])


def _head(size: int, inputs: str, outputs: str) -> str:
    ports = [port("input", each) for each in inputs.split()]
    ports += [port("output", each) for each in outputs.split()]
    return f"max_batch_size: {size}\n" + "".join(ports)


def model(size: int, inputs: str, outputs: str, extra: str = "") -> str:
    kind = "instance_group { kind: KIND_CPU count: 1 }\n"
    return 'backend: "python"\n' + _head(size, inputs, outputs) + kind + extra


def ensemble(size: int, inputs: str, outputs: str, *steps: str, extra: str = "") -> str:
    """Steps as `model: KEY=tensor ... -> KEY=tensor ...`; `model@2:` pins a version, `@` none."""
    lines = ['platform: "ensemble"\n', _head(size, inputs, outputs), "ensemble_scheduling {\n"]
    for step in steps:
        name, _, maps = step.partition(":")
        name, pinned, version = name.partition("@")
        given, _, made = maps.partition("->")
        said = f"model_version: {version}" if version else "" if pinned else "model_version: -1"
        entries = [_entry("input_map", each) for each in given.split()]
        entries += [_entry("output_map", each) for each in made.split()]
        lines.append(f'  step {{ model_name: "{name}" {said} {" ".join(entries)} }}\n')
    return "".join([*lines, "}\n", extra])


def _entry(field: str, text: str) -> str:
    key, _, value = text.partition("=")
    return f'{field} {{ key: "{key}" value: "{value}" }}'


def put(root: Path, name: str, config: str, versions: Sequence[int] = (1,)) -> None:
    """A folder of a model; an ensemble gets no model.py."""
    for version in versions:
        folder = root / name / str(version)
        folder.mkdir(parents=True, exist_ok=True)
        if "platform" not in config:
            (folder / "model.py").write_text(MODEL)
    (root / name / "config.pbtxt").write_text(config)


class Rig:
    """A server in explicit mode: models at its start, ensembles one by one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        extra = ("--model-control-mode=explicit", "--load-model=*")
        self.server = Server.start(root, Options(extra=extra))

    def load(self, name: str, config: str) -> str | None:
        """None if it loads, else what the server says."""
        put(self.root, name, config)
        status, answer = self.ask("POST", f"/v2/repository/models/{name}/load", {})
        return None if status == http.client.OK else str(answer)

    def requests(self, name: str, leave_out: Sequence[str] = ()) -> dict[tuple[Any, ...], str]:
        """What each batch size from 1 to 3 and each subset of outputs leads to; "" is success.

        Keys are the batch size and the outputs asked for; open sizes of inputs are 4.
        """
        config = self.ask("GET", f"/v2/models/{name}/config")[1]
        most = config.get("max_batch_size", 0)
        outputs = list(dict.fromkeys(each["name"] for each in config["output"]))
        given = {each["name"]: each for each in config["input"] if each["name"] not in leave_out}
        found = {}
        for batch in [size for size in (1, 2, 3) if size <= most] or [0]:
            inputs = [_tensor(each, batch) for each in given.values()]
            for count in range(1, len(outputs) + 1):
                for subset in itertools.combinations(outputs, count):
                    wanted = [{"name": each} for each in subset]
                    body = {"inputs": inputs, "outputs": wanted}
                    status, answer = self.ask("POST", f"/v2/models/{name}/infer", body)
                    found[batch, subset] = "" if status == http.client.OK else str(answer)
        return found

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(self.server.http, timeout=5)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            text = response.read()
        except TimeoutError:
            return 0, "no answer"
        finally:
            connection.close()
        return response.status, json.loads(text) if text else None


def _tensor(declared: dict[str, Any], batch: int) -> dict[str, Any]:
    shape = [int(dim) if int(dim) > 0 else 4 for dim in declared["dims"]]
    shape = [batch, *shape] if batch else shape
    kind = declared["data_type"].removeprefix("TYPE_")
    return {
        "name": declared["name"],
        "datatype": kind,
        "shape": shape,
        "data": [0] * math.prod(shape),
    }
