"""`polyprefix serve` on a tiny random model in a process of its own, with adapters of several methods; for benchmarks.load_test."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.rounds import ROOT

METHODS: dict[str, dict[str, Any]] = {
    "prefix": {"length": 5}, "soft-prompt": {"length": 7}, "llama-adapter": {"length": 4}, "lora": {"rank": 4},
    "writer": {"name": "prefix", "length": 3},
}  # fmt: skip


def make_adapters(place: Path) -> dict[str, Path]:
    """Adapters of several methods on a tiny random model, one of which writes its answers."""
    import torch

    from polyprefix.adapters import registry
    from polyprefix.adapters.attach import attach
    from polyprefix.adapters.files import save_adapter
    from polyprefix.models.load import load_model
    from polyprefix.testing.tiny import tiny_model, tiny_tokenizer

    model = place / "tiny"
    tiny_model("gemma3").save_pretrained(model)
    tiny_tokenizer().save_pretrained(model)
    found = {}
    for seed, (name, given) in enumerate(METHODS.items()):
        adapted = attach(load_model(str(model), dtype="float32"), registry.build({"name": name, **given}), seed=seed)
        with torch.no_grad():
            for _, parameter in adapted.trainable():
                parameter.add_(0.05 * torch.randn(parameter.shape))
        task = {"name": "mgsm" if name == "writer" else "sib200", "protocol": "default"}
        found[name] = save_adapter(adapted, place / name, task=task)
    return found


class Process:
    """`polyprefix serve` on some port."""

    def __init__(self, adapters: dict[str, Path], port: int, dtype: str = "float32") -> None:
        begun = time.monotonic()
        self._first = next(iter(adapters))
        self._place = tempfile.TemporaryDirectory()  # as long as the process
        self._counts = Path(self._place.name, "counts.jsonl")
        runs = [f"{name}={folder}" for name, folder in adapters.items()]
        command = [
            sys.executable,
            "-m",
            "benchmarks.watched",
            str(self._counts),
            "serve",
            *runs,
            "--port",
            str(port),
            "--set",
            f"runtime.dtype={dtype}",
        ]
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  as long as the process
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, stderr=self._said, env=environment, cwd=ROOT)
        self.port = port
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() - begun > 120:
                raise SystemExit(f"the service did not begin: {self.said()[-500:]}")
            time.sleep(0.05)
        self.seconds_to_answer = time.monotonic() - begun

    def answers(self) -> bool:
        """Whether a good request is answered."""
        try:
            return self.ask("/v1/predict", {"adapter": self._first, "inputs": ["Timu yashinda fainali"]})[0] == 200
        except OSError:
            return False

    def ask(
        self, path: str, body: Any = None, connection: http.client.HTTPConnection | None = None
    ) -> tuple[int, bytes]:
        """Status and body of an answer."""
        used = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        data = None if body is None else json.dumps(body)
        used.request("POST" if data else "GET", path, data, {"content-type": "application/json"})
        answer = used.getresponse()
        content = answer.read()
        if connection is None:
            used.close()
        return answer.status, content

    def counts(self) -> dict[str, float]:
        """What it holds now, `benchmarks.watched.counts`; nothing may be asked meanwhile."""
        before = self._lines()
        self.process.send_signal(signal.SIGUSR1)
        while len(lines := self._lines()) == len(before):
            if self.process.poll() is not None:
                raise SystemExit(f"the service ended: {self.said()[-500:]}")
            time.sleep(0.05)
        found: dict[str, float] = json.loads(lines[-1])
        return found

    def _lines(self) -> list[str]:
        return self._counts.read_text().splitlines() if self._counts.exists() else []

    def open_files(self) -> int:
        """Open files and sockets."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def waiting(self) -> int:
        """Inputs in the queue."""
        found: int = json.loads(self.ask("/health")[1])["waiting"]
        return found

    def settle(self, open_files: int) -> None:
        """Wait until it has nothing to do and no more files open than that, for a minute at most."""
        begun = time.monotonic()
        while (self.waiting() or self.open_files() > open_files + 2) and time.monotonic() - begun < 60:
            time.sleep(0.1)

    def said(self) -> str:
        """What it has written to standard error."""
        self._said.seek(0)
        return self._said.read()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Its exit status after a signal."""
        self.process.send_signal(number)
        return self.process.wait(60)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
