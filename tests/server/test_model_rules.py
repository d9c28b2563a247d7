"""What we say of a model's config is what the real server does with it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from ensemblegen.check import repository as rules
from ensemblegen.engine.server import LoadError, Options, Server
from ensemblegen.errors import MachineError
from ensemblegen.repository.discover import read
from tests.check.model_cases import CASES, Case

TRIED = ("wu_dims", "wu_type", "wu_unknown")
"""Of refused warm-up samples, which take a second each and now and then end the server."""


def _tried(case: Case) -> bool:
    """Refused initial states may end it, too; an input given twice is refused in requests only."""
    if case.name == "wu4of4" or case.code in ("E422", "E432"):
        return False
    return case.code != "E435" or case.name in TRIED


TABLE = [case for case in CASES if _tried(case)]
DEADLINE = 4.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """All cases in one repository; each is loaded when it is asked for."""
    folder = tmp_path_factory.mktemp("models") / "repository"
    Case("idle", None).write(folder)
    extra = ("--model-control-mode=explicit", "--load-model=idle")
    with Server.start(folder, Options(extra=extra)) as running:
        yield running
        running.stop(kill=True)


@pytest.mark.parametrize("case", TABLE, ids=[case.name for case in TABLE])
def test_case(case: Case, server: Server) -> None:
    case.write(server.repository.path)
    host, _, port = server.http.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        connection.request("POST", f"/v2/repository/models/{case.name}/load")
        answer = connection.getresponse()
        words = answer.read().decode()
    finally:
        connection.close()
    assert (answer.status != http.client.OK) == (case.code is not None), words


@pytest.mark.parametrize(
    "case",
    [
        Case("has space", "E508"),
        Case("round(1)", "E507"),
        Case("later", "E616", folders=("1", "2_old")),
        Case("enormous", "E616", folders=("1", "99999999999999999999")),
        Case("cut", "E442", more='batch_output { source_input: "X" }'),
        Case("tagged", "E439", more='metric_tags { key: "a-b" value: "c" }'),
    ],
    ids=lambda case: case.name,
)
def test_the_server_hangs_or_ends(case: Case, tmp_path: Path) -> None:
    case.write(tmp_path / "repository")
    found = [each for group in read(tmp_path) for each in rules.run(group)]
    assert [each.code for each in found if each.severity == "error"] == [case.code]
    with (
        pytest.raises((LoadError, MachineError)),
        Server.start(tmp_path / "repository", Options(timeout=DEADLINE)),
    ):
        pass
