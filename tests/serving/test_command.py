"""Law: `polyprefix serve` answers soon, answers everything that it accepted before SIGTERM ends it, and says what is wrong in one line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.serving.conftest import FLOAT32
from tests.serving.test_service import call

Command = Callable[..., tuple[int, str, str]]


class Process:
    """The command on a free port."""

    def __init__(self, *words: object, **variables: str) -> None:
        self.began = time.monotonic()
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
        command = [sys.executable, "-m", "polyprefix", "serve", *map(str, words), "--port", str(free_port()), *FLOAT32]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        assert self.process.stderr is not None
        found = None
        while found is None:
            line = self.process.stderr.readline()
            assert line, "it ended"
            found = re.search(r"http://\S+:\d+", line)
        self.url = found[0]
        while not self.answers():
            time.sleep(0.05)

    def answers(self) -> bool:
        try:
            return call(f"{self.url}/health")[0] == 200
        except OSError:
            return False


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def test_every_accepted_request_is_answered_before_it_ends(run: Path, folders: dict[str, Path]) -> None:
    service = Process(f"news={run}", f"lora={folders['lora']}")
    ended = False

    def ask(n: int) -> tuple[int, Any]:
        body = {"adapter": ("news", "lora")[n % 2], "inputs": [f"Timu {n}"] * 8}
        try:
            status, _, told = call(f"{service.url}/v1/predict", body)
        except OSError as error:  # what it did not accept
            assert ended, error
            return 0, None
        return status, told

    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(ask, n) for n in range(300)]
        asked[20].result()
        ended = True
        service.process.send_signal(signal.SIGTERM)
        found = [one.result() for one in asked]
    assert service.process.wait(30) in (0, -signal.SIGTERM)
    assert service.process.stderr is not None and "Traceback" not in service.process.stderr.read()
    answered = [told for status, told in found if status == 200]
    assert {status for status, _ in found} <= {0, 200, 503}
    assert len(answered) > 20 and all(len(told["answers"]) == 8 for told in answered)


def test_the_key_comes_from_the_environment(run: Path) -> None:
    service = Process(run, POLYPREFIX_API_KEY="k")
    assert call(f"{service.url}/v1/models")[0] == 401
    assert call(f"{service.url}/v1/models", authorization="Bearer k")[2]["data"][0]["id"] == run.name
    service.process.kill()
    service.process.wait()


def test_mistakes_are_one_line(polyprefix: Command, run: Path, tmp_path: Path) -> None:
    for words, word in (
        ((tmp_path,), "adapter.json"),
        ((run, run), "NAME=FOLDER"),
        ((run, "--set", "serve.queu=3"), "did you mean 'serve.queue'"),
        ((run, "--set", "serve.queue=0"), "greater than"),
        ((f"a b={run}",), "letters"),
    ):
        status, _, err = polyprefix("serve", *words)
        assert status == 2 and word in err and err.count("polyprefix: ") == 1, err


def test_what_is_not_installed_is_named(polyprefix: Command, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "fastapi" else real(name))
    status, _, err = polyprefix("serve", run)
    assert status == 2 and "polyprefix[serve]" in err
