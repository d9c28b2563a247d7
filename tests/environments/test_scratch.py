"""Folders that are gone afterwards, whatever became of who made them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ensemblegen.environments.scratch import scratch

HOLD = """
import sys, time
from pathlib import Path
from ensemblegen.environments.scratch import scratch
with scratch(Path(sys.argv[1])) as folder:
    (folder / "file").write_text("x")
    print(folder, flush=True)
    time.sleep(600)
"""


def test_it_is_gone_afterwards(tmp_path: Path) -> None:
    with scratch(tmp_path) as first, scratch(tmp_path) as second:
        assert first != second
        (first / "file").write_text("x")
    assert not any((tmp_path / "scratch").iterdir())


def test_what_a_killed_process_left_goes_and_what_a_living_one_has_stays(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    held = []
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for process in processes:
            assert process.stdout is not None
            held.append(Path(process.stdout.readline().strip()))
        processes[0].kill()
        processes[0].wait()
        assert (held[0] / "file").exists()
        with scratch(tmp_path):
            assert not held[0].exists()
            assert (held[1] / "file").exists()
    finally:
        for process in processes:
            process.kill()
            process.communicate()
