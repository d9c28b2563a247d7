"""What is said, and not said, of a model.py beside its config.

What the server does in each of these cases is in tests/server/test_model_source.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.check.repository.trees import codes, config, port, problems, write

CONFIG = config("python", [port("x")], [port("y")])
DECOUPLED = CONFIG + "\nmodel_transaction_policy { decoupled: true }\n"
GOOD = """\
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("y", x)]))
        return responses
"""
CALLING = GOOD.replace(
    "            responses.append",
    '            pb_utils.InferenceRequest(model_name="MODEL", requested_output_names=["y"],\n'
    '                inputs=[pb_utils.Tensor("x", x)]).exec()\n            responses.append',
)


@pytest.mark.parametrize(
    ("text", "source", "expected"),
    [
        (CONFIG, GOOD, []),
        (CONFIG, GOOD.replace('"x"', '"X"'), ["E486"]),
        (CONFIG, GOOD.replace('"y"', '"Y"'), ["E487"]),
        (CONFIG + f"\noutput {port('z')}", GOOD, ["E488"]),
        (CONFIG + f"\noutput {port('z')}", GOOD + 'NAMES = ["z"]\n', []),
        (CONFIG + f"\noutput {port('${z}')}", GOOD, []),
        (CONFIG, GOOD + "    @staticmethod\n    def auto_complete_config(c):\n        pass\n", []),
        (DECOUPLED, GOOD, ["E484"]),
        (DECOUPLED, GOOD.replace("return responses", "return"), []),
        (CONFIG + '\nplatform: "pytorch"', "import torch\n", []),
        (CONFIG.replace("python", "mine"), "nonsense here\n", []),
        (
            CONFIG + '\nsequence_batching { control_input { name: "START" control '
            "{ kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } } }",
            GOOD.replace('"x"', '"START"'),
            [],
        ),
    ],
)
def test_tensors(text: str, source: str, expected: list[str], tmp_path: Path) -> None:
    model = write(tmp_path / "model", text, {"1/model.py": source})
    assert [code for code in codes(model) if code.startswith("E48")] == expected


@pytest.mark.parametrize(
    ("called", "expected"),
    [("other", []), ("others", ["E489"]), ("narrow", ["E490"]), ("wide", ["E490"])],
)
def test_calls(called: str, expected: list[str], tmp_path: Path) -> None:
    imported = {"1/model.py": "from models import TritonPythonModel\n"}
    write(tmp_path / "other", CONFIG, imported)
    write(tmp_path / "narrow", config("python", [port("z")], [port("y")]), imported)
    write(tmp_path / "wide", config("python", [port("x"), port("w")], [port("y")]), imported)
    source = CALLING.replace("MODEL", called)
    write(tmp_path / "model", CONFIG, {"1/model.py": source})
    assert codes(tmp_path) == expected
    if called == "others":  # a model alone may be one of more
        assert codes(tmp_path / "model") == []


@pytest.mark.parametrize(("target", "expected"), [(None, []), ("24.10", ["E504"]), ("25.02", [])])
def test_parameters_of_responses(target: str | None, expected: list[str], tmp_path: Path) -> None:
    source = GOOD.replace('"y", x)]', '"y", x)], parameters={"a": 1}')
    model = write(tmp_path / "model", CONFIG, {"1/model.py": source})
    assert codes(model, target) == expected


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ('Tensor("y", [1.0])', ["E491"]),
        ('Tensor("y", np.array([1.0]))', []),
        ('Tensor("y", values)', []),
        ('Tensor.from_dlpack("y", np.zeros(4))', ["E491"]),
        ('Tensor.from_dlpack("y", tensor.cpu().numpy())', ["E491"]),
        ('Tensor.from_dlpack("y", torch.zeros(4))', []),
        ('Tensor.from_dlpack("y", to_dlpack(x))', []),
    ],
)
def test_what_tensors_are_made_of(made: str, expected: list[str], tmp_path: Path) -> None:
    source = "import numpy as np\n" + GOOD.replace('Tensor("y", x)', made)
    model = write(tmp_path / "model", CONFIG, {"1/model.py": source})
    assert codes(model) == expected


def test_the_place_is_in_the_source(tmp_path: Path) -> None:
    source = GOOD.replace('"x"', '"X"')
    model = write(tmp_path / "model", CONFIG, {"1/model.py": source})
    (problem,) = problems(model)
    assert str(problem.span) == f"{model}/1/model.py:8:60"
