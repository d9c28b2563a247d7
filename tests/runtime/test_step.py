from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest

X, Y = {"x": ("fp32", [1])}, {"y": ("fp32", [1])}
ONE = {"x": numpy.ones((1, 1), numpy.float32)}


def test_a_class_is_made_once_with_its_context(make_model: Any, triton: Any) -> None:
    code = """
        class Work:
            made = 0
            def __init__(self, context):
                Work.made += 1
                self.context = context
                context.logger.info("made with %s", context.parameters["factor"])
            def __call__(self, x):
                return x * self.context.parameters["factor"]
            def finalize(self):
                self.context.logger.warning("gone: 100%")
    """
    model = make_model(code, X, Y, attribute="Work", parameters={"factor": 3})
    assert [model.ask(ONE)[0]["y"].item() for _ in range(2)] == [3, 3]
    assert model.step.made == 1
    context = model.step.context
    assert (context.device, context.device_id) == ("cpu", 0)
    assert context.directory.name == "assets"
    assert context.directory.is_dir()
    model.python.finalize()
    prefix = "[demo.work pipeline.yaml:12]"
    assert triton.Logger.lines[-2:] == [
        ("info", f"{prefix} made with 3"),
        ("warn", f"{prefix} gone: 100%"),
    ]


def test_a_class_need_not_take_a_context(make_model: Any) -> None:
    code = """
        class Work:
            def __call__(self, x):
                return x
            def close(self):
                self.closed = True
    """
    model = make_model(code, X, Y, attribute="Work")
    assert model.ask(ONE)[0].error is None
    model.python.finalize()
    assert model.step.closed


def test_a_function_may_take_the_context(make_model: Any) -> None:
    code = "def step(x, context):\n    return x * context.parameters['factor']"
    model = make_model(code, X, Y, parameters={"factor": 5})
    assert model.ask(ONE)[0]["y"].item() == 5
    model.python.finalize()


@pytest.mark.parametrize("package", [True, False])
def test_files_of_the_folder_import_each_other(make_model: Any, package: bool) -> None:
    files = {
        "step.py": "from .features import double\nfrom . import deep\nstep = double",
        "features.py": "from .deep.constants import TWO\ndef double(x):\n    return x * TWO",
        "deep/constants.py": "import numpy\nTWO = numpy.float32(2)",
    }
    if package:
        files |= {"__init__.py": "HERE = True", "deep/__init__.py": ""}
    model = make_model(files, X, Y)
    assert model.ask(ONE)[0]["y"].item() == 2
    assert hasattr(sys.modules["steps_folder"], "HERE") is package


def test_the_folder_wins_over_an_installed_package(
    make_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "site-packages" / "steps_folder"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    (installed / "step.py").write_text("def step(x):\n    raise RuntimeError('installed')")
    monkeypatch.syspath_prepend(str(installed.parent))
    importlib.import_module("steps_folder.step")
    model = make_model({"step.py": "def step(x):\n    return x"}, X, Y)
    assert model.ask(ONE)[0].error is None


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def stepp(x):\n    return x", "steps_folder/step.py has no 'step'; did you mean 'stepp'"),
        ("def step(y):\n    return y", r"'step' takes \(y\), but its inputs are \['x'\]"),
        ("def step(x, other):\n    return x", "'step' requires 'other', but its inputs are"),
        ("def step(x, /):\n    return x", "'step' takes"),
        ("async def step(x):\n    return x", "'step' is async"),
        ("step = 3", "'int' has no __call__ method"),
        ("class step:\n    pass", "'step' has no __call__ method"),
        (
            "class step:\n    def __call__(self):\n        pass",
            r"'step' takes \(\), but its inputs",
        ),
        (
            "class step:\n    def __init__(self, context):\n        open('/nowhere')\n",
            r"^\[demo.work pipeline.yaml:12\] FileNotFoundError: .*'/nowhere' \(step.py:3\)$",
        ),
        (
            "class step:\n    def __init__(self, context):\n        raise ValueError('no asset')\n",
            r"^\[demo.work pipeline.yaml:12\] no asset$",
        ),
        ("import no_such_module", r"ModuleNotFoundError: No module named 'no_such_module' \(step"),
        ("def step(x:\n", "SyntaxError"),
    ],
)
def test_what_fails_at_load(make_model: Any, triton: Any, code: str, message: str) -> None:
    with pytest.raises(triton.TritonModelException, match=message):
        make_model(code, X, Y)


def test_a_missing_folder(make_model: Any, triton: Any) -> None:
    with pytest.raises(triton.TritonModelException, match=r"folder .* does not exist"):
        make_model({}, X, Y)


@pytest.mark.parametrize(
    "code",
    [
        "def step(**inputs):\n    return inputs['x']",
        "def step(x, other=1, *, requested=None):\n    return x",
        "class Work:\n    def __call__(self, x):\n        return x\nstep = Work()",
        "import functools\ndef work(a, x):\n    return x\nstep = functools.partial(work, 1)",
    ],
)
def test_other_callables(make_model: Any, code: str) -> None:
    assert make_model(code, X, Y).ask(ONE)[0].error is None
