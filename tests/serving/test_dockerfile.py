"""Law: the Dockerfile keeps to what hadolint asks for: a pinned base, no cache of pip, a user other than root, a health check, exec forms;
and what it copies and calls is there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from polyprefix.cli import command

ROOT = Path(__file__).parents[2]
LINES = [line for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
STEPS = [step.split(None, 1) for step in re.sub(r"\\\n\s*", "", "\n".join(LINES)).splitlines() if step.strip()]
ALLOWED = {"FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL", "ENTRYPOINT"}


def of(kind: str) -> list[str]:
    return [rest for word, rest in STEPS if word == kind]


def test_instructions_are_known_and_begin_with_the_base() -> None:
    assert STEPS[0][0] == "FROM" and {word for word, _ in STEPS} <= ALLOWED
    [base] = of("FROM")
    name, _, tag = base.partition(":")
    assert name == "python" and re.fullmatch(r"3\.\d+\.\d+-slim-\w+", tag), "a full version, and none of latest"
    python = re.findall(r'requires-python = ">=(\d+\.\d+)"', (ROOT / "pyproject.toml").read_text())[0]
    assert tuple(map(int, tag.split("-")[0].split(".")))[:2] >= tuple(map(int, python.split(".")))


def test_pip_keeps_no_cache_and_installs_what_is_pinned() -> None:
    [run] = of("RUN")
    assert (
        "pip install --no-cache-dir" in run
        and "-c constraints.txt" in run
        and "sudo" not in run
        and "apt-get" not in run
    )
    [extras] = re.findall(r'"\.\[([\w,-]+)\]"', run)
    there = (ROOT / "pyproject.toml").read_text()
    assert all(re.search(rf"^{extra} = \[", there, re.M) for extra in extras.split(","))


def test_what_is_copied_is_there_and_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for copied in of("COPY"):
        *sources, _ = copied.split()
        assert all((ROOT / source).exists() and source in kept for source in sources)
    licences = re.findall(r"license-files = \[(.*)\]", (ROOT / "pyproject.toml").read_text())[0]
    assert all(Path(name).parts[0] in kept for name in re.findall(r'"([^"]+)"', licences))


def test_it_runs_as_a_user_of_its_own_with_a_health_check() -> None:
    [user] = of("USER")
    assert user not in ("root", "0") and f"useradd --create-home --uid 10001 {user}" in of("RUN")[0]
    order = [word for word, _ in STEPS]
    assert order.index("USER") > order.index("RUN") and order.index("ENTRYPOINT") == len(order) - 1
    [check] = of("HEALTHCHECK")
    assert "/health" in check and json.loads(check[check.index("CMD") + 4 :])[0] == "python"


def test_the_command_is_ours() -> None:
    [entry] = of("ENTRYPOINT")
    name, sub, *options = json.loads(entry)
    assert name == "polyprefix" and sub in command.commands
    params = command.commands[sub].make_context(sub, [*options, "RUN"]).params
    assert params["host"] == "0.0.0.0" and of("EXPOSE") == [str(params["port"])]


@pytest.mark.parametrize(
    "line",
    [line[1:].strip() for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("#   docker")],
)
def test_the_lines_that_build_and_run_it(line: str) -> None:
    words = shlex.split(line)
    assert words[0] == "docker" and words[1] in ("build", "run") and "polyprefix" in words
