"""Synthetic transfer matrices whose truth is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from polyprefix.results.files import write_predictions
from polyprefix.results.folder import RunFolder
from polyprefix.scoring.bootstrap import Floats
from polyprefix.scoring.metrics import accuracy
from polyprefix.statistics.answers import Answers
from polyprefix.statistics.transfer import TransferMatrix
from polyprefix.types import Prediction, RunResult

SOURCES = ("eng_Latn", "fra_Latn", "hin_Deva", "swh_Latn", "arb_Arab")
TARGETS = (*SOURCES, "spa_Latn", "ben_Beng", "zul_Latn", "heb_Hebr", "fin_Latn", "quy_Latn")


def truth(rng: np.random.Generator, sources: int, targets: int, *, spread: float = 0.08) -> Floats:
    """True scores: how good a source is, how hard a target is, and what is of the two together."""
    base = 0.5 + rng.normal(0, 0.05, (sources, 1)) + rng.normal(0, 0.1, (1, targets))
    found: Floats = np.clip(base + rng.normal(0, spread, (sources, targets)), 0.02, 0.98)
    return found


def drawn(
    rng: np.random.Generator,
    true: Floats,
    *,
    n: int = 20,
    seeds: int = 2,
    sources: Sequence[str] = SOURCES,
    targets: Sequence[str] = TARGETS,
    disjoint: bool = True,
) -> TransferMatrix:
    """A measured matrix: right answers with the true probability, other items in each language or the same ones."""
    N, T = true.shape
    own = np.eye(T, dtype=bool) if disjoint else np.ones((T, 1), dtype=bool)
    present = np.repeat(own, n, axis=1)
    values = (rng.random((N, seeds, T, present.shape[1])) < true[:, None, :, None]) * present[None, None]
    ids = tuple(str(i) for i in range(present.shape[1]))
    answers = Answers(tuple(sources), tuple(range(seeds)), tuple(targets), values.astype(float), present, ids)
    return TransferMatrix("alpha", "tiny", 0, "accuracy", "prefix", answers)


def write_matrix(
    out: Path, true: Floats, *, method: str = "prefix", n: int = 20, seeds: Sequence[int] = (0, 1), task: str = "alpha",
    model: str = "tiny-a", sources: Sequence[str] = SOURCES, targets: Sequence[str] = TARGETS, base: float | None = 0.3,
) -> Path:  # fmt: skip
    """The runs of a matrix as a study writes them: disjoint items, and the base model where it is asked for."""
    name = Path(task).name
    trained = [(source, seed, true[row]) for row, source in enumerate(sources) for seed in seeds]
    for source, seed, shares in trained:
        _write(out, f"{name}-{method}-{source}-s{seed}", targets, shares, n, {
            "model": model, "task": task, "method": {"name": method}, "source_languages": [source], "seed": seed,
            "train": {"epochs": 4}, "languages": list(targets), "eval_ids": "disjoint", "eval_size": n,
        })  # fmt: skip
    if base is not None and not (out / f"{name}-none-s0").exists():
        _write(out, f"{name}-none-s0", targets, np.full(len(targets), base), n, {
            "model": model, "task": task, "method": {"name": "none"}, "source_languages": [], "seed": 0,
            "train": {"epochs": 0, "steps": 0}, "languages": list(targets), "eval_ids": "disjoint", "eval_size": n,
        })  # fmt: skip
    return out


def _write(out: Path, name: str, targets: Sequence[str], shares: Floats, n: int, config: dict[str, object]) -> None:
    rng = np.random.default_rng(sum(map(ord, name)))
    predictions, correctness, scores = [], [], {}
    for t, (code, share) in enumerate(zip(targets, shares, strict=True)):
        right = [float(x) for x in rng.random(n) < share]
        predictions += [Prediction(f"q{t}-{i}", code, ("yes",), "yes" if x else "no") for i, x in enumerate(right)]
        correctness += right
        scores[code] = {"accuracy": accuracy(right)}
    folder = RunFolder(out, name)
    write_predictions(folder.predictions, predictions, correctness)
    trained = 10 if config["method"] != {"name": "none"} else 0
    folder.finish(RunResult(name, config, {}, {"trainable": trained, "total": 100 + trained}, scores, {}))
