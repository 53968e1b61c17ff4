"""The service under what a service meets: python -m benchmarks.load_test, or make load-test. About three minutes.

On a tiny random model with adapters of several methods, so that requests and not the model take the time. With --runs NAME=FOLDER ..., on
the runs of a real model that answer single texts with choices, and the mixed requests alone (a quarter of an hour on two cores).

    mixed       requests of every kind by many clients: none fails, no object stays, and memory does not grow
    malformed   drawn requests that nobody should send: never a 5xx or a traceback, and the next good one is answered
    vanish      clients that leave at any moment: nothing is left open, and nothing waits
    sigterm     the end under load: what was accepted is answered
    sigkill     the end of the process, and a new one on the same port
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks import malformed
from benchmarks.rounds import machine
from benchmarks.tiny_service import Process, free_port, make_adapters

TEXTS = (
    "Timu yashinda fainali",
    "Bei ya mafuta yapanda",
    "ราคาน้ำมันขึ้นอีกครั้ง",
    "Heavy rain is expected",
    "کل شدید بارش ہوگی",
)
GRACE = 0.3
"""Seconds from the sending of a request to its being read by a busy service."""
OBJECTS = 0.1
"""Python objects that a request may leave over the last quarter of the mixed ones. What a request is made of are dozens."""
GROWTH, RESIDENT = 0.01, 0.05
"""By which the memory that malloc has given out, and resident memory, may grow over that quarter. Before it, the tokenizers' caches of words
fill up: 10,000 words each. Resident memory also holds what malloc keeps for later, in pieces that come and go."""
CHOOSING = ("prefix", "soft-prompt", "llama-adapter", "lora")


def drawn(random_: random.Random) -> tuple[str, Any]:
    """A good request of some kind."""
    texts = [random_.choice(TEXTS) + f" {random_.randrange(10**6)}" for _ in range(random_.choice((1, 1, 1, 2, 8)))]
    writes = {"model": "writer", "max_tokens": random_.randint(1, 8), "stream": random_.random() < 0.5}
    kinds: tuple[tuple[str, Any], ...] = (
        ("/v1/predict", {"adapter": random_.choice(CHOOSING), "inputs": texts}),
        (
            "/v1/predict",
            {"adapter": random_.choice(CHOOSING), "inputs": texts, "language": "sw", "calibration": "none"},
        ),
        ("/v1/completions", {**writes, "prompt": texts[:2], "stop": ["\n"]}),
        ("/v1/chat/completions", {**writes, "messages": [{"role": "user", "content": texts[0]}]}),
        random_.choice((("/v1/models", None), ("/health", None), ("/metrics", None), ("/", None), ("/docs", None))),
    )
    return random_.choices(kinds, (8, 4, 1, 1, 2))[0]


def asked_of(runs: Sequence[str]) -> Callable[[random.Random], tuple[str, Any]]:
    """Draws questions to these runs alone: a text or two of different lengths, with and without a language."""

    def draw(random_: random.Random) -> tuple[str, Any]:
        texts = [" ".join(random_.choices(TEXTS, k=random_.randint(1, 4))) for _ in range(random_.choice((1, 1, 1, 2)))]
        body = {"adapter": random_.choice(runs), "inputs": [f"{text} {random_.randrange(10**6)}" for text in texts]}
        return "/v1/predict", body | ({"language": "sw", "calibration": "none"} if random_.random() < 0.3 else {})

    return draw


def mixed(
    service: Process, requests: int, clients: int = 16, draw: Callable[[random.Random], tuple[str, Any]] = drawn
) -> dict[str, Any]:
    """Requests of every kind; what the service holds is counted after each quarter of them, while it has nothing to do."""
    statuses, held = Counter[int](), []
    begun, open_files = time.monotonic(), service.open_files()
    for quarter in range(4):
        numbers = iter(range(quarter * requests // 4, (quarter + 1) * requests // 4))

        def client(numbers: Iterator[int] = numbers) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
            for n in numbers:
                path, body = draw(random.Random(n))
                status, content = service.ask(path, body, connection)
                bad = status != 200 or (body and body.get("stream") and not content.endswith(b"data: [DONE]\n\n"))
                statuses[status if not bad or status != 200 else 0] += 1
            connection.close()

        together(client, clients)
        service.settle(open_files)  # a connection that is being closed holds hundreds of objects
        held.append(service.counts())
    before, after = held[-2:]
    return {
        "requests": requests, "seconds": time.monotonic() - begun, "statuses": dict(statuses), "held": held,
        "objects_per_request": (after["objects"] - before["objects"]) / (requests / 4),
        "memory_growth": after.get("allocated_mb", 0) / before.get("allocated_mb", 1) - 1,
        "resident_growth": after["memory_mb"] / before["memory_mb"] - 1,
    }  # fmt: skip


def send_malformed(service: Process, requests: int, clients: int = 8) -> dict[str, Any]:
    """Drawn malformed requests; after each twentieth, a good one."""
    numbers, statuses, worst = count(), Counter[str](), []

    def client() -> None:
        while (n := next(numbers)) < requests:
            data = malformed.draw(random.Random(n))
            status = malformed.send(service.port, data)
            statuses[str(status)] += 1
            if status is not None and status >= 500:
                worst.append(data[:200].decode("latin-1"))
            if n % 20 == 0 and not service.answers():
                worst.append(f"a good request after {data[:200]!r}")

    together(client, clients)
    return {
        "requests": requests,
        "statuses": dict(statuses),
        "failed": worst,
        "tracebacks": service.said().count("Traceback"),
    }


def vanish(service: Process, clients: int) -> dict[str, Any]:
    """Clients that are gone after a part of a request, the whole of it, or the first bytes of a stream, some with a reset."""
    before = service.open_files()
    for n in range(clients):
        random_ = random.Random(n)
        path, body = random_.choice(
            [(p, b) for p, b in (drawn(random.Random(n * 9 + k)) for k in range(6)) if b] or [("/v1/predict", {})]
        )
        data = malformed.request(
            path, json.dumps({**body, "max_tokens": 200}).encode() if "model" in body else json.dumps(body).encode()
        )
        with socket.create_connection(("127.0.0.1", service.port)) as sent:
            sent.sendall(data[: random_.choice((10, len(data) // 2, len(data), len(data)))])
            if random_.random() < 0.3:
                sent.settimeout(0.05)
                with suppress(TimeoutError):
                    sent.recv(1)
            if random_.random() < 0.5:
                sent.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    service.settle(before)
    return {
        "clients": clients, "answers": service.answers(), "waiting": service.waiting(), "open_files": [before, service.open_files()],
        "tracebacks": service.said().count("Traceback"),
    }  # fmt: skip


def sigterm(service: Process, clients: int = 32) -> dict[str, Any]:
    """SIGTERM while clients ask: every request that the service had read by then is answered.

    One that is sent later, or less than `GRACE` before, may find the connection closed.
    """
    ended, answered, refused, broken = threading.Event(), count(), count(), []
    signalled = [float("inf")]

    def client() -> None:
        for n in count():
            sent = time.monotonic()
            try:
                status, _ = service.ask("/v1/predict", {"adapter": CHOOSING[n % 4], "inputs": list(TEXTS)})
            except (OSError, http.client.HTTPException) as error:
                if sent < signalled[0] - GRACE or isinstance(error, http.client.IncompleteRead):
                    broken.append(repr(error))
                next(refused)
                return
            if status == 200:
                next(answered)
            elif status != 503 or not ended.is_set():
                broken.append(str(status))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    ended.set()
    signalled[0] = time.monotonic()
    status = service.end()
    for thread in threads:
        thread.join()
    return {
        "answered": next(answered), "refused_after_the_signal": next(refused), "broken": broken, "exit_status": status,
        "seconds": time.monotonic() - signalled[0], "tracebacks": service.said().count("Traceback"),
    }  # fmt: skip


def together(work: Callable[[], None], clients: int) -> None:
    """Do the same in so many threads, and raise what one of them raised."""
    failed: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def measure(requests: int, bad: int, leavers: int) -> dict[str, Any]:
    """All parts."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        adapters, port = make_adapters(Path(place)), free_port()
        service = Process(adapters, port)
        found["mixed"] = mixed(service, requests)
        found["malformed"] = send_malformed(service, bad)
        found["vanish"] = vanish(service, leavers)
        found["sigterm"] = sigterm(service)
        service = Process(adapters, port)
        status = service.end(signal.SIGKILL)
        again = Process(adapters, port)
        found["sigkill"] = {"exit_status": status, "seconds_to_answer_again": again.seconds_to_answer}
        again.end()
    return found


