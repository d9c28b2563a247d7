"""An address of a server is host:port, with or without its scheme."""

from __future__ import annotations

import socket
import threading

import pytest

from ensemblegen.cli.app import main
from ensemblegen.client.address import address


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("localhost:8000", "localhost:8000"),
        ("http://127.0.0.1:8000/", "127.0.0.1:8000"),
        ("grpc://[::1]:8001", "[::1]:8001"),
    ],
)
def test_addresses(url: str, expected: str) -> None:
    assert address(url) == expected


BAD = ["", "host", "host:", ":8000", "host:0", "host:65536", "host:1/v2", "https://host:1", "a b:1"]


@pytest.mark.parametrize("url", BAD)
def test_what_is_none(url: str) -> None:
    with pytest.raises(ValueError, match=r"host:port|TLS|port is a number"):
        address(url)


def _code(*words: str) -> object:
    with pytest.raises(SystemExit) as left:
        main(["infer", "-i", "x=1", *words])
    return left.value.code


def test_infer_says_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert _code("--url", "https://host:1") == 2
    assert "TLS is not supported" in capsys.readouterr().err
    for seconds in ("0", "-1", "nan", "inf"):
        assert _code("--url", "localhost:8000", "--timeout", seconds) == 2


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("model", [[], ["--model", "m"]])
def test_what_is_no_triton_is_the_machines_fault(protocol: str, model: list[str]) -> None:
    pytest.importorskip("tritonclient")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"127.0.0.1:{listening.getsockname()[1]}"

        def answer() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

        threading.Thread(target=answer, daemon=True).start()
        assert _code("--url", url, "--protocol", protocol, *model) == 3
        listening.shutdown(socket.SHUT_RDWR)
    assert _code("--url", url, "--protocol", protocol, *model) == 3
