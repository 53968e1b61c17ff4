"""The service under load, beside offline prediction of the same texts. python -m benchmarks.serving RUN [RUN...] --texts FILE.csv

Each round measures in turn, so that what else the machine does meets all of them: offline prediction with the first run; the service with 1,
8 and 64 clients that each ask one text at a time of the first run; and 64 clients that ask all runs in turn. Requests are those of
`/v1/predict` with everything that it answers by default: recognised language, calibration, what was measured. With --litserve WAY:DTYPE, as
often as wanted, the same clients also ask the same adapters as PEFT folders behind LitServe (benchmarks/litserve_peft.py; pip install
litserve).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.load_test import together
from benchmarks.rounds import machine

CLIENTS = (1, 8, 64)


class Server:
    """A command that answers `{"adapter": ..., "inputs": [text]}` over HTTP, in a process of its own."""

    def __init__(self, command: Sequence[str], port: int, path: str, health: str) -> None:
        begun = time.monotonic()
        self.process = subprocess.Popen(command, stdout=sys.stderr, env=dict(os.environ), start_new_session=True)
        self.port, self.path = port, path
        while True:
            try:
                self.request(http.client.HTTPConnection("127.0.0.1", port), health)
                break
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit(f"{' '.join(command[:3])} ended") from None
                time.sleep(0.02)
        self.seconds_to_answer = time.monotonic() - begun

    def request(self, connection: http.client.HTTPConnection, path: str, body: Any = None) -> bytes:
        """The body of an answer."""
        data = None if body is None else json.dumps(body)
        connection.request("POST" if data else "GET", path, data, {"content-type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status == 503 and data is None:
            raise OSError("not ready")
        if answer.status != 200:
            raise SystemExit(f"{path}: status {answer.status}: {content[:200]!r}")
        return content

    def memory_mb(self) -> float | None:
        """Resident memory of the process, where the system says it."""
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
                self.request(connection, self.path, {"adapter": adapters[n % len(adapters)], "inputs": [texts[n]]})
                seconds.append(time.monotonic() - begun)

        begun = time.monotonic()
        together(client, clients)
        whole = time.monotonic() - begun
        ordered = sorted(seconds)
        return {
            "texts_per_second": len(texts) / whole,
            "p50_ms": 1000 * statistics.median(ordered),
            "p99_ms": 1000 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))],
        }

    def end(self) -> None:
        """End the process and those that it started."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


def ours(runs: Sequence[str], port: int) -> Server:
    """`polyprefix serve`."""
    command = [sys.executable, "-m", "polyprefix", "serve", *runs, "--port", str(port)]
    return Server(command, port, "/v1/predict", "/v1/models")


def litserve_with_peft(folders: Mapping[str, Path], setting: str, port: int, place: Path) -> Server:
    """The same adapters as PEFT folders behind LitServe, WAY:DTYPE of `benchmarks.litserve_peft`."""
    from polyprefix.adapters.files import load_adapter
    from polyprefix.adapters.formats import export_adapter
    from polyprefix.adapters.saved import read_settings
    from polyprefix.models.load import load_model

    saved = [read_settings(folder) for folder in folders.values()]
    [name] = {one["base"]["name"] for one in saved}
    way, _, dtype = setting.partition(":")
    for adapter, folder in folders.items():
        if (place / adapter).exists():
            continue
        export_adapter(load_adapter(load_model(name), folder), "peft", place / adapter)
    words = [f"{adapter}={place / adapter}" for adapter in folders]
    command = [
        sys.executable,
        "-m",
        "benchmarks.litserve_peft",
        str(port),
        way,
        name,
        dtype or "auto",
        str(next(iter(folders.values()))),
        *words,
    ]
    return Server(command, port, "/predict", "/health")


def measure(
    runs: Sequence[str], texts: Sequence[str], rounds: int, port: int, litserve: Sequence[str]
) -> dict[str, Any]:
    """All figures, a list of one a round each."""
    from polyprefix.prediction import Predictor
    from polyprefix.serving.adapters import named

    folders = named(runs)
    adapters = list(folders)
    ask = Predictor(folders[adapters[0]])
    ask(list(texts[:8]))
    with tempfile.TemporaryDirectory() as place, ExitStack() as ends:
        service = ours(runs, port)
        ends.callback(service.end)
        service.load(adapters, texts[: 4 * len(adapters)], 4)
        found: dict[str, Any] = {"seconds_to_first_answer": service.seconds_to_answer, "offline": [], "memory_mb": []}
        servers = {"service": service}
        for number, setting in enumerate(litserve, start=1):
            other = litserve_with_peft(folders, setting, port + number, Path(place))
            ends.callback(other.end)
            other.load(adapters, texts[: len(adapters)], 4)
            servers[f"LitServe with PEFT, {setting}"] = other
        for _ in range(rounds):
            begun = time.monotonic()
            ask(list(texts))
            found["offline"].append({"texts_per_second": len(texts) / (time.monotonic() - begun)})
            print("offline", json.dumps(found["offline"][-1]), file=sys.stderr, flush=True)
            for name, server in servers.items():
                part = texts if server is service else texts[: max(8, len(texts) // 4)]
                for key, figures in loads(server, adapters, part):
                    found.setdefault(f"{name}, {key}", []).append(figures)
                    print(name, key, json.dumps(figures), file=sys.stderr, flush=True)  # should the rest not come
            found["memory_mb"].append(service.memory_mb())
    return found


def loads(server: Server, adapters: Sequence[str], texts: Sequence[str]) -> Iterator[tuple[str, dict[str, float]]]:
    """What one server does under each load; fewer clients ask fewer texts, since they take longer."""
    for clients in CLIENTS:
        few = texts[: max(8, len(texts) * min(clients, 8) // 8)]
        yield f"one adapter, {clients} clients", server.load(adapters[:1], few, clients)
    if len(adapters) > 1:
        yield f"{len(adapters)} adapters, {CLIENTS[-1]} clients", server.load(adapters, texts, CLIENTS[-1])


def main() -> None:
    """Measure, and write JSON to standard output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", help="FOLDER or NAME=FOLDER")
    parser.add_argument("--texts", type=Path, required=True, help="a CSV file whose first input column is asked")
    parser.add_argument("--column", required=True)
    parser.add_argument("--count", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--litserve", action="append", default=[], metavar="WAY:DTYPE", help="plain or careful")
    parser.add_argument("--port", type=int, default=8123)
    given = parser.parse_args()
    import pandas as pd

    there = pd.read_csv(given.texts)[given.column].astype(str).tolist()
    texts = list(dict.fromkeys(there))[: given.count]
    if len(texts) < given.count:  # what is asked twice would be computed once
        parser.error(f"{given.texts}: {len(texts)} different texts, --count asks {given.count}; give a longer file")
    print(
        json.dumps(
            {"machine": machine(), **measure(given.runs, texts, given.rounds, given.port, given.litserve)}, indent=1
        )
    )


if __name__ == "__main__":
    main()
