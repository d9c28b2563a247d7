"""The ends of OpenVINO models, as openvino itself says them; and what is no such model."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemblegen.artifacts import openvino
from ensemblegen.artifacts.openvino import Graph, NotOpenVinoError, Tensor
from ensemblegen.types import DType

GRAPHS = Path(__file__).resolve().parent.parent / "problems" / "graphs"


def saved(folder: Path) -> dict[str, Any]:
    """Models by the path of their .xml, as openvino has them."""
    import numpy
    import openvino as library
    from openvino import opset13 as op

    def parameter(name: str, sizes: list[int], dtype: Any = numpy.float32) -> Any:
        made = op.parameter(library.PartialShape(sizes), dtype, name=name)
        made.output(0).set_names({name})
        return made

    def named(node: Any, *names: str) -> Any:
        node.output(0).set_names(set(names))
        return node

    x, ids = parameter("x", [-1, 4]), parameter("ids", [-1, -1], numpy.int64)
    product = op.matmul(x, op.constant(numpy.ones((4, 2), numpy.float32)), False, False)
    flags = parameter("flags", [3], numpy.bool_)
    models = {
        "plain": library.Model([named(product, "scores")], [x], "plain"),
        "aliases": library.Model([named(op.relu(x), "zeta", "alpha", "be,ta")], [x], "aliases"),
        "several": library.Model(
            [named(op.abs(ids), "second"), named(op.logical_not(flags), "first")],
            [ids, flags],
            "several",
        ),
        "loop": _loop(library, op, numpy, named),
    }
    for name, model in models.items():
        library.save_model(model, folder / f"{name}.xml", compress_to_fp16=False)
    return {name: library.Core().read_model(folder / f"{name}.xml") for name in models}


def _loop(library: Any, op: Any, numpy: Any, named: Any) -> Any:
    """A model whose loop has Parameter and Result layers of its own."""
    x = op.parameter([3, 5], numpy.float32, name="x")
    x.output(0).set_names({"x"})
    item = op.parameter([1, 5], numpy.float32)
    doubled = op.result(op.multiply(item, op.constant(numpy.float32(2))))
    loop = op.tensor_iterator()
    loop.set_body(library.Model([doubled], [item], "body"))
    loop.set_sliced_input(item, x.output(0), 0, 1, 1, -1, 0)
    rows = loop.get_concatenated_slices(doubled.output(0), 0, 1, 1, -1, 0)
    rows.set_names({"rows"})
    return library.Model([rows], [x], "loop")


_TYPES = {"f32": DType.FP32, "i64": DType.INT64, "boolean": DType.BOOL}


def as_openvino_says(model: Any) -> Graph:
    def ends(ports: Any) -> tuple[Tensor, ...]:
        return tuple(
            Tensor(
                each.get_any_name(),
                _TYPES[each.element_type.get_type_name()],
                tuple(size.get_length() if size.is_static else -1 for size in each.partial_shape),
            )
            for each in ports
        )

    return Graph(ends(model.inputs), ends(model.outputs), True)


def test_ends_are_what_openvino_says(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    models = saved(tmp_path)
    for name, model in models.items():
        found = openvino.read(tmp_path / f"{name}.xml")
        said = as_openvino_says(model)
        assert (found.inputs, found.outputs) == (said.inputs, said.outputs), name
    assert openvino.read(tmp_path / "plain.xml").weighs
    assert not openvino.read(tmp_path / "aliases.xml").weighs


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("entity.xml", "document type"),
        ("other.xml", "it is a html in XML"),
        ("good.onnx", "is no XML"),
    ],
)
def test_what_is_no_model(name: str, reason: str) -> None:
    with pytest.raises(NotOpenVinoError, match=reason):
        openvino.read(GRAPHS / name)


NET = '<net name="n" version="11">{}</net>'
END = '<layer id="{}" type="{}"><output><port id="0" precision="FP32">{}</port></output></layer>'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (NET.format(""), "no inputs or no outputs"),
        (NET.format(f"<layers>{END.format(0, 'Parameter', '<dim>x</dim>')}</layers>"), "damaged"),
        (
            NET.format(
                f"<layers>{END.format(0, 'Parameter', '')}{END.format(1, 'Result', '')}</layers>"
            ),
            "no port",
        ),
    ],
)
def test_damaged(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "model.xml").write_text(text)
    with pytest.raises(NotOpenVinoError, match=reason):
        openvino.read(tmp_path / "model.xml")


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_change_is_read_or_refused(data: st.DataObject, tmp_path_factory: Any) -> None:
    text = bytearray((GRAPHS / "open.xml").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    path = tmp_path_factory.getbasetemp() / "changed.xml"
    path.write_bytes(text)
    with contextlib.suppress(NotOpenVinoError):
        openvino.read(path)
