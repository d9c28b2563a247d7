"""The load process, against a server of a few lines: what it sends, and what it counts."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ensemblegen.bench.load import Load
from ensemblegen.bench.points import Arrivals
from ensemblegen.bench.senders import ID, RefusedError, Request, connected
from ensemblegen.bench.worker import Job, Worker
from ensemblegen.client.interface import Protocol

ENOUGH = 10.0
HEAD = b"POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\nnum="
REQUEST = Request(HEAD + ID, len(HEAD))


def answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


class Server:
    """Gives the next answer to each request, over and over; a list of pieces is sent in pieces."""

    def __init__(self, *answers: bytes | list[bytes], delay: float = 0.0) -> None:
        self._answers = itertools.cycle(answers)
        self._delay = delay
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.numbers: list[int] = []
        self.in_flight = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while request := connection.recv(len(REQUEST.whole), socket.MSG_WAITALL):
                self.in_flight += 1
                self.numbers.append(int(request[-len(ID) :]))
                time.sleep(self._delay)
                given = next(self._answers)
                self.in_flight -= 1
                if given == b"":
                    return
                for piece in given if isinstance(given, list) else [given]:
                    connection.sendall(piece)
                    time.sleep(0.01 if isinstance(given, list) else 0)


@contextlib.contextmanager
def serving(*answers: bytes | list[bytes], delay: float = 0.0) -> Iterator[Server]:
    server = Server(*answers, delay=delay)
    with contextlib.closing(server):
        yield server


def until(condition: Any) -> None:
    deadline = time.monotonic() + ENOUGH
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(
    "given",
    [
        answer(b"0123456789"),
        [answer(b"0123456789")[:9], answer(b"0123456789")[9:40], answer(b"0123456789")[40:]],
        [answer(b"0123456789")[:-4], answer(b"0123456789")[-4:]],
    ],
)
def test_an_answer_in_any_pieces(given: bytes | list[bytes]) -> None:
    with serving(given) as server:
        sender = connected(Protocol.http, server.address)
        assert [sender.send(REQUEST.whole) for _ in range(2)] == [b"0123456789"] * 2
        sender.close()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (answer(b'{"error":"no room"}', b"400 Bad Request"), "^no room$"),
        (answer(b"what?", b"404 Not Found"), "^what\\?$"),
        (answer(b"", b"503 Gone"), "^HTTP 503$"),
        (b"", "^connection: closed by the server$"),
    ],
)
def test_a_refusal_has_the_servers_words(given: bytes, words: str) -> None:
    with serving(given, answer(b"ok")) as server:
        sender = connected(Protocol.http, server.address)
        with pytest.raises(RefusedError, match=words):
            sender.send(REQUEST.whole)
        assert sender.send(REQUEST.whole) == b"ok", "the next one is sent all the same"
        sender.close()


@pytest.mark.parametrize("protocol", list(Protocol))
def test_where_nobody_listens(protocol: Protocol) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    sender = connected(protocol, address)
    with pytest.raises(RefusedError, match=r"refused|connect"):
        sender.send(REQUEST.whole)
    sender.close()


def job(server: Server, connections: int = 2, **more: Any) -> Job:
    return Job(Protocol.http, server.address, ((REQUEST,),) * connections, **more)


def test_hold_waits_for_what_is_in_flight() -> None:
    with serving(answer(b"ok"), delay=0.05) as server:
        worker = Worker(job(server, 3))
        assert worker.take().times.tolist() == []
        for _ in range(2):
            worker.go()
            until(lambda: server.in_flight)
            worker.hold()
            assert server.in_flight == 0
            sent = len(server.numbers)
            time.sleep(0.1)
            assert len(server.numbers) == sent, "silent while held"
        assert len(worker.take().times) == 4 * len(server.numbers)
        assert worker.take().times.tolist() == [], "each is told once"


def test_times_are_in_order_and_refusals_keep_their_words() -> None:
    with serving(answer(b"ok"), answer(b'{"error":"no"}', b"400 Bad")) as server:
        worker = Worker(job(server, 1))
        worker.go()
        until(lambda: len(server.numbers) >= 4)
        worker.hold()
        taken = worker.take()
        assert len(taken.times) == 4 * len(server.numbers)
        for i in range(0, len(taken.times), 4):
            due, sent, end, number = taken.times[i : i + 4]
            assert due == sent <= end
            assert number == 0
        refused = range(1, len(server.numbers), 2)
        assert taken.errors == dict.fromkeys(refused, "no")


def test_requests_are_numbered_when_they_are_to_be_found_again() -> None:
    with serving(answer(b"ok")) as server:
        worker = Worker(job(server, 1, first=500))
        worker.mark(True)
        worker.go()
        until(lambda: len(server.numbers) >= 3)
        worker.hold()
        worker.mark(False)
        assert server.numbers[:3] == [500, 501, 502]
        times = worker.take().times
        assert times[3::4].tolist() == server.numbers


def test_an_open_loop_keeps_its_times_behind_a_slow_server() -> None:
    """One connection, 50 ms an answer, and a request due every millisecond."""
    with serving(answer(b"ok"), delay=0.05) as server:
        worker = Worker(job(server, 1, rate=1000.0, arrivals=Arrivals.constant))
        worker.go()
        until(lambda: len(server.numbers) >= 4)
        worker.hold()
        times = worker.take().times
        due = times[0::4].tolist()
        assert [later - first for first, later in itertools.pairwise(due)] == [1_000_000] * (
            len(due) - 1
        )
        assert all(sent >= each for sent, each in zip(times[1::4], due, strict=True))
        last = (times[-2] - times[-4]) / 1e6
        assert last > 50 * len(due) - len(due), "what waited for its turn counts as latency"


def test_processes_share_the_connections_and_leave_none_behind() -> None:
    with serving(answer(b"ok")) as server:
        with Load(job(server, 3), processes=2) as load:
            load.mark(True)
            load.go()
            window = load.window(0.3)
            load.hold()
        assert window.latencies
        assert not window.errors
        assert window.generator > 0
        assert {number // 10**12 for number in server.numbers} == {0, 1}


def test_only_the_connections_in_use_send() -> None:
    with serving(answer(b"ok"), delay=0.05) as server:
        worker = Worker(job(server, 3))
        worker.use(1)
        worker.go()
        until(lambda: len(server.numbers) >= 4)
        assert server.in_flight <= 1
        worker.use(3)
        until(lambda: server.in_flight == 3)
        worker.use(0)
        until(lambda: server.in_flight == 0)
        sent = len(server.numbers)
        time.sleep(0.1)
        assert len(server.numbers) == sent, "nobody sends any more"
        worker.hold()


def test_connections_in_use_are_spread_over_processes() -> None:
    """Five connections in two processes, of which three are used: two here and one there."""
    with (
        serving(answer(b"ok"), delay=0.05) as server,
        Load(job(server, 5), processes=2) as load,
    ):
        load.use(3)
        load.go()
        until(lambda: server.in_flight == 3)
        for _ in range(20):
            assert server.in_flight <= 3
            time.sleep(0.01)
        load.hold()


class _Told:
    """A caller that answers by itself."""

    def connected(self) -> _Told:
        return self

    def send(self, request: bytes) -> bytes:
        time.sleep(0.01)
        return request

    def close(self) -> None:
        """Nothing is open."""


def test_another_way_to_send() -> None:
    with serving(answer(b"ok")) as server:
        worker = Worker(job(server, 1, caller=_Told()))
        worker.go()
        time.sleep(0.1)
        worker.hold()
        assert worker.take().times
        assert server.numbers == []