def failures_of_mixed(found: dict[str, Any]) -> list[str]:
    """What is not as it must be of the mixed requests."""
    parts = {
        "mixed: requests failed": set(found["statuses"]) != {200},
        "mixed: objects stay": found["objects_per_request"] > OBJECTS,
        "mixed: memory grew": found["memory_growth"] > GROWTH or found["resident_growth"] > RESIDENT,
    }
    return [name for name, wrong in parts.items() if wrong]


def failures(found: dict[str, Any]) -> list[str]:
    """What is not as it must be."""
    parts = {
        "malformed: failed": bool(found["malformed"]["failed"]),
        "vanish: something waits, or is left open": bool(
            found["vanish"]["waiting"] or found["vanish"]["open_files"][1] > found["vanish"]["open_files"][0] + 2
        ),
        "vanish: no answer": not found["vanish"]["answers"],
        "sigterm: a request was broken": bool(found["sigterm"]["broken"]),
        "a traceback": any(found[part]["tracebacks"] for part in ("malformed", "vanish", "sigterm")),
    }
    return failures_of_mixed(found["mixed"]) + [name for name, wrong in parts.items() if wrong]


def main() -> None:
    """Measure, write JSON to standard output, and fail where something is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--malformed", type=int, default=2_000)
    parser.add_argument("--leavers", type=int, default=300)
    parser.add_argument("--runs", nargs="+", metavar="NAME=FOLDER", help="of a real model; the mixed requests alone")
    parser.add_argument("--dtype", default="bfloat16", help="of the real model")
    given = parser.parse_args()
    if given.runs:
        adapters = {name: Path(folder).resolve() for name, _, folder in (run.partition("=") for run in given.runs)}
        service = Process(adapters, free_port(), given.dtype)
        part = mixed(service, given.requests, draw=asked_of(list(adapters)))
        service.end()
        print(json.dumps({"machine": machine(), "mixed": part}, indent=1))
        if wrong := failures_of_mixed(part):
            sys.exit("; ".join(wrong))
        return
    found = measure(given.requests, given.malformed, given.leavers)
    print(json.dumps({"machine": machine(), **found}, indent=1))
    if wrong := failures(found):
        sys.exit("; ".join(wrong))


if __name__ == "__main__":
    main()
