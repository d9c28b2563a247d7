"""Resources of the rate limiter, which all models of a repository must take alike."""

from __future__ import annotations

from pathlib import Path

from ensemblegen.check import repository as rules
from ensemblegen.repository.discover import read

CONFIG = """\
backend: "python"
max_batch_size: 8
input { name: "X" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "Y" data_type: TYPE_FP32 dims: [ 4 ] }
"""


def said(folder: Path, code: str, **groups: str) -> list[str]:
    for name, text in groups.items():
        (folder / name).mkdir()
        (folder / name / "config.pbtxt").write_text(CONFIG + text)
    found = [each for repository in read(folder, None) for each in rules.run(repository)]
    return [f"{each.span}: {each.message}" for each in found if each.code == code]


def group(*resources: str) -> str:
    inner = " ".join(f"resources {{ {each} }}" for each in resources)
    return f"instance_group {{ kind: KIND_CPU rate_limiter {{ {inner} }} }}\n"


OWN, SHARED = 'name: "r" count: 1', 'name: "r" global: true count: 1'


def test_models_that_agree(tmp_path: Path) -> None:
    assert said(tmp_path, "E516", a=group(OWN), b=group(OWN), c="", d=group('name: "s"')) == []


def test_models_that_do_not(tmp_path: Path) -> None:
    (found,) = said(tmp_path, "E516", a=group(SHARED), b=group('name: "s"', OWN))
    assert "b/config.pbtxt:5:" in found
    assert "'r' is each device's own here, and not in 'a'" in found


def test_within_a_model(tmp_path: Path) -> None:
    (found,) = said(tmp_path, "E516", a=group(OWN) + group(SHARED))
    assert "a/config.pbtxt:6:" in found


def test_what_is_left_open_is_not_judged(tmp_path: Path) -> None:
    open_ = OWN.replace('"r"', "${resource}")
    assert said(tmp_path, "E516", a=group(SHARED), b=group(open_)) == []


def test_queues_are_not_in_vain_without_batches(tmp_path: Path) -> None:
    """As `bounded_rows` of tests/server/test_words.py shows."""
    alone = CONFIG.replace("8", "0") + "dynamic_batching { "
    texts = {"a": "}", "b": "default_queue_policy { max_queue_size: 1 } }"}
    texts["c"] = "priority_levels: 2 default_priority_level: 1 }"
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.pbtxt").write_text(alone + text)
    (found,) = said(tmp_path, "E430")
    assert "'a' has dynamic_batching" in found
