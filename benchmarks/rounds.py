"""Contestants in turn, each in a process of its own, round after round, so that what else the machine does falls on all alike."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.worker import versions
from benchmarks.workload import Workload

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Entry:
    """Who does which part of which workload."""

    contestant: str
    part: str
    work: Workload


def step_count(text: str) -> int:
    """An option's number of steps: two or more, for the first is not counted in the speed.

    >>> step_count("2")
    2
    """
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"'{text}': give 2 or more, for the first step is not counted in the speed")
    return int(text)


def run_once(entry: Entry, folder: Path, limit: float = 3600.0) -> dict[str, Any]:
    """One process, start to end; what it wrote, or that it died.

    Args:
        limit: seconds after which it is ended.
    """
    given, out = folder / "work.json", folder / "result.json"
    out.unlink(missing_ok=True)
    entry.work.write(given)
    words = [
        str(interpreter(entry.contestant)),
        "-m",
        "benchmarks.worker",
        entry.contestant,
        entry.part,
        str(given),
        str(out),
        str(time.time()),
    ]
    identity = {
        "contestant": entry.contestant,
        "part": entry.part,
        "workload": entry.work.name,
        "setting": entry.work.setting,
    }
    if not Path(words[0]).exists():
        return {**identity, "error": "not installed: make peers"}
    try:
        done = subprocess.run(words, cwd=ROOT, env=_environment(), capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {**identity, "error": f"not done in {limit:.0f} s"}
    if not out.exists():
        return {
            **identity,
            "error": f"ended with status {done.returncode}: {(done.stderr.strip() or '?').splitlines()[-1][:200]}",
        }
    result: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return result


def alternate(
    entries: Sequence[Entry], rounds: int, *, say: Any = print, kept: Path | None = None, limit: float = 3600.0
) -> list[dict[str, Any]]:
    """All entries once a round, `rounds` times; one that failed is not asked again.

    Args:
        kept: a file of JSON lines; what it holds is not measured again, so that hours of measuring can be interrupted.
        limit: seconds after which a process is ended.
    """
    found: list[dict[str, Any]] = []
    failed: set[int] = set()
    lines = kept.read_text(encoding="utf-8").splitlines() if kept and kept.exists() else []
    known = {(r["round"], *_identity(r)): r for r in map(json.loads, lines)}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for index, entry in enumerate(entries):
                if index in failed:
                    continue
                result = known.get((number, entry.work.name, entry.work.setting, entry.part, entry.contestant))
                if result is None:
                    result = {"round": number, **run_once(entry, Path(folder), limit)}
                    if kept:
                        with kept.open("a", encoding="utf-8") as file:
                            file.write(json.dumps(result) + "\n")
                found.append(result)
                say(_said(result, rounds))
                if "error" in result:
                    failed.add(index)
    return found


def in_one_process(
    entries: Sequence[Entry], rounds: int, *, say: Any = print, limit: float = 600.0
) -> list[dict[str, Any]]:
    """All entries once a round in one process, which keeps the base model that they share.

    Args:
        limit: seconds after which the process is ended; what it measured until then is returned.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder, "entries.json"), Path(folder, "results.jsonl")
        given.write_text(json.dumps([(entry.contestant, entry.part, asdict(entry.work)) for entry in entries]))
        words = [sys.executable, "-m", "benchmarks.session", str(given), str(out), str(rounds)]
        try:
            done = subprocess.run(words, cwd=ROOT, env=_environment(), timeout=limit, stderr=subprocess.PIPE, text=True)
            ended = f"ended with status {done.returncode}: {(done.stderr.strip() or '?').splitlines()[-1][:200]}"
        except subprocess.TimeoutExpired:
            ended = f"not done in {limit:.0f} s"
        found = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    measured = {_identity(result) for result in found}
    for entry in entries:
        identity = dict(zip(IDENTITY, (entry.work.name, entry.work.setting, entry.part, entry.contestant), strict=True))
        if _identity(identity) not in measured:
            found.append({"round": 0, **identity, "error": ended})
    for result in found:
        say(_said(result, rounds))
    return found


