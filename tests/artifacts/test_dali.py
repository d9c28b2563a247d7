"""DALI pipelines: the serialized ones read, the defined ones made; with DALI's own word for it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemblegen.artifacts import dali, dali_definition
from ensemblegen.artifacts.dali import End, NotDaliError
from ensemblegen.artifacts.dali_definition import Call, DefinitionError, NoDaliError
from ensemblegen.types import DType
from tests.artifacts import dali_wire as wire

DECODE = b"""
from nvidia.dali import fn, pipeline_def, types

@pipeline_def(output_dtype=[types.FLOAT], output_ndim=[3])
def decode(device, size):
    encoded = fn.external_source(name="encoded", dtype=types.UINT8, ndim=1)
    images = fn.decoders.image(encoded, device="mixed" if device == "gpu" else "cpu")
    return fn.resize(images, resize_x=size, resize_y=size, dtype=types.FLOAT)

def plain():
    return fn.external_source(name="any"), fn.external_source(name="thing")

def _private():
    raise RuntimeError

@pipeline_def
def on_gpu():
    return fn.external_source(name="any").gpu()
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("ENSEMBLEGEN_CACHE", str(folder))
    return folder


def call(function: str, **parameters: Any) -> Call:
    return Call("definitions.py", function, 8, 2, parameters)


def test_ends() -> None:
    pipeline = dali.parse(wire.TWO)
    assert pipeline.inputs == (End("encoded", "cpu", DType.UINT8, 1),)
    assert pipeline.outputs == (End("image", "cpu", DType.UINT8, 3), End("size", "cpu", None, None))
    assert not pipeline.gpu


def test_what_needs_a_gpu() -> None:
    pipeline = dali.parse(wire.MIXED)
    assert pipeline.gpu
    assert [each.device for each in pipeline.outputs] == ["gpu"]


@given(st.integers(0, len(wire.TWO) - 1), st.binary(max_size=4))
def test_any_bytes(at: int, junk: bytes) -> None:
    with contextlib.suppress(NotDaliError):
        dali.parse(wire.TWO[:at] + junk + wire.TWO[at + len(junk) :])


def test_a_definition_for_both_devices() -> None:
    made = dali_definition.serialize(call("decode", size=32), DECODE)
    cpu, gpu = dali.parse(made["cpu"]), dali.parse(made["gpu"])
    assert cpu.inputs == gpu.inputs == (End("encoded", "cpu", DType.UINT8, 1),)
    assert [(each.dtype, each.ndim) for each in cpu.outputs] == [(DType.FP32, 3)]
    assert ([each.device for each in cpu.outputs], cpu.gpu) == (["cpu"], False)
    assert ([each.device for each in gpu.outputs], gpu.gpu) == (["gpu"], True)


def test_a_definition_that_is_the_same_everywhere() -> None:
    made = dali_definition.serialize(call("plain"), DECODE)
    assert list(made) == ["dali"]
    pipeline = dali.parse(made["dali"])
    assert [(each.name, each.dtype) for each in pipeline.inputs] == [("any", None), ("thing", None)]
    assert len(pipeline.outputs) == 2
    assert not pipeline.gpu
    (alone,) = dali_definition.serialize(call("on_gpu"), DECODE).values()
    assert [each.device for each in dali.parse(alone).outputs] == ["gpu"]


def test_made_twice_is_byte_identical(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No path, line or clock of this run is in it."""
    first = dali_definition.serialize(call("decode", size=32), DECODE)
    monkeypatch.setenv("ENSEMBLEGEN_CACHE", str(cache.with_name("other")))
    assert dali_definition.serialize(call("decode", size=32), DECODE) == first
    assert all(b"definitions.py" not in data for data in first.values())


def test_what_was_made_is_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = dali_definition.serialize(call("plain"), DECODE)
    (kept,) = (cache / "dali").iterdir()

    def _run(*_: object) -> str:
        raise AssertionError("it is there already")

    with monkeypatch.context() as patch:
        patch.setattr(dali_definition, "_run", _run)
        assert dali_definition.serialize(call("plain"), DECODE) == first
        with pytest.raises(AssertionError):
            dali_definition.serialize(call("plain"), DECODE + b"\n# changed")
        with pytest.raises(AssertionError):
            dali_definition.serialize(call("decode", size=8), DECODE)
    kept.write_text("{}damaged")
    assert dali_definition.serialize(call("plain"), DECODE) == first


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ENSEMBLEGEN_CACHE", str(tmp_path / "file" / "cache"))
    assert "dali" in dali_definition.serialize(call("plain"), DECODE)


@pytest.mark.parametrize(
    ("source", "message", "line"),
    [
        (b"def f():\n    raise OSError('no such thing')", "OSError: no such thing", 2),
        (b"import nothing_of_the_kind\n\ndef f(): pass", "ModuleNotFoundError", 1),
        (b"f = 4", "TypeError", None),
        (b"def f():\n    import os\n    os._exit(3)", "ended early: ", None),
        (b"def f(size): pass", "TypeError", None),
    ],
)
def test_definitions_that_fail(source: bytes, message: str, line: int | None) -> None:
    with pytest.raises(DefinitionError, match=message) as fault:
        dali_definition.serialize(call("f"), source)
    assert fault.value.line == line


def test_without_dali(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dali_definition, "installed", lambda: None)
    with pytest.raises(NoDaliError):
        dali_definition.serialize(call("plain"), DECODE)


def test_what_a_file_defines() -> None:
    code = dali_definition.code(b"from a.b import c as d\nimport e.f\nx = 1\ndef g(): h()")
    assert code.functions == ("g",)
    assert {"d", "x", "g", "e.f"} <= code.bound
    assert code.imported == ("a", "e")


def test_what_the_server_gets() -> None:
    made = dali_definition.version_folder(call("decode", size=32), DECODE, ("cpu", "gpu"))
    assert sorted(made) == ["cpu.py", "definition.json", "definition/definitions.py", "gpu.py"]
    assert made["cpu.py"] == made["gpu.py"] == dali_definition.ENTRY.read_bytes()
