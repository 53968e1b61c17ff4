"""Law: the difference that a plan calls detectable is found in 80 of 100 simulated studies, and a better design sees less."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from scipy.stats import binomtest
from tests.docs.pages import ROOT
from tools.check_power import KINDS, STUDY, found_at_detectable
from tools.make_variances import OUT, made

from polyprefix.errors import ConfigError
from polyprefix.study.power import Cost, Design, cheapest, detectable
from polyprefix.study.variances import prior, source

PRESENT = Design(3, 20, 10, 6, True, 100)
STUDY_FILE = """\
base: {task: sib200, eval_size: 10, train_size: 384, train: {steps: 48}, languages: [eng_Latn, deu_Latn, swh_Latn, hin_Deva, tha_Thai]}
axes: {model: [gemma-3-270m], method: [none, prefix, lora, full]}
seeds: [0, 1, 2]
"""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("design", [PRESENT, Design(5, 10, 20, 3, False, 20)])
def test_what_is_detectable_is_found_in_80_of_100(design: Design, kind: str) -> None:
    points, share = found_at_detectable(300, design, STUDY, 6, kind)
    low, high = binomtest(round(300 * share), 300).proportion_ci(0.999)
    assert low <= 0.8 <= high and 1 < points < 60, (points, share)


def test_more_seeds_examples_and_systems_see_less() -> None:
    for base in (True, False):
        now = detectable(PRESENT, STUDY, 6, base=base)
        for better in (replace(PRESENT, seeds=6), replace(PRESENT, each=40)):
            assert detectable(better, STUDY, 6, base=base) < now
        assert detectable(replace(PRESENT, systems=2), STUDY, 6, base=base) > now
        assert detectable(PRESENT, STUDY, 1, base=base) < now


def test_the_cheapest_design_sees_what_was_asked_and_none_is_cheaper() -> None:
    cost = Cost(training=100.0, testing=50.0, base=10.0)
    found = cheapest(PRESENT, STUDY, 3, cost, (False,), 10.0)
    assert found.design is not None and found.detectable <= 10 and found.seconds == cost.of(found.design, PRESENT)
    assert detectable(found.design, STUDY, 3, base=False) == pytest.approx(found.detectable)
    assert cheapest(PRESENT, STUDY, 3, cost, (False,), 12.0).seconds <= found.seconds
    assert cheapest(PRESENT, STUDY, 3, cost, (True,), 0.1).design is None


def test_the_shipped_variances_are_those_of_the_kept_study() -> None:
    assert OUT.read_text(encoding="utf-8") == made()
    assert prior().of("sib200", "gemma-3-270m")[1].endswith("sib200, gemma-3-270m")
    assert "mean of all" in prior().of("xnli", "other")[1]


@pytest.fixture
def plan(polyprefix: Callable[..., tuple[int, str, str]], tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Plans a study from text; exit status and everything that was printed."""

    def run(text: str, *options: str) -> tuple[int, str]:
        file = tmp_path / "s.yaml"
        file.write_text(text, encoding="utf-8")
        status, printed, err = polyprefix("study", "plan", file, "--out", tmp_path / "none", *options)
        return status, printed + err

    return run


def test_the_command_names_contrasts_designs_and_times(plan: Callable[..., tuple[int, str]]) -> None:
    code, text = plan(STUDY_FILE + "contrasts: [prefix - lora, [lora, none]]\n", "--power", "--device", "l4")
    assert code == 0 and "2 contrasts (named in the study)" in text and "prefix - lora" in text and "shipped" in text
    code, text = plan(STUDY_FILE, "--power", "--json", "--device", "l4")
    found = json.loads(text)
    (setting,) = found["settings"]
    assert code == 0 and found["contrasts"] == 3 and not found["named"]
    assert setting["design"] == {"seeds": 3, "languages": 4, "each": 10, "systems": 3, "disjoint": False, "pool": 204}
    assert [one["contrast"] for one in setting["contrasts"]] == ["prefix - none", "lora - none", "full - none"]
    assert [one["points"] for one in setting["cheapest"]["base model"]] == [2, 4, 6]


def test_variances_of_a_finished_study_are_taken(tmp_path: Path) -> None:
    kept = ROOT / "studies" / "results" / "small"
    assert source(kept, (), {}).name == str(kept)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="two seeds of two trained methods"):
        source(tmp_path / "empty", (), {})


def test_power_without_a_contrast_and_variances_without_power_are_refused(
    plan: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    alone = STUDY_FILE.replace("[none, prefix, lora, full]", "[prefix]")
    assert "no task and model has two systems" in plan(alone, "--power")[1]
    assert "give --power" in plan(STUDY_FILE, "--variances", str(tmp_path))[1]