def interpreter(contestant: str) -> Path:
    """The Python that a contestant runs in: this one, or that of an environment of its own (benchmarks/environments)."""
    tool = contestant.partition("-")[0]
    own = ROOT / "benchmarks" / "environments" / f"{tool}.txt"
    return ROOT / f".venv-{tool}" / "bin" / "python" if own.exists() else Path(sys.executable)


def _said(result: dict[str, Any], rounds: int) -> str:
    speed = result.get("examples_per_second")
    figure = result.get("error") or (f"{speed:.3g} examples/s" if speed else "done")
    return f"round {result['round'] + 1} of {rounds}: {', '.join(_identity(result))}: {figure}"


def _environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    return {**os.environ, "PYTHONPATH": path, **offline}


IDENTITY = ("workload", "setting", "part", "contestant")


def _identity(result: dict[str, Any]) -> tuple[str, ...]:
    return tuple(result[key] for key in IDENTITY)


def medians(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One record for each workload, setting, part and contestant: the median and the least and largest of each figure."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault(_identity(result), []).append(result)
    records = []
    for (workload, setting, part, contestant), members in groups.items():
        record: dict[str, Any] = {"workload": workload, "setting": setting, "part": part, "contestant": contestant}
        errors = [m["error"] for m in members if "error" in m]
        names = sorted({k for m in members for k, v in m.items() if isinstance(v, int | float) and k != "round"})
        for name in names:
            values = [m[name] for m in members if m.get(name) is not None]
            record[name] = {
                "median": statistics.median(values),
                "least": min(values),
                "most": max(values),
                "rounds": len(values),
            }
        if errors:
            record["error"] = errors[0]
        records.append(record)
    return records


def packages(results: Sequence[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Contestant -> versions, of those that ran in an environment of their own."""
    found = {r["contestant"]: r["packages"] for r in results if "packages" in r}
    own = {name: found[name] for name in found if interpreter(name) != Path(sys.executable)}
    return {
        name.partition("-")[0]: {k: v for k, v in there.items() if k != "polyprefix"} for name, there in own.items()
    }


def without_answers(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is kept of each round: figures alone."""
    return [
        {k: v for k, v in result.items() if k not in ("log_likelihoods", "answers", "packages")} for result in results
    ]


def same_losses(results: Sequence[dict[str, Any]], tolerance: float = 1e-4) -> list[str]:
    """For each workload, who else has our loss on the first batch, and who has another."""
    return _agreement(results, "loss", lambda a, b: abs(a - b) <= tolerance * max(1.0, abs(a)))


def same_predictions(results: Sequence[dict[str, Any]], tolerance: float = 1e-3) -> list[str]:
    """The same for the likeliest choices and the log-likelihoods, or for the answers; both sides in one dtype."""
    chosen = [r for r in results if r["setting"] == "same"]

    def equal(a: list[list[float]], b: list[list[float]]) -> bool:
        best = [row.index(max(row)) for row in a] == [row.index(max(row)) for row in b]
        return best and all(
            abs(x - y) <= tolerance * max(1.0, abs(x))
            for p, q in zip(a, b, strict=True)
            for x, y in zip(p, q, strict=True)
        )

    ranked = [r for r in chosen if r.get("log_likelihoods")]
    written = [r for r in chosen if r.get("answers")]
    return _agreement(ranked, "log_likelihoods", equal) + _agreement(written, "answers", lambda a, b: a == b)


def _agreement(results: Sequence[dict[str, Any]], key: str, equal: Any) -> list[str]:
    lines = []
    ours = {r["workload"]: r[key] for r in results if r["contestant"] == "polyprefix" and key in r}
    seen = set()
    for result in results:
        who = (result["workload"], result["contestant"])
        if result["contestant"] == "polyprefix" or key not in result or result["workload"] not in ours or who in seen:
            continue
        seen.add(who)
        verdict = "the same" if equal(ours[result["workload"]], result[key]) else "DIFFERENT"
        detail = f" ({ours[result['workload']]:.6f} and {result[key]:.6f})" if key == "loss" else ""
        lines.append(
            f"{result['workload']}: {key.replace('_', ' ')} of polyprefix and {result['contestant']}: {verdict}{detail}"
        )
    return lines


def machine(device: str = "cpu") -> dict[str, Any]:
    """What it ran on."""
    import torch

    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        name = names[0] if names else name
    return {
        "processor": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(0) if device.startswith("cuda") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": versions(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
