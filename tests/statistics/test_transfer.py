"""Laws of the transfer matrix: what is chosen, what it is worth, and who is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.report.studies import write_cell
from tests.statistics.matrices import SOURCES, TARGETS, drawn, truth, write_matrix

from polyprefix.results.table import read_table
from polyprefix.statistics.answers import Answers
from polyprefix.statistics.settings import read_settings
from polyprefix.statistics.transfer import TransferMatrix, mean_over_languages, transfer_matrices
from polyprefix.statistics.transfer_summary import summarise

RNG = np.random.default_rng


def reordered(matrix: TransferMatrix, rows: list[int], columns: list[int]) -> TransferMatrix:
    old = matrix.answers
    values = old.values[rows][:, :, columns]
    sources, targets = ([names[i] for i in order] for names, order in ((old.systems, rows), (old.languages, columns)))
    return replace(matrix, answers=Answers(tuple(sources), old.seeds, tuple(targets), values, old.present[columns]))


@pytest.mark.parametrize("seed", range(6))
def test_regret_is_never_negative_and_some_source_has_none(seed: int) -> None:
    matrix = drawn(RNG(seed), truth(RNG(seed), 5, 11), n=6, disjoint=bool(seed % 2))
    there = ~np.isnan(matrix.regret)
    assert (matrix.regret[there] >= 0).all()
    assert (np.nanmin(matrix.regret, axis=0) == 0).all()
    assert np.array_equal(there, matrix.candidates)


def test_the_truth_lies_between_the_two_regrets() -> None:
    """On average over studies; the choice is by other answers than those that score it."""
    true = truth(RNG(3), 5, 11, spread=0.06)
    candidates = drawn(RNG(0), true).candidates
    regret = np.where(candidates, true, -1).max(axis=0)[5:] - true[0, 5:]
    same, cross = [], []
    for seed in range(60):
        matrix = drawn(RNG(seed), true)
        same.append(matrix.regret[0, 5:].mean())
        cross.append(matrix.cross_fitted_regret[0, 5:].mean())
    assert np.mean(cross) < regret.mean() < np.mean(same)
    assert regret.mean() - np.mean(cross) < np.mean(same) - np.mean(cross)


@pytest.mark.parametrize(("seeds", "moves"), [(1, 0.0), (2, 0.0), (2, 0.15)])
def test_where_all_sources_are_alike_the_cross_fitted_regret_is_zero(seeds: int, moves: float) -> None:
    """Neither items nor seeds, which move a source in all targets, choose and score at once; the regret on the same items is what they do."""
    matrices = []
    for seed in range(60):
        rng = RNG(seed)
        parts = [drawn(rng, 0.5 + rng.normal(0, moves, (5, 1)) * np.ones((1, 11)), seeds=1) for _ in range(seeds)]
        values = np.concatenate([one.answers.values for one in parts], axis=1)
        answers = replace(parts[0].answers, seeds=tuple(range(seeds)), values=values)
        matrices.append(replace(parts[0], answers=answers))
    assert abs(np.mean([np.nanmean(m.cross_fitted_regret) for m in matrices])) < 0.012
    assert np.mean([np.nanmean(m.regret) for m in matrices]) > 0.05


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_languages_changes_nothing(seed: int) -> None:
    rng = RNG(seed)
    matrix = drawn(rng, truth(rng, 5, 11), n=8)
    rows, columns = list(rng.permutation(5)), list(rng.permutation(11))
    one, other = summarise(matrix), summarise(reordered(matrix, rows, columns))
    assert {t.target: (sorted(t.best), t.regret, t.own) for t in one.by_target} == {
        t.target: (sorted(t.best), t.regret, t.own) for t in other.by_target
    }
    figures = [{s.source: s.cross_fitted.value for s in x.by_source if s.cross_fitted} for x in (one, other)]
    assert figures[0] == pytest.approx(figures[1])
    net = [{frozenset((p.a, p.b)): abs(p.net.difference.value) for p in x.pairs if p.net} for x in (one, other)]
    assert net[0] == pytest.approx(net[1])


@pytest.mark.parametrize("seed", range(4))
def test_a_language_is_no_source_of_itself(seed: int) -> None:
    """However good training in the target itself is, it is chosen for no target and counts in no regret."""
    true = truth(RNG(seed), 5, 11)
    true[np.arange(5), np.arange(5)] = 1.0
    found = summarise(drawn(RNG(seed), true))
    for one in found.by_target:
        assert one.target not in one.best
        assert (one.own is not None) == (one.target in SOURCES) and one.own in (None, 1.0)
    for cell in found.cells:
        assert cell.difference is None or cell.target not in (cell.source, found.reference)
    for source in found.by_source:
        assert source.regret and source.regret.languages == len(TARGETS) - 1


def test_net_differences_know_nothing_of_how_hard_a_target_is() -> None:
    """Sources that differ by a constant, targets by another: raw differences are large, net ones are of the sources alone."""
    source, target = np.linspace(0, 0.2, 5)[:, None], np.linspace(0.2, 0.7, 11)[None]
    found = summarise(drawn(RNG(0), source + target, n=4000, seeds=1))
    place = {code: i for i, code in enumerate(TARGETS)}
    for pair in found.pairs:
        a, b = place[pair.a], place[pair.b]
        assert pair.net is not None
        assert pair.difference.value == pytest.approx(
            (source[a] + target[0, b] - source[b] - target[0, a]).item(), abs=0.05
        )
        assert pair.net.difference.value == pytest.approx((source[a] - source[b]).item(), abs=0.05)
        assert pair.difference.value == pytest.approx(pair.forth - pair.back)


def test_intervals_of_pairs_cover_the_truth() -> None:
    true = truth(RNG(5), 5, 11, spread=0.1)
    inside = total = 0
    for seed in range(40):
        for pair in summarise(drawn(RNG(seed), true, n=30, seeds=2)).pairs:
            a, b = SOURCES.index(pair.a), SOURCES.index(pair.b)
            low, high = pair.difference.ci95
            inside, total = inside + (low <= true[a, b] - true[b, a] <= high), total + 1
    assert 0.92 <= inside / total <= 0.99


def test_families_are_clusters() -> None:
    alike = mean_over_languages({"fra_Latn": 0.1, "spa_Latn": 0.1, "ita_Latn": 0.1, "swh_Latn": 0.5})
    apart = mean_over_languages({"fin_Latn": 0.1, "tam_Taml": 0.1, "arb_Arab": 0.1, "swh_Latn": 0.5})
    assert alike and apart and alike.value == apart.value and (alike.families, apart.families) == (2, 4)
    assert alike.ci95[1] - alike.ci95[0] > apart.ci95[1] - apart.ci95[0]


def test_a_matrix_of_a_folder_is_its_runs(tmp_path: Path) -> None:
    true = truth(RNG(1), 5, 11)
    for method in ("prefix", "lora"):
        write_matrix(tmp_path, true, method=method)
    table = read_table([tmp_path])
    (setting,) = read_settings(table)
    matrices = {one.method: one for one in transfer_matrices(setting)}
    assert set(matrices) == {"prefix", "lora"}
    for method, matrix in matrices.items():
        assert matrix.sources[0] == "eng_Latn" and set(matrix.sources) == set(SOURCES)
        assert matrix.base.keys() == set(TARGETS) and not matrix.notes
        runs = table.runs[table.runs["method"] == method]
        for m, source in enumerate(matrix.sources):
            mine = [run.scores for run in runs.itertuples() if run.source_languages == (source,)]
            for t, target in enumerate(matrix.targets):
                mean = np.mean([scores[target]["accuracy"].value for scores in mine])
                assert matrix.scores[m, t] == pytest.approx(mean)


def test_sources_without_all_seeds_are_left_out_and_named(tmp_path: Path) -> None:
    true = truth(RNG(1), 5, 11)
    write_matrix(tmp_path, true[:4], sources=SOURCES[:4])
    write_matrix(tmp_path, true[4:], sources=SOURCES[4:], seeds=(0,))
    (setting,) = read_settings(read_table([tmp_path]))
    (matrix,) = transfer_matrices(setting)
    assert set(matrix.sources) == set(SOURCES[:4]) and "Modern Standard Arabic" in matrix.notes[0]


def test_several_sources_at_once_are_no_row_of_a_matrix(tmp_path: Path) -> None:
    """A mixture and a few rows of a target are neither a source nor in anybody's place."""
    codes = ["eng_Latn", "hin_Deva", "fra_Latn"]
    for share, sources, targets in (
        (0.2, codes[:1], []),
        (0.4, codes[1:2], []),
        (0.9, [codes[2], codes[0]], []),
        (0.9, codes[:1], codes[2:]),
    ):
        more = {"target_languages": targets, "target_size": 5} if targets else {}
        write_cell(tmp_path, codes, source_languages=sources, share=share, n=200, **more)
    (setting,) = read_settings(read_table([tmp_path]))
    (matrix,) = transfer_matrices(setting)
    assert matrix.sources == ("eng_Latn", "hin_Deva")
    assert matrix.scores.mean(axis=1) == pytest.approx([0.2, 0.4], abs=0.1)


