"""The service under load, beside offline prediction of the same texts. python -m benchmarks.serving RUN [RUN...] --texts FILE.csv

Each round measures in turn, so that what else the machine does meets all of them: offline prediction with the first run; the service with 1,
8 and 64 clients that each ask one text at a time of the first run; and 64 clients that ask all runs in turn. Requests are those of
`/v1/predict` with everything that it answers by default: recognised language, calibration, what was measured.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.rounds import machine

CLIENTS = (1, 8, 64)


class Service:
    """The command in a process of its own."""

    def __init__(self, runs: Sequence[str], port: int) -> None:
        begun = time.monotonic()
        command = [sys.executable, "-m", "polyprefix", "serve", *runs, "--port", str(port)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
        assert self.process.stderr is not None
        while not re.search(r"http://", line := self.process.stderr.readline()):
            if not line:
                raise SystemExit("the service ended")
        self.port = port
        while True:
            try:
                self.request(http.client.HTTPConnection("127.0.0.1", port), "/v1/models")
                break
            except OSError:
                time.sleep(0.02)
        self.seconds_to_answer = time.monotonic() - begun

    def request(self, connection: http.client.HTTPConnection, path: str, body: Any = None) -> Any:
        """The JSON of an answer."""
        data = None if body is None else json.dumps(body)
        connection.request("POST" if data else "GET", path, data, {"content-type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path}: status {answer.status}: {content[:200]!r}")
        return json.loads(content)

    def memory_mb(self) -> float | None:
        """Resident memory of the service, where the system says it."""
        try:
            text = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return None
        return int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) / 1024

    def load(self, adapters: Sequence[str], texts: Sequence[str], clients: int) -> dict[str, float]:
        """Ask every text once, by so many clients at once that ask the adapters in turn."""
        seconds: list[float] = []
        numbers = count()

        def client() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port)
            while (n := next(numbers)) < len(texts):
                begun = time.monotonic()
                body = {"adapter": adapters[n % len(adapters)], "inputs": [texts[n]]}
                self.request(connection, "/v1/predict", body)
                seconds.append(time.monotonic() - begun)

        begun = time.monotonic()
        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        whole = time.monotonic() - begun
        ordered = sorted(seconds)
        return {
            "texts_per_second": len(texts) / whole,
            "p50_ms": 1000 * statistics.median(ordered),
            "p99_ms": 1000 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))],
        }


def measure(runs: Sequence[str], texts: Sequence[str], rounds: int, port: int) -> dict[str, Any]:
    """All figures, a list of one a round each."""
    from polyprefix.prediction import Predictor

    ask = Predictor(runs[0].partition("=")[2] or runs[0])
    ask(list(texts[:8]))
    service = Service(runs, port)
    connection = http.client.HTTPConnection("127.0.0.1", port)
    adapters = [one["id"] for one in service.request(connection, "/v1/models")["data"]]
    service.load(adapters, texts[: 4 * len(adapters)], 4)
    found: dict[str, Any] = {"seconds_to_first_answer": service.seconds_to_answer, "offline": [], "memory_mb": []}
    for _ in range(rounds):
        begun = time.monotonic()
        ask(list(texts))
        found["offline"].append({"texts_per_second": len(texts) / (time.monotonic() - begun)})
        for clients in CLIENTS:
            few = texts[: max(64, len(texts) * min(clients, 8) // 8)]
            found.setdefault(f"one adapter, {clients} clients", []).append(service.load(adapters[:1], few, clients))
        found.setdefault(f"{len(adapters)} adapters, {CLIENTS[-1]} clients", []).append(
            service.load(adapters, texts, CLIENTS[-1])
        )
        found["memory_mb"].append(service.memory_mb())
    service.process.terminate()
    service.process.wait()
    return found


def main() -> None:
    """Measure, and write JSON to standard output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", help="FOLDER or NAME=FOLDER")
    parser.add_argument("--texts", type=Path, required=True, help="a CSV file whose first input column is asked")
    parser.add_argument("--column", required=True)
    parser.add_argument("--count", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--port", type=int, default=8123)
    given = parser.parse_args()
    import pandas as pd

    there = pd.read_csv(given.texts)[given.column].astype(str).tolist()
    texts = [
        f"{n} {there[n % len(there)]}" for n in range(given.count)
    ]  # no two begin alike, so that none is computed for another
    print(json.dumps({"machine": machine(), **measure(given.runs, texts, given.rounds, given.port)}, indent=1))


if __name__ == "__main__":
    main()
