"""Laws of `make load-test`, with fewer requests: many clients, malformed requests, clients that leave, SIGTERM, SIGKILL and a new start."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import load_test, malformed
from benchmarks.tiny_service import Process, free_port, make_adapters

pytest.importorskip("uvicorn", reason="no uvicorn here: pip install 'polyprefix[serve]'")


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_adapters(tmp_path_factory.mktemp("load"))


@pytest.fixture(scope="module")
def service(adapters: dict[str, Path]) -> Iterator[Process]:
    """The second process on its port: the first one was killed."""
    port = free_port()
    Process(adapters, port).end(signal.SIGKILL)
    found = Process(adapters, port)
    yield found
    found.process.kill()
    found.process.wait()


def test_mixed_requests_leave_nothing(service: Process) -> None:
    """After the first quarter, twice as many requests leave no more objects than once as many."""
    found = load_test.mixed(service, 240, clients=8)
    assert found["statuses"] == {200: 240}
    _, before, _, after = (one["objects"] for one in found["held"])
    assert after - before < 240, found["held"]  # two a request; what each is made of are dozens


def test_malformed_requests(service: Process) -> None:
    found = load_test.send_malformed(service, 150)
    assert not found["failed"] and not found["tracebacks"], found
    assert {"400", "422"} <= set(found["statuses"])


def test_clients_that_vanish(service: Process) -> None:
    found = load_test.vanish(service, 30)
    assert found["answers"] and not found["waiting"] and not found["tracebacks"], found
    assert found["open_files"][1] <= found["open_files"][0] + 2


def test_the_end_under_load(service: Process) -> None:
    found = load_test.sigterm(service, clients=8)
    assert not found["broken"] and not found["tracebacks"] and found["answered"] > 0, found


def test_drawn_requests_are_of_many_kinds() -> None:
    drawn = [malformed.draw(random.Random(n)) for n in range(300)]
    assert len(set(drawn)) > 240 and drawn == [malformed.draw(random.Random(n)) for n in range(300)]
