"""What is certain about a model.py, and what is not."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemblegen.artifacts import model_source
from ensemblegen.artifacts.model_source import ModelSource, NotPythonError

HEAD = "import json\nimport triton_python_backend_utils as pb_utils\n"


def read(body: str, head: str = HEAD) -> ModelSource:
    source = model_source.read(head + textwrap.dedent(body))
    assert source is not None
    return source


def names(mentions: tuple[model_source.Mention, ...]) -> list[str]:
    return [mention.name for mention in mentions]


def execute(*lines: str) -> str:
    inner = "\n".join(f"            {line}" for line in lines)
    return (
        "class TritonPythonModel:\n"
        "    def execute(self, requests):\n"
        "        responses = []\n"
        f"        for request in requests:\n{inner}\n"
        "        return responses\n"
    )


ASK = 'pb_utils.get_input_tensor_by_name(request, "x")'


def test_places_count_characters() -> None:
    source = read(execute(f"é = {ASK.replace('x', 'größe')}.as_numpy()"))
    (mention,) = source.inputs
    assert (mention.name, mention.line) == ("größe", 7)
    text = (HEAD + execute(f"é = {ASK.replace('x', 'größe')}.as_numpy()")).splitlines()[6]
    assert text[mention.column - 1 : mention.end_column - 1] == '"größe"'


@pytest.mark.parametrize(
    "code",
    [
        'NAME = "x"\n' + execute(f"x = {ASK.replace(chr(34) + 'x' + chr(34), 'NAME')}"),
        execute('name = "x"', f"x = {ASK.replace(chr(34) + 'x' + chr(34), 'name')}"),
        execute(f"x = {ASK.replace(chr(34) + 'x' + chr(34), 'self.name')}")
        + '    def initialize(self, args):\n        self.name = "x"\n',
        execute(f"x = {ASK.replace(chr(34) + 'x' + chr(34), 'self.NAME')}") + '    NAME = "x"\n',
        execute(f"x = {ASK}"),
        execute(f"x = {ASK}.as_numpy().astype(float)"),
        execute(f"x = {ASK.replace('request, ', 'request, name=')}"),
    ],
)
def test_names_that_are_known(code: str) -> None:
    assert names(read(code).inputs) == ["x"]


@pytest.mark.parametrize(
    "code",
    [
        # none of these names is certain
        'NAME = "x"\nNAME = "y"\n'
        + execute("x = pb_utils.get_input_tensor_by_name(request, NAME)"),
        execute("for name in self.names: x = pb_utils.get_input_tensor_by_name(request, name)"),
        execute('x = pb_utils.get_input_tensor_by_name(request, f"x{i}")'),
        'if fast:\n    N = "a"\nelse:\n    N = "b"\n'
        + execute("x = pb_utils.get_input_tensor_by_name(request, N)"),
        execute("x = pb_utils.get_input_tensor_by_name(request, self.name)")
        + '    name = "x"\n    def set(self, name):\n        self.name = name\n',
        "def get(request, name='x'):\n    t = pb_utils.get_input_tensor_by_name(request, name)\n",
        'def f():\n    global N\n    N = "y"\nN = "x"\n'
        + execute("x = pb_utils.get_input_tensor_by_name(request, N)"),
        "from names import N\n" + execute("x = pb_utils.get_input_tensor_by_name(request, N)"),
        # these are handled where they are missing
        execute(f"x = {ASK}", "if x is not None: x = x.as_numpy()"),
        execute(f"x = {ASK}", "y = x.as_numpy() if x else 0"),
        execute(f"x = {ASK}", "y = x and x.as_numpy()"),
        execute(f"if (x := {ASK}) is not None: pass"),
        execute(f"if {ASK}: pass"),
        execute("if self.has_x:", f"    x = {ASK}.as_numpy()"),
        execute("try:", f"    x = {ASK}.as_numpy()", "except AttributeError:", "    x = None"),
        "def get(request):\n    return " + ASK + "\n",
        execute(f"x = read({ASK})"),
    ],
)
def test_names_that_are_not(code: str) -> None:
    assert read(code).inputs == ()


@pytest.mark.parametrize(
    ("line", "outputs", "all_of_them"),
    [
        ('r = pb_utils.InferenceResponse([pb_utils.Tensor("y", y)])', ["y"], True),
        ('r = pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("y", y)])', ["y"], True),
        (
            't = pb_utils.Tensor.from_dlpack("y", y)\nr = pb_utils.InferenceResponse([t])',
            ["y"],
            True,
        ),
        (
            'a = []\na.append(pb_utils.Tensor("y", y))\nr = pb_utils.InferenceResponse(a)',
            ["y"],
            True,
        ),
        ("r = pb_utils.InferenceResponse(call.output_tensors())", [], False),
        ('r = pb_utils.InferenceResponse([pb_utils.Tensor("y", y), other])', ["y"], False),
        (
            'a = [pb_utils.Tensor("y", y)]\na.extend(b)\nr = pb_utils.InferenceResponse(a)',
            ["y"],
            False,
        ),
        ('a = [pb_utils.Tensor("y", y)]\na += b\nr = pb_utils.InferenceResponse(a)', [], False),
        ("r = pb_utils.InferenceResponse([pb_utils.Tensor(n, y) for n in names])", [], False),
        ('t = torch.Tensor("y")\nr = pb_utils.InferenceResponse([t])', [], False),
        ('e = pb_utils.InferenceResponse(error=pb_utils.TritonError("y"))', [], False),
        (
            'r = pb_utils.InferenceResponse([pb_utils.Tensor("y", y)])\n'
            "e = pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(''))",
            ["y"],
            True,
        ),
        (
            'q = pb_utils.InferenceRequest(model_name="m", inputs=[pb_utils.Tensor("i", x)])\n'
            'r = pb_utils.InferenceResponse([pb_utils.Tensor("y", y)])',
            ["y"],
            True,
        ),
        ('r = pb_utils.InferenceResponse(*a)', [], False),
    ],
)  # fmt: skip
def test_outputs(line: str, outputs: list[str], all_of_them: bool) -> None:
    source = read(execute(*line.split("\n")))
    assert (names(source.outputs), source.all_outputs) == (outputs, all_of_them)


def test_other_ways_to_import() -> None:
    head = "from triton_python_backend_utils import Tensor as T, InferenceResponse\n"
    source = read(execute('r = InferenceResponse([T("y", y)])'), head)
    assert names(source.outputs) == ["y"]


def test_calls() -> None:
    source = read(
        execute(
            "q = pb_utils.InferenceRequest(",
            '    model_name="scale", requested_output_names=["y", other],',
            '    inputs=[pb_utils.Tensor("x", x)])',
            'q = pb_utils.InferenceRequest(model_name=name, inputs=[pb_utils.Tensor("x", x)])',
            'q = pb_utils.InferenceRequest(model_name="copy", inputs=request.inputs())',
        )
    )
    scale, copy = source.calls
    assert (scale.model.name, names(scale.outputs), scale.inputs and names(scale.inputs)) == (
        "scale", ["y"], ["x"],
    )  # fmt: skip
    assert (copy.model.name, copy.inputs) == ("copy", None)


@pytest.mark.parametrize(
    "body",
    [
        "from model_base import TritonPythonModel\n",
        "from model_base import *\n",
        "from model_base import Model as TritonPythonModel\n",
        "from model_base import Model\nTritonPythonModel = Model\n",
        "try:\n    from a import TritonPythonModel\nexcept ImportError:\n    pass\n",
        "globals()['Triton' + 'PythonModel'] = object\n",
        "if True:\n    class TritonPythonModel:\n        def execute(self, r): return []\n",
    ],
)
def test_the_class_may_come_from_elsewhere(body: str) -> None:
    model = read(body).model
    assert not model.missing
    assert not model.lacks_execute


@pytest.mark.parametrize(
    "body",
    [
        "class TritonPythonModel(Base):\n    pass\n",
        "@decorated\nclass TritonPythonModel:\n    pass\n",
        "class TritonPythonModel(metaclass=M):\n    pass\n",
        "class TritonPythonModel:\n    execute = run\n",
        "class TritonPythonModel:\n    async def execute(self, requests):\n        return []\n",
        "class TritonPythonModel:\n    def __init__(self):\n        self.execute = f\n",
        "class TritonPythonModel:\n    from steps import execute\n",
        "class TritonPythonModel:\n    if True:\n        def execute(self, requests):\n"
        "            return []\n",
        "class TritonPythonModel:\n    def __getattr__(self, name):\n        return f\n",
    ],
)
def test_execute_may_come_from_elsewhere(body: str) -> None:
    assert not read(body).model.lacks_execute


def test_execute_that_returns_nothing() -> None:
    body = execute("x = 1").replace("        return responses\n", "")
    assert read(body).model.silent == 4
    assert read(body.replace("x = 1", "self.answer(request)")).model.silent is None
    assert read(body.replace("x = 1", "raise NotImplementedError")).model.silent is None
    assert read(body.replace("x = 1", "yield 1")).model.silent is None
    assert read(body.replace("x = 1", "request.get_response_sender()")).model.silent is None
    assert read(body.replace("x = 1", "self.queue.put((request, 1))")).model.silent is None
    assert read(body.replace("x = 1", "kept = request")).model.silent is None
    assert read(body + "        return None\n").model.silent == 4


def test_python_says_where() -> None:
    with pytest.raises(NotPythonError, match="print") as raised:
        model_source.read("x = 1\n  \nprint x\n")
    assert (raised.value.line, raised.value.column) == (3, 1)


@pytest.mark.parametrize(
    "text",
    ["{% if fast %}\nx = 1\n{% endif %}\n", "model = {{ name }} + ${x}\n", "\0", "x = 1\0\n"],
)
def test_templates_and_odd_files_are_not_judged(text: str) -> None:
    assert model_source.read(text) is None


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(max_size=80),
        st.lists(
            st.sampled_from(
                [HEAD, *execute(f"x = {ASK}", "r = pb_utils.InferenceResponse([x])").split("\n"),
                 "x = [", "def f(*a, **k):", "    lambda: (yield)", "pb_utils.Tensor(*a)"]
            ),
            max_size=12,
        ).map("\n".join),
    )
)  # fmt: skip
def test_any_text(text: str) -> None:
    line = column = 1
    try:
        model_source.read(text)
    except NotPythonError as error:
        line, column = error.line, error.column
    assert 1 <= line <= len(model_source.lines_of(text))
    assert column >= 1