def test_intervals_of_sources_cover_the_truth() -> None:
    """Of their averages and of their differences to English, with two seeds that move a source in all targets; differences hardly ever
    have the t of one degree of freedom."""
    true, inside, total = truth(RNG(6), 5, 11, spread=0.05), np.zeros(2), 0
    widths: list[float] = []
    for seed in range(50):
        rng = RNG(seed)
        moved = [np.clip(true + rng.normal(0, 0.04, (5, 1)), 0, 1) for _ in range(2)]
        parts = [drawn(rng, one, n=30, seeds=1).answers.values for one in moved]
        matrix = drawn(rng, true, n=30, seeds=2)
        answers = replace(matrix.answers, values=np.concatenate(parts, axis=1))
        for source in summarise(replace(matrix, answers=answers)).by_source:
            mean, english = (true[row, 5:].mean() for row in (SOURCES.index(source.source), 0))
            low, high = source.score.ci95
            inside[0] += low <= mean <= high
            if source.difference:
                low, high = source.difference.difference.ci95
                inside[1] += low <= mean - english <= high
                widths.append(high - low)
            total += 1
    assert np.median(widths) < 0.3 and max(widths) < 0.7
    assert inside[0] / total >= 0.93 and inside[1] / (total * 4 / 5) >= 0.93
