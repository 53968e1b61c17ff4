"""Law: two processes, replicated or sharded, compute what one does: losses, gradients, answers, and the adapter that is saved.

They are started by torch's launcher, which accelerate's own calls on GPUs (on CPUs it would call MPI), and speak gloo.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.engine.parallel import METHODS, STEPS

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("parallel.py")
KINDS = ("one process", "replicated", "sharded")


def launch(kind: str, out: Path) -> dict[str, Any]:
    words = [sys.executable, str(WORKER), str(out)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *filter(None, sys.path)))),
        "OMP_NUM_THREADS": "1",
    }
    if kind != "one process":
        words[1:1] = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
        environment |= {"ACCELERATE_USE_CPU": "true", "ACCELERATE_USE_FSDP": str(kind == "sharded").lower()}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(out.read_text()))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("processes")
    return {kind: launch(kind, folder / f"{kind}.json") for kind in KINDS}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS[1:])
def test_two_processes_compute_what_one_does(found: dict[str, dict[str, Any]], kind: str, method: str) -> None:
    one, two = found["one process"][method], found[kind][method]
    assert (two["processes"], two["sharded"]) == (2, kind == "sharded")
    assert len(one["losses"]) == STEPS and one["resumed_at"] == two["resumed_at"] == [None, STEPS]
    for figure in ("losses", "norms", "validation", "logits of the saved adapter"):
        assert two[figure] == pytest.approx(one[figure], abs=1e-5, rel=1e-4 if figure == "norms" else 1e-6), figure
    for language, answers in one["answers"].items():
        for a, b in zip(answers, two["answers"][language], strict=True):
            assert a == pytest.approx(b, abs=1e-5)
    assert two["passes"] >= 2 * STEPS, "one process had nothing to do"
    assert len(set(one["losses"])) == STEPS, "nothing was learned"
