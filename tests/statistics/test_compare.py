"""Law: a folder of runs gives paired comparisons with the baseline, on common examples, corrected, and says what it left out."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from tests.statistics.conftest import CODES, WriteRun, answers

import polyprefix as pp
from polyprefix.errors import ConfigError, OutputError
from polyprefix.results.table import read_table
from polyprefix.statistics.compare import Comparison, compare
from polyprefix.statistics.comparisons import FAMILIES

FAST = 300


def test_differences_gaps_and_counts_are_those_of_the_answers(write_run: WriteRun) -> None:
    none, lora, prefix = answers(0.4), answers(0.6, seed=1), answers(0.8)
    for method, correctness in (("none", none), ("lora", lora), ("prefix", prefix)):
        folder = write_run(method, correctness)
    found = compare(folder, "none", resamples=FAST)
    (setting,) = found.settings
    assert [s.system for s in setting.systems] == ["none", "lora", "prefix"]
    for pair in setting.by_language:
        theirs = {"lora": lora, "prefix": prefix}[pair.system]
        pairs = [(theirs[pair.name][key], none[pair.name][key]) for key in none[pair.name]]
        up, down = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
        assert pair.difference.value == pytest.approx((up - down) / len(pairs))
        expected = mcnemar([[0, up], [down, 0]], exact=False, correction=True).pvalue if up != down else 1.0
        assert pair.difference.p_runs == pytest.approx(expected)
        assert pair.score - pair.baseline_score == pytest.approx(pair.difference.value)
    mean = {name: {c: np.mean(list(a[c].values())) for c in CODES} for name, a in (("none", none), ("prefix", prefix))}
    mean["zero"] = dict.fromkeys(CODES, np.float64(0))
    summary = setting.systems[2]
    rest, gained = (np.mean([mean["prefix"][c] - mean[other][c] for c in CODES[1:]]) for other in ("zero", "none"))
    assert setting.averages[1].difference.value == pytest.approx(gained)
    assert summary.transfer_gap and summary.transfer_gap.value == pytest.approx(mean["prefix"]["eng_Latn"] - rest)
    gain = mean["prefix"]["eng_Latn"] - mean["none"]["eng_Latn"]
    assert summary.transfer_ratio and summary.transfer_ratio.value == pytest.approx(gained / gain)
    clear = [pair for pair in setting.by_language if pair.system == "prefix" and pair.significance]
    assert summary.wins + summary.losses == len(clear) and summary.ties == len(CODES) - len(clear)
    assert summary.wins > 0
    assert isinstance(summary.regression, str) and "too few" in summary.regression


def test_corrections_are_over_all_comparisons_of_the_call(write_run: WriteRun) -> None:
    for model in ("tiny", "small"):
        for method, share in (("none", 0.5), ("lora", 0.6), ("prefix", 0.65)):
            folder = write_run(method, answers(share, seed=len(method)), model=model)
    found = compare(folder, "none", resamples=FAST)
    groups = sum(len(setting.by_group) for setting in found.settings)
    assert found.corrected_over == {"averages": 4, "named": 0, "by_language": 24, "by_group": groups}
    for family, method in FAMILIES.items():
        pairs = [pair for setting in found.settings for pair in getattr(setting, family)]
        expected = multipletests([pair.difference.p_runs for pair in pairs], method=method)[1] if pairs else []
        assert [pair.adjusted_runs for pair in pairs] == pytest.approx(list(expected))
    tests = [one for setting in found.settings for one in setting.interactions]
    expected = multipletests([one.p_value for one in tests], method="fdr_bh")[1]
    assert len(tests) > 4 and [one.adjusted for one in tests] == pytest.approx(list(expected))


def test_seeds_are_a_level_and_the_base_model_stands_beside_each(write_run: WriteRun) -> None:
    write_run("none", answers(0.3))
    for seed in (0, 1, 2):
        folder = write_run("prefix", answers(0.8 + 0.01 * seed, seed=seed), seed=seed)
    (setting,) = compare(folder, "none", resamples=FAST).settings
    assert setting.seeds == (0, 1, 2) and not setting.notes
    pair = setting.averages[0]
    assert pair.difference.p_seeds is not None and pair.difference.p_seeds >= pair.difference.p_runs
    assert pair.significance == "**"


def test_a_difference_is_over_the_seeds_that_both_have(write_run: WriteRun) -> None:
    runs = {seed: answers(0.8, seed=seed) for seed in (0, 1, 2)}
    for seed, correctness in runs.items():
        write_run("prefix", correctness, seed=seed)
    write_run("full", answers(0.5), seed=7)
    lora = answers(0.5)
    folder = write_run("lora", lora, seed=1)
    (setting,) = compare(folder, "lora", resamples=FAST).settings
    assert {summary.system: summary.seeds for summary in setting.systems} == {
        "prefix": (0, 1, 2), "full": (7,), "lora": (1,),
    }  # fmt: skip
    gains = [np.mean(list(runs[1][code].values())) - np.mean(list(lora[code].values())) for code in CODES[1:]]
    assert [pair.system for pair in setting.averages] == ["prefix"]
    assert setting.averages[0].difference.value == pytest.approx(np.mean(gains))
    assert "prefix: seeds 0, 2 left out of its differences" in "\n".join(setting.notes)
    assert "full: no seed in common with lora" in "\n".join(setting.notes)


def test_an_ablation_with_one_seed_takes_no_seeds_from_others(write_run: WriteRun) -> None:
    write_run("none", answers(0.3))
    for seed in (0, 1, 2):
        for method in ("prefix", "lora"):
            write_run(
                method, answers(0.7, seed=seed), seed=seed, **({"method": {"length": 8}} if method == "prefix" else {})
            )
    folder = write_run("prefix", answers(0.6), method={"length": 64})
    (setting,) = compare(folder, "none", resamples=FAST).settings
    p_seeds = {pair.system: pair.difference.p_seeds for pair in setting.averages}
    assert setting.seeds == (0, 1, 2) and p_seeds["prefix (length=64)"] is None
    assert p_seeds["prefix (length=8)"] is not None and p_seeds["lora"] is not None
    assert setting.ranking and set(setting.ranking.systems) == {"none", "prefix (length=8)", "lora"}


def test_only_common_examples_and_languages_are_compared(write_run: WriteRun) -> None:
    write_run("none", answers(0.4, n=60))
    folder = write_run("prefix", answers(0.8, n=40, codes=CODES[:4]))
    (setting,) = compare(folder, "none", resamples=FAST).settings
    assert setting.languages == CODES[:4] and setting.n == 160
    assert "2 of 6 languages left out" in setting.notes[0] and "arb_Arab, fin_Latn" in setting.notes[0]
    assert "compared on the 160 examples that every run has; 80 others left out" in setting.notes[1]
    full = answers(0.4, n=60)["deu_Latn"]
    ours = answers(0.8, n=40)["deu_Latn"]
    german = next(pair for pair in setting.by_language if pair.name == "deu_Latn")
    assert german.difference.value == pytest.approx(np.mean([ours[key] - full[key] for key in ours]))


def test_no_common_example_is_refused(write_run: WriteRun) -> None:
    write_run("none", {"eng_Latn": {"a": 1.0}})
    folder = write_run("prefix", {"eng_Latn": {"b": 1.0}})
    with pytest.raises(OutputError, match="no test example in common; evaluate them on the same"):
        compare(folder, "none")


def test_several_systems_of_one_method_have_names_of_their_own(write_run: WriteRun) -> None:
    write_run("none", answers(0.3))
    write_run("prefix", answers(0.6), method={"length": 5})
    folder = write_run("prefix", answers(0.7), method={"length": 10})
    (setting,) = compare(folder, "prefix (length=5)", resamples=FAST).settings
    assert [s.system for s in setting.systems] == ["none", "prefix (length=10)", "prefix (length=5)"]
    with pytest.raises(ConfigError, match=r"several of them; name one: 'prefix \(length=10\)', 'prefix \(length=5\)'"):
        compare(folder, "prefix")


def test_baselines_and_metrics_that_are_not_there_name_the_nearest(write_run: WriteRun) -> None:
    write_run("none", answers(0.3))
    folder = write_run("prefix", answers(0.6))
    with pytest.raises(ConfigError, match="did you mean 'prefix'"):
        compare(folder, "prefx")
    with pytest.raises(ConfigError, match=r"metric 'acuracy'.*did you mean 'accuracy'"):
        compare(folder, "none", "acuracy")


def test_nothing_to_compare_is_said(tmp_path: Path, write_run: WriteRun) -> None:
    with pytest.raises(OutputError, match="no such folder"):
        compare(tmp_path / "missing", "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OutputError, match="no finished runs"):
        compare(tmp_path / "empty", "none")
    folder = write_run("none", answers(0.3))
    with pytest.raises(OutputError, match="one finished run"):
        compare(folder, "none")
    write_run("prefix", answers(0.3), task="xnli")
    with pytest.raises(OutputError, match="no two systems on the same task"):
        compare(folder, "none")


def test_a_setting_without_the_baseline_is_left_out_and_said(write_run: WriteRun) -> None:
    for task, methods in (("terms", ("none", "prefix")), ("sib200", ("lora", "prefix"))):
        for method in methods:
            folder = write_run(method, answers(0.5, seed=len(method)), task=task)
    found = compare(folder, "none", resamples=FAST)
    assert [setting.task for setting in found.settings] == ["terms"]
    assert found.notes == ("sib200, tiny: left out, no run of none",)


def test_the_python_function_is_the_commands(write_run: WriteRun) -> None:
    write_run("none", answers(0.3))
    folder = write_run("prefix", answers(0.6))
    found = pp.compare(folder, baseline="none", resamples=FAST)
    assert isinstance(found, Comparison)
    assert all(math.isfinite(pair.difference.value) for pair in found.settings[0].by_group)
    assert found == pp.compare(str(folder), baseline="none", resamples=FAST)


def test_a_comparison_is_a_frame_of_contrasts_and_one_of_averages(write_run: WriteRun) -> None:
    write_run("none", answers(0.3))
    for seed in (0, 1):
        folder = write_run("prefix", answers(0.6, seed=seed), seed=seed)
    table = read_table([folder])
    found = compare(table, baseline="none", resamples=FAST)
    assert found == compare([folder], baseline="none", resamples=FAST)
    (setting,), rows = found.settings, found.to_pandas()
    pairs = [pair for family in FAMILIES for pair in getattr(setting, family)]
    assert rows["difference"].tolist() == [pair.difference.value for pair in pairs]
    assert rows["p_seeds_adjusted"].tolist() == [pair.adjusted_seeds for pair in pairs]
    assert rows["significant_with_seeds"].tolist() == [pair.significance == "**" for pair in pairs]
    assert set(rows["system"]) == {"prefix"} and set(rows["baseline"]) == {"none"}
    averages = found.averages.set_index("system")
    assert averages.at["prefix", "average"] == setting.by_system["prefix"].score.value
    assert averages.at["prefix", "seeds"] == 2 and math.isnan(averages.at["none", "transfer_ratio"])
    assert "<table" in found._repr_html_()


def test_a_language_alone_is_no_group(write_run: WriteRun) -> None:
    for method in ("none", "prefix"):
        folder = write_run(method, answers(0.5, seed=len(method)))
    (setting,) = compare(folder, "none", resamples=FAST).settings
    assert setting.groups and all(len(codes) > 1 for codes in setting.groups.values())
    assert {(pair.grouping, pair.name) for pair in setting.by_group} == set(setting.groups)
    assert ("family", "Indo-European") in setting.groups and ("family", "Uralic") not in setting.groups
