"""Law: settings pooled are the mean over all their languages, and examples of one task stay one draw."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.statistics.conftest import CODES, answers

from polyprefix.results.table import table_of
from polyprefix.scoring.metrics import accuracy
from polyprefix.statistics.contrasts import contrast, weights
from polyprefix.statistics.groups import other_places
from polyprefix.statistics.pool import pool
from polyprefix.statistics.settings import Setting, read_settings
from polyprefix.types import RunResult

COLUMNS = ("language", "example_id", "answers", "predicted", "log_likelihoods", "text", "correct")


def setting(correctness: dict[str, dict[int, dict[str, dict[str, float]]]]) -> Setting:
    """System -> seed -> language -> example id -> whether it is right."""
    results = []
    for name, seeds in correctness.items():
        for seed, found in seeds.items():
            scores = {code: {"accuracy": accuracy(list(values.values()))} for code, values in found.items()}
            config = {"task": "t", "model": "m", "method": {"name": name}, "seed": seed}
            rows = [
                (code, key, ["yes"], "", [], "", value)
                for code, values in found.items()
                for key, value in values.items()
            ]
            frame = pd.DataFrame(rows, columns=COLUMNS).astype({"correct": float})
            results.append((RunResult(f"{name}{seed}", config, {}, {}, scores, {}), frame))
    (found,) = read_settings(table_of(results))
    return found


def part(shift: float = 0.0, n: int = 60, codes: tuple[str, ...] = CODES) -> Setting:
    shares = {"none": 0.4, "lora": 0.6, "prefix": 0.7}
    return setting(
        {
            name: {seed: answers(share + shift, n=n, codes=codes, seed=seed) for seed in (0, 1)}
            for name, share in shares.items()
        }
    )


def test_one_setting_pooled_is_its_average() -> None:
    together = pool({("terms", "tiny"): part()})
    alone = part().answers((0, 1))
    assert together is not None and together.systems == alone.systems and together.seeds == (0, 1)
    columns = other_places(alone.languages)
    ours = contrast(alone, weights(alone, 2, columns, minus=0))
    theirs = contrast(together, weights(together, 2, [0], minus=0))
    assert theirs.value == pytest.approx(ours.value) and theirs.ci95 == pytest.approx(ours.ci95, abs=1e-5)
    assert theirs.p_runs == pytest.approx(ours.p_runs) and theirs.p_seeds == pytest.approx(ours.p_seeds)


def test_every_language_of_every_setting_counts_the_same() -> None:
    parts = {("a", "x"): part(), ("a", "y"): part(0.1, codes=CODES[:3]), ("b", "x"): part(0.2, n=30)}
    together = pool(parts)
    assert together is not None and len(together.ids) == 90
    expected = np.concatenate(
        [one.answers((0, 1)).scores[:, other_places(one.languages)] for one in parts.values()], axis=1
    )
    assert together.scores[:, 0] == pytest.approx(expected.mean(axis=1))


def test_models_share_the_examples_of_a_task_and_tasks_do_not() -> None:
    def width(parts: dict[tuple[str, str], Setting]) -> float:
        together = pool(parts)
        assert together is not None
        low, high = contrast(together, weights(together, 1, [0])).ci95
        return high - low

    one = setting({name: {0: answers(0.5)} for name in ("none", "lora")})
    alone, models, tasks = (
        width(dict.fromkeys(keys, one)) for keys in ([("a", "x")], [("a", "x"), ("a", "y")], [("a", "x"), ("b", "x")])
    )
    assert models == pytest.approx(alone, rel=1e-3)
    assert tasks == pytest.approx(alone / np.sqrt(2), rel=0.15)


def test_only_common_systems_and_seeds_are_pooled() -> None:
    short = setting({"lora": {1: answers(0.5)}, "none": {1: answers(0.4)}})
    together = pool({("a", "x"): part(), ("b", "x"): short})
    assert together is not None and together.systems == ("none", "lora") and together.seeds == (1,)
    assert pool({("a", "x"): part(), ("b", "x"): setting({"full": {0: answers(0.5)}})}) is None
    assert pool({("a", "x"): part(), ("b", "x"): setting({"none": {5: answers(0.5)}})}) is None
    assert pool({}) is None
