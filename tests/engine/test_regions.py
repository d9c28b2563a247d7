"""Regions of servers that live stay; those of dead ones go."""

from __future__ import annotations

import os
from pathlib import Path

from ensemblegen.engine import regions


def _region(folder: Path, prefix: str) -> Path:
    path = folder / f"{prefix}0b1c"
    path.write_bytes(b"x")
    return path


def test_only_dead_ones_are_swept(tmp_path: Path) -> None:
    alive, dead = "ensemblegen_1_aaaaaaaa_", "ensemblegen_2_bbbbbbbb_"
    foreign = tmp_path / "triton_python_backend_shm_region_1"
    foreign.touch()
    kept, gone = _region(tmp_path, alive), _region(tmp_path, dead)
    lock = regions.hold(alive, tmp_path)
    assert lock is not None
    assert regions.left_over(tmp_path) == {dead: [gone.name]}
    assert regions.sweep(tmp_path) == 1
    assert kept.exists()
    assert foreign.exists()
    os.close(lock)
    assert regions.sweep(tmp_path) == 2  # the region and its lock
    assert [each.name for each in tmp_path.iterdir()] == [foreign.name]


def test_no_shared_memory(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    assert regions.hold("ensemblegen_1_aaaaaaaa_", absent) is None
    assert regions.left_over(absent) == {}
    assert regions.sweep(absent) == 0


def test_prefixes_differ_and_name_us() -> None:
    first, second = regions.new_prefix(), regions.new_prefix()
    assert first != second
    assert first.startswith(f"ensemblegen_{os.getpid()}_")
