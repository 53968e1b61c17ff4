"""Law: two processes, replicated or sharded, compute what one does: losses, gradients, answers, and the adapter that is saved.

They find each other by the variables that torch's launcher sets (accelerate calls it on GPUs; on CPUs it would call MPI), and speak gloo.
They are forked by a server that has imported torch once, in place of five interpreters and two launchers that each import it.
"""

from __future__ import annotations

import json
import multiprocessing
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.engine.parallel import METHODS, STEPS, work

ROOT = Path(__file__).parents[2]
KINDS = ("one process", "replicated", "sharded")


def launch(kind: str, out: Path) -> dict[str, Any]:
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["tests.engine.parallel"])
    count = 1 if kind == "one process" else 2
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workers = [
        server.Process(target=work, args=(rank, count, port, kind == "sharded", out, out.with_suffix(f".{rank}")))
        for rank in range(count)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
    errors = [path.read_text() for path in sorted(out.parent.glob(f"{out.stem}.[01]"))]
    assert [worker.exitcode for worker in workers] == [0] * count, errors
    return dict(json.loads(out.read_text()))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("processes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(ROOT), *sys.path])  # of the server, which imports `tests`
        patch.setenv("OMP_NUM_THREADS", "1")
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
