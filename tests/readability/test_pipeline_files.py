"""The flagship's files agree with each other: pipeline.yaml, step.yaml, passages, artifacts."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from ensembles.readability.training import ARTIFACTS
from python_models.readability_preprocess.features import FeatureCounter
from python_models.readability_preprocess.words import from_words
from tests.readability.conftest import ROOT

HERE = ROOT / "ensembles/readability"
PIPELINE: dict[str, Any] = yaml.safe_load((HERE / "pipeline.yaml").read_text("utf-8"))


def step_yaml(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(
        (ROOT / "python_models" / name / "step.yaml").read_text()
    )
    return found


def lines(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (HERE / name).read_text("utf-8").splitlines()]


@pytest.mark.parametrize("step", ["preprocess", "postprocess"])
def test_python_steps_are_wired_as_they_declare(step: str) -> None:
    wired = PIPELINE["steps"][step]
    declared = step_yaml(wired["python"])
    assert wired["inputs"].keys() == declared["inputs"].keys()
    assert wired["outputs"] == declared["outputs"]
    assert wired.get("assets", {}).keys() == set(declared.get("assets", []))
    assert wired.get("parameters", {}).keys() <= declared.get("parameters", {}).keys()


def test_artifacts_are_those_that_training_writes() -> None:
    steps = PIPELINE["steps"]
    named = {
        steps["bert"]["libtorch"],
        steps["forest"]["fil"],
        *steps["preprocess"]["assets"].values(),
    }
    assert named == {f"artifacts/{name}" for name in ARTIFACTS if name != "metrics.json"}


def test_environments_exist() -> None:
    for step in PIPELINE["steps"].values():
        if "environment" in step:
            assert (ROOT / "conda" / f"{step['environment']}.yaml").is_file()


def test_passages_cover_every_topic_at_every_level() -> None:
    passages = lines("examples.jsonl")
    assert len(passages) == 24
    topics = {passage["topic"] for passage in passages}
    found = {(passage["topic"], passage["level"]) for passage in passages}
    assert len(topics) == 8
    assert found == {(topic, level) for topic in topics for level in ("easy", "middle", "hard")}
    assert all(60 <= len(passage["excerpt"].split()) <= 120 for passage in passages)


def test_the_demo_can_be_sent_as_it_is_and_grows_harder() -> None:
    rows = lines("demo.jsonl")
    assert len(rows) == 5
    assert all(row.keys() == {"excerpt"} for row in rows)
    counted = FeatureCounter(from_words([]))([row["excerpt"] for row in rows])
    words_per_sentence = counted[:, 4].tolist()
    assert words_per_sentence == sorted(words_per_sentence)
