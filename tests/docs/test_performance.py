"""Law: docs/performance.md says what benchmarks/results hold, and the README the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from benchmarks import page

README = page.ROOT / "README.md"
PREFIX, LORA = "training a prefix, CPU", "training LoRA, CPU"
QUOTED = [
    (PREFIX, "gemma-3-270m", "gemma-3-270m, XNLI, prefix", "peft-trainer"),
    (PREFIX, "smollm2-135m-prefix", "smollm2-135m, XNLI, prefix", "adapterhub"),
    (LORA, "gemma-3-270m-lora", "gemma-3-270m, XNLI, lora", "peft-trainer"),
    (LORA, "smollm2-135m-lora", "smollm2-135m, XNLI, lora", "adapterhub"),
    (LORA, "gemma-3-270m-lora", "gemma-3-270m, XNLI, lora", "llamafactory"),
    ("evaluation of 15 languages, CPU", "gemma-3-270m", "gemma-3-270m, xnli in 15 languages", "lm-eval"),
]
"""The beginning of a row of the README, the file, its measurement, and the tool it is compared with."""


def test_the_page_is_made_from_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "charts", lambda folder, *_: iter([folder / "comparison.svg"]))
    again = shutil.copy(page.PAGE, tmp_path / page.PAGE.name)
    page.write(again, page.RESULTS, tmp_path)
    assert again.read_text(encoding="utf-8") == page.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(("start", "file", "workload", "tool"), QUOTED, ids=" ".join)
def test_the_readme_quotes_them(start: str, file: str, workload: str, tool: str) -> None:
    result = json.loads((page.RESULTS / f"compare-{file}.json").read_text(encoding="utf-8"))
    speed = {
        one["contestant"]: one["examples_per_second"]["median"]
        for one in result["medians"]
        if one["workload"] == workload
    }
    times = speed["polyprefix"] / speed[tool]
    [line] = [line for line in README.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {start}")]
    assert f" {1 / times:.2f} ({times:.1f} times slower) " in line
