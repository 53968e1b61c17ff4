"""Law: the `curl` lines of docs/deploy.md work as they stand, but for the port and the name of the adapter."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.serving.conftest import Service

PAGE = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text(encoding="utf-8")
LINES = re.findall(r"^curl .*127\.0\.0\.1:8000.*$", re.sub(r"\\\n\s*", "", PAGE), re.M)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
@pytest.mark.parametrize("line", LINES, ids=lambda line: re.findall(r"\d(/[\w/]+)", line)[-1])
def test_a_line_of_the_page(service: Service, line: str) -> None:
    typed = (
        line.replace("http://127.0.0.1:8000", service.url)
        .replace("ADAPTER", "run")
        .replace("curl -s", "curl -sS --fail")
    )
    done = subprocess.run(["bash", "-c", typed], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if "/metrics" not in line:
        answered = json.loads(done.stdout)
        assert "/v1/predict" not in line or len(answered["answers"]) == 2


def test_the_answer_on_the_page_has_the_keys_of_an_answer(service: Service) -> None:
    from tests.serving.test_service import predict

    shown = json.loads(re.findall(r"```text\n(\{\"prediction.*?)```", PAGE, re.S)[0])
    [found] = predict(service, "run", ["Timu yashinda fainali"])
    assert shown.keys() == found.keys()
    assert all(shown[key].keys() == found[key].keys() for key in ("language", "measured"))


def test_there_are_lines() -> None:
    assert len(LINES) == 4
