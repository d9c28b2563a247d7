"""TensorFlow's files, written by hand (graph.proto, saved_model.proto, meta_graph.proto)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.artifacts.onnx_wire import field

FLOAT, INT32, STRING, INT64, VARIANT = 1, 3, 7, 9, 21

Shape = Iterable[int] | None
"""With the batch axis; None for an unknown rank."""


def shape(sizes: Shape) -> bytes:
    if sizes is None:
        return field(3, 1)
    return b"".join(field(2, field(1, each % (1 << 64))) for each in sizes)


def entry(key: str, value: bytes) -> bytes:
    return field(1, key) + field(2, value)


def node(
    name: str,
    op: str,
    inputs: Iterable[str] = (),
    types: Mapping[str, int] | None = None,
    sizes: Shape = (),
) -> bytes:
    """A node; the shape goes where placeholders have it, and else among its output shapes."""
    attributes = {key: field(6, value) for key, value in (types or {}).items()}
    if sizes != ():
        found = field(7, shape(sizes))
        place = "shape" if op == "Placeholder" else "_output_shapes"
        attributes[place] = found if op == "Placeholder" else field(1, found)
    parts = [field(1, name), field(2, op), *(field(3, each) for each in inputs)]
    return b"".join([*parts, *(field(5, entry(*each)) for each in attributes.items())])


def graph(nodes: Iterable[bytes]) -> bytes:
    return b"".join(field(1, each) for each in nodes) + field(4, field(1, 1))


def tensor(dtype: int, sizes: Shape, *, sparse: bool = False) -> bytes:
    where = field(4, field(1, "values:0")) if sparse else field(1, "node:0")
    return where + field(2, dtype) + field(3, shape(sizes))


def signature(inputs: Mapping[str, bytes], outputs: Mapping[str, bytes]) -> bytes:
    parts = [field(1, entry(*each)) for each in inputs.items()]
    parts += [field(2, entry(*each)) for each in outputs.items()]
    return b"".join([*parts, field(3, "tensorflow/serving/predict")])


def saved_model(signatures: Mapping[str, bytes], tags: Iterable[str] = ("serve",)) -> bytes:
    about = field(1, b"".join(field(4, tag) for tag in tags))
    parts = [field(5, entry(*each)) for each in signatures.items()]
    return field(1, 1) + field(2, b"".join([about, field(2, graph([])), *parts]))


SAVED = saved_model(
    {
        "serving_default": signature(
            {"x": tensor(FLOAT, [-1, 4]), "text": tensor(STRING, [-1])},
            {"scores": tensor(FLOAT, [-1, 3]), "length": tensor(INT32, [-1])},
        ),
        "double": signature({"x": tensor(FLOAT, [-1, 4])}, {"y": tensor(FLOAT, [-1, 4])}),
        "fixed": signature({"x": tensor(FLOAT, [8, 4])}, {"y": tensor(FLOAT, [-1, 4])}),
        "odd": signature({"x": tensor(VARIANT, [-1])}, {"y": tensor(FLOAT, None)}),
        "sparse": signature(
            {"x": tensor(FLOAT, [-1, 4], sparse=True)}, {"y": tensor(FLOAT, [-1, 4])}
        ),
        "__saved_model_init_op": signature({}, {"__saved_model_init_op": tensor(VARIANT, None)}),
    }
)
"""A SavedModel with a signature for each thing that can be wrong with one."""

FROZEN = graph(
    [
        node("input", "Placeholder", types={"dtype": FLOAT}, sizes=[-1, 4]),
        node("phase", "Placeholder", types={"dtype": FLOAT}, sizes=[-1, 1]),
        node("weights", "Const", types={"dtype": FLOAT}),
        node("scope/MatMul", "MatMul", ["input", "weights"], {"T": FLOAT}),
        node("scope/probs", "Softmax", ["scope/MatMul:0", "^weights"], {"T": FLOAT}, [-1, 3]),
        node("best", "ArgMax", ["scope/probs"], {"T": FLOAT, "output_type": INT64}, [-1]),
        node("noise", "Mul", ["scope/MatMul", "phase"], {"T": FLOAT}),
    ]
)
"""A frozen graph of which some outputs need one placeholder, and some two."""
