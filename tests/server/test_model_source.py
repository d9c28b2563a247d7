"""What `check` says of a model.py is what the real server does with it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ensemblegen.check import repository as rules
from ensemblegen.engine.server import Options, Server
from ensemblegen.repository.discover import read

CONFIG = """\
backend: "python"
input { name: "x" data_type: TYPE_FP32 dims: [ 2 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ 2 ] }
instance_group { kind: KIND_CPU }
"""
TWO = CONFIG + 'output { name: "z" data_type: TYPE_FP32 dims: [ 2 ] }\n'
START = """\
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
"""
EXECUTE = """\
    def execute(self, requests):
        responses = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("y", x)]))
        return responses
"""
GOOD = START + EXECUTE
CALL = """\
            call = pb_utils.InferenceRequest(
                model_name="{model}",
                requested_output_names=["{output}"],
                inputs=[pb_utils.Tensor("{input}", x)],
            ).exec()
            if call.has_error():
                raise pb_utils.TritonModelException(call.error().message())
"""


def calling(model: str, output: str, given: str) -> str:
    put = ".as_numpy()\n            responses"
    call = CALL.format(model=model, output=output, input=given)
    return GOOD.replace(put, f".as_numpy()\n{call}            responses")


SERVED = {
    "good": (CONFIG, GOOD),
    "lost_input": (CONFIG, GOOD.replace('"x"', '"xs"')),
    "dropped": (CONFIG, GOOD.replace('"y"', '"Y"')),
    "missing": (TWO, GOOD),
    "no_execute": (CONFIG, GOOD.replace("def execute", "def run")),
    "returns": (CONFIG + "model_transaction_policy { decoupled: true }\n", GOOD),
    "silent": (CONFIG, GOOD.replace("        return responses\n", "")),
    "lists": (CONFIG, GOOD.replace('Tensor("y", x)', 'Tensor("y", [1.0, 2.0])')),
    "dlpack": (
        CONFIG,
        GOOD.replace('Tensor("y", x)', 'Tensor.from_dlpack("y", np.abs(x))').replace(
            "import", "import numpy as np\nimport", 1
        ),
    ),
    "calls_nobody": (CONFIG, calling("nobody", "y", "x")),
    "calls_output": (CONFIG, calling("good", "z", "x")),
    "calls_input": (CONFIG, calling("good", "y", "w")),
}
REFUSED = {
    "no_class": (CONFIG, GOOD.replace("class TritonPythonModel", "class Model")),
    "no_python": (CONFIG, GOOD.replace("responses = []", "print requests")),
    "wants": (
        CONFIG,
        START
        + "    def initialize(self, args):\n"
        + "        import json\n"
        + '        config = json.loads(args["model_config"])\n'
        + "        if not pb_utils.using_decoupled_model_transaction_policy(config):\n"
        + '            raise pb_utils.TritonModelException("must be decoupled")\n\n'
        + EXECUTE,
    ),
    "lost_config": (
        CONFIG,
        START
        + "    def initialize(self, args):\n"
        + "        import json\n"
        + '        config = json.loads(args["model_config"])\n'
        + '        output = pb_utils.get_output_config_by_name(config, "Y")\n'
        + '        self.type = pb_utils.triton_string_to_numpy(output["data_type"])\n\n'
        + EXECUTE,
    ),
}
CODES = {
    "good": set(),
    "lost_input": {"E486"},
    "dropped": {"E487"},
    "missing": {"E488"},
    "no_execute": {"E482"},
    "returns": {"E484"},
    "silent": {"E483"},
    "lists": {"E491"},
    "dlpack": {"E491"},
    "calls_nobody": {"E489"},
    "calls_output": {"E490"},
    "calls_input": {"E490"},
    "no_class": {"E481"},
    "no_python": {"E480"},
    "wants": {"E484"},
    "lost_config": {"E486"},
}


def write(folder: Path, name: str) -> None:
    config, source = {**SERVED, **REFUSED}[name]
    (folder / name / "1").mkdir(parents=True)
    (folder / name / "config.pbtxt").write_text(config)
    (folder / name / "1" / "model.py").write_text(source)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("model_source") / "repository"
    write(folder, "good")
    extra = ("--model-control-mode=explicit", "--load-model=good")
    with Server.start(folder, Options(extra=extra)) as running:
        for name in CODES.keys() - {"good"}:
            write(folder, name)
        yield running
        running.stop(kill=True)


def post(
    server: Server, path: str, body: dict[str, Any] | None = None, seconds: float = 15
) -> tuple[int, str]:
    """Status and text; 0 if nothing comes in time."""
    asked = urllib.request.Request(
        f"http://{server.http}/v2/{path}", json.dumps(body or {}).encode(), method="POST"
    )
    try:
        with urllib.request.urlopen(asked, timeout=seconds) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except TimeoutError:
        return 0, ""


def infer(server: Server, name: str) -> tuple[int, str]:
    x = {"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2]}
    seconds = 2 if name == "silent" else 15
    return post(server, f"models/{name}/infer", {"inputs": [x]}, seconds)


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("good", 200, '"name":"y"'),
        ("lost_input", 500, "'NoneType' object has no attribute 'as_numpy'"),
        ("dropped", 200, '"outputs":[]'),
        ("missing", 200, '"name":"y"'),
        ("no_execute", 500, "does not implement `execute` method"),
        ("returns", 501, "decoupled transaction policy"),
        ("silent", 0, ""),
        ("lists", 500, "TypeError"),
        ("dlpack", 500, "is not healthy"),
        ("calls_nobody", 500, "Model 'nobody' is not ready"),
        ("calls_output", 500, "'z'"),
        ("calls_input", 500, "'w'"),
    ],
)
def test_served_and_wrong(name: str, status: int, words: str, server: Server) -> None:
    assert post(server, f"repository/models/{name}/load") == (200, "")
    answered, text = infer(server, name)
    assert (answered, words in text) == (status, True), text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_class", "has no attribute 'TritonPythonModel'"),
        ("no_python", "SyntaxError"),
        ("wants", "must be decoupled"),
        ("lost_config", "'NoneType' object is not subscriptable"),
    ],
)
def test_refused(name: str, words: str, server: Server) -> None:
    status, text = post(server, f"repository/models/{name}/load")
    assert status == 400
    assert words in text


@pytest.mark.parametrize("name", CODES)
def test_check_says_so(name: str, server: Server) -> None:
    (repository,) = read(server.repository.path)
    found = {each.code for each in rules.run(repository) if each.span and name in each.span.path}
    assert found == CODES[name]
