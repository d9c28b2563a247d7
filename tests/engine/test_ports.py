"""Ports are free when they are chosen, and wanted ones are had or refused."""

from __future__ import annotations

import socket

import pytest

from ensemblegen.engine.ports import Ports, Wanted, choose, free
from ensemblegen.errors import MachineError

HOST = "127.0.0.1"


def test_three_different_free_ones() -> None:
    ports = choose(HOST, Wanted())
    numbers = {ports.http, ports.grpc, ports.metrics}
    assert len(numbers) == 3
    assert all(free(HOST, number) for number in numbers)


def test_a_wanted_one_is_had() -> None:
    number = choose(HOST, Wanted()).http
    assert choose(HOST, Wanted(http=number)).http == number


def test_a_wanted_one_that_is_taken() -> None:
    with socket.create_server((HOST, 0)) as taken:
        number = taken.getsockname()[1]
        assert not free(HOST, number)
        with pytest.raises(MachineError, match=f"port {number} on {HOST} cannot be used"):
            choose(HOST, Wanted(grpc=number))


def test_usual_ones_give_way() -> None:
    ports = choose(HOST, Wanted(usual=True))
    assert isinstance(ports, Ports)
    assert len({ports.http, ports.grpc, ports.metrics}) == 3


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(MachineError, match=r"192\.0\.2\.1"):
        choose("192.0.2.1", Wanted(http=8000))


def test_fixed() -> None:
    assert Wanted(1, 2, 3).fixed
    assert not Wanted(1, 2).fixed
