"""What a manifest says survives being written and read; a damaged one is told as such."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ensemblegen.errors import InputError
from ensemblegen.manifest import (
    Manifest,
    ManifestFile,
    ManifestModel,
    ManifestPipeline,
    ManifestTensor,
    from_json,
    read,
    to_json,
)
from ensemblegen.types import DType

READABILITY = ManifestPipeline(
    name="readability",
    source="pipeline.yaml",
    device="cpu",
    max_batch_size=64,
    inputs=(
        ManifestTensor("excerpt", DType.STRING, (1,)),
        ManifestTensor("weight", DType.FP32, (1,), optional=True, default=0.5),
        ManifestTensor("extra", DType.FP32, ("tokens", -1), optional=True),
    ),
    outputs=(ManifestTensor("SCORE", DType.FP32, (1,)),),
    steps={"r_bert": "bert", "r_net": "net"},
)
OTHER = replace(READABILITY, name="other", steps={"o": "a"}, others=("inner",), variant={"v": 1})
MANIFEST = Manifest(
    ensemblegen="0.1.0",
    target="24.10",
    pipelines=(READABILITY,),
    models=(
        ManifestModel("r_bert", "bert", "libtorch", "pytorch", "cpu", 2, "pipeline.yaml:20"),
        ManifestModel("r_net", "net", "fil", "fil", "gpu", batch_bytes=53248),
    ),
    files={"readability/config.pbtxt": ManifestFile("ab", 3)},
)


def test_round_trip(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(to_json(MANIFEST)))
    assert read(tmp_path) == MANIFEST


def test_only_optional_inputs_have_a_default() -> None:
    written = to_json(MANIFEST)["pipelines"][0]["inputs"]
    assert ["default" in tensor for tensor in written] == [False, True, True]
    assert written[2]["default"] is None


def test_bytes_are_said_where_some_are_known() -> None:
    bert, net = to_json(MANIFEST)["models"]
    assert "batch_bytes" not in bert
    assert net["batch_bytes"] == 53248


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": None, "inputs": 3}, "is damaged"),
        ({"max_batch_size": "many"}, "is damaged"),
        ({"outputs": [{"name": "a", "dtype": "FP32", "shape": [1]}]}, "FP32"),
        ({"outputs": [{"name": "a", "dtype": "fp32", "shape": [1.5]}]}, "not a size"),
        ({"outputs": [{"name": "a", "dtype": "fp32"}]}, "no 'shape'"),
    ],
)
def test_damaged(change: dict[str, object], message: str) -> None:
    written = to_json(MANIFEST)
    with pytest.raises(InputError, match=message):
        from_json({**written, "pipelines": [written["pipelines"][0] | change]})


def test_a_newer_format_is_told_as_such() -> None:
    with pytest.raises(InputError, match="has format 3, and this ensemblegen reads up to 2"):
        from_json(to_json(MANIFEST) | {"format": 3})


def test_the_first_format_is_still_read() -> None:
    """As ensemblegen 0.1.0 wrote it: one pipeline, beside the models."""
    written = to_json(MANIFEST)
    (pipeline,) = written.pop("pipelines")
    del written["format"], pipeline["steps"]
    name = pipeline.pop("name")
    files = {f"{model}/config.pbtxt": {"sha256": "ab", "size": 3} for model in ("r_bert", "inner")}
    found = from_json({**written, **pipeline, "pipeline": name, "files": files})
    assert found.pipelines == (replace(READABILITY, others=("inner",)),)
    assert found.pipeline().models == ("readability", "r_bert", "r_net", "inner")
    assert found.models == MANIFEST.models


def test_of_several_pipelines_one_is_meant(tmp_path: Path) -> None:
    both = replace(MANIFEST, pipelines=(READABILITY, OTHER))
    (tmp_path / "manifest.json").write_text(json.dumps(to_json(both)))
    assert read(tmp_path) == both
    assert both.pipeline("other") is OTHER
    assert MANIFEST.pipeline() is READABILITY
    with pytest.raises(InputError, match="which of the 2 pipelines is meant") as told:
        both.pipeline()
    assert told.value.problems[0].hint == "--pipeline NAME; there are: readability, other"
    with pytest.raises(InputError, match="there is no pipeline 'others' here") as told:
        both.pipeline("others")
    assert told.value.problems[0].hint == "did you mean 'other'?"


@pytest.mark.parametrize("text", ["", "[]", "null", "3", "{", "{}"])
def test_anything_else_is_damaged(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=r"manifest\.json"):
        read(tmp_path)


def test_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a compiled repository"):
        read(tmp_path)
    with pytest.raises(InputError, match="there is no folder"):
        read(tmp_path / "absent")
