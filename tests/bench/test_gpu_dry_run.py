"""bench/gpu.sh on the CPU with a tiny model: the whole way, so that it does not rot."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("pytriton") is None,
    reason="no embedded server: pip install 'ensemblegen[local]'",
)


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "OUT": str(folder / "out"),
        "ENSEMBLEGEN_GPU_HOME": str(folder / "home"),
        "ENSEMBLEGEN_GPU_PYTHON": sys.executable,
    }
    command = ["bash", str(ROOT / "bench/gpu.sh"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.server
@needs_triton
def test_the_whole_way(tmp_path: Path) -> None:
    parts = ("machine", "residency", "bf16")
    flags = [word for name in parts for word in ("--part", name)]
    done = _run(tmp_path, "--device", "cpu", "--small", *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    out = tmp_path / "out"
    assert "This has not run on a GPU" in (out / "table.md").read_text("utf-8")
    found = {name: json.loads((out / f"{name}.json").read_text("utf-8")) for name in parts}
    assert found["machine"]["device"] == "cpu"
    assert found["residency"]["torch"]["right"] is True
    assert found["residency"]["torch"]["on_host"] is True
    placements = found["bf16"]["placements"]
    assert set(placements) == {"all on CPU", "models on GPU", "all on GPU"}
    for name, placement in placements.items():
        assert [each["tokens"] for each in placement["lengths"]] == [64, 128], (name, placement)
        for length in placement["lengths"]:
            assert [rate["batch"] for rate in length["rates"]] == [1, 8]
            assert all(rate["per_second"] > 0 for rate in length["rates"])


def test_no_gpu_is_said(tmp_path: Path) -> None:
    from ensemblegen.engine import machine

    if machine.gpus():
        pytest.skip("there is a GPU")
    if importlib.util.find_spec("pytriton") is None:
        pytest.skip("no embedded server: it would ask for pieces")
    done = _run(tmp_path)
    assert done.returncode == 3
    assert "no NVIDIA GPU answers here" in done.stderr
    assert not list((tmp_path / "out").glob("*.json"))
