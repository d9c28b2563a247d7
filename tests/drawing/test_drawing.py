"""The flagship as pictures, as last looked at; and any names in them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ensemblegen.compile import make_plan
from ensemblegen.drawing import dot, mermaid, picture, svg
from ensemblegen.drawing.picture import Box, Line, Picture
from ensemblegen.placement import Choice
from ensemblegen.traffic import edges

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
DRAW = {"mmd": mermaid.text, "dot": dot.text, "svg": svg.text}


@pytest.fixture(scope="module")
def flagship(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Picture:
    folder = tmp_path_factory.mktemp("drawn")
    shutil.copy(root / "ensembles/readability/pipeline.yaml", folder)
    for shelf in ("python_models", "conda"):
        (folder / shelf).symlink_to(root / shelf)
    (folder / "artifacts").symlink_to(GOLDEN / "artifacts")
    return picture.of(edges.trace(make_plan(folder / "pipeline.yaml", Choice(profile="mixed"))))


@pytest.mark.parametrize("form", DRAW)
def test_flagship(flagship: Picture, form: str, update_golden: bool) -> None:
    drawn = DRAW[form](flagship)
    golden = GOLDEN / "drawing" / f"mixed.{form}"
    if update_golden:
        golden.write_text(drawn, encoding="utf-8")
    assert drawn == golden.read_text(encoding="utf-8")


NAMES = some.text(
    some.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1
)


@given(NAMES, NAMES)
def test_any_names_leave_the_drawing_whole(name: str, reason: str) -> None:
    boxes = (Box(name, "client", "client"), Box(name, "python, cpu", "cpu"))
    drawn = Picture(name, boxes, (Line(0, 1, name, "host", True, reason),))
    texts = [each.text for each in ElementTree.fromstring(svg.text(drawn)).iter() if each.text]  # noqa: S314
    assert texts.count(name) >= 4
    rows = mermaid.text(drawn).splitlines()
    assert len(rows) == 8
    assert all(row.count('"') in (0, 2) for row in rows)
    assert len(dot.text(drawn).split("\n")) == 9
    assert re.fullmatch(
        r'  n0 -> n1 \[(\w+="(\\.|[^"\\])*"|\w+=\d|, )*\];', dot.text(drawn).split("\n")[6]
    )
