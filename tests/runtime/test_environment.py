"""A step in another Python than its own environment's says so, once, before anything else."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest

X, Y = {"x": ("fp32", [1])}, {"y": ("fp32", [1])}
CODE = "import no_such_module"
MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
MARKER = b'{"key": "one"}'


def expected(data: bytes = MARKER, python: str = MINOR) -> dict[str, Any]:
    sha256 = hashlib.sha256(data).hexdigest()
    own = {"name": "own", "python": python, "marker": "marker.json", "sha256": sha256}
    return {"environments": {"cpu": own}}


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "prefix"
    folder.mkdir()
    (folder / "marker.json").write_bytes(MARKER)
    monkeypatch.setattr(sys, "prefix", str(folder))
    return folder


def test_its_own(make_model: Any, prefix: Path) -> None:
    assert make_model("def step(x):\n    return x", X, Y, **expected()).ask() == []


def test_no_environment_at_all(make_model: Any, triton: Any, prefix: Path) -> None:
    (prefix / "marker.json").unlink()
    says = rf"its environment 'own' .* runs it with Python {MINOR} of .*no marker\.json"
    with pytest.raises(triton.TritonModelException, match=says):
        make_model(CODE, X, Y, **expected())


def test_the_environment_of_another(make_model: Any, triton: Any, prefix: Path) -> None:
    with pytest.raises(triton.TritonModelException, match=r"which has another marker\.json"):
        make_model(CODE, X, Y, **expected(b"other"))


def test_another_python(make_model: Any, triton: Any, prefix: Path) -> None:
    with pytest.raises(triton.TritonModelException, match=r"\(Python 3\.7\), but Triton runs"):
        make_model(CODE, X, Y, **expected(python="3.7"))


def test_of_another_device_nothing_is_asked(make_model: Any, prefix: Path) -> None:
    more = {"environments": {"gpu": expected(b"other")["environments"]["cpu"]}}
    assert make_model("def step(x):\n    return x", X, Y, **more).ask() == []
