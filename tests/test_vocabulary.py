"""Law: the project speaks the field's language. No private word of the first version is left in its source or in its pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = sorted((ROOT / "src" / "polyprefix").rglob("*.py"))
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])

NAMES = {
    r"\bSeam\b|\bseam\b|_seam\b": "AttentionHook",
    r"\bSlot\b": "AttentionState",
    r"\bsettled?\b": "resolve",
    r"\bshared_ids\b|\bshared_length\b": "common_prefix",
    r"\bahead\b *[,=(]|\bworth\b *[,=(]|\bbeside\b *[,=(]": "prefix_keys, prefix_values, adapter_output",
    r"\.spread\(|\.gather\(out": "scatter_to_rows, gather_from_rows",
    r"\blaw\b": "mask_mod",
    r"\bflattens\(|\bpacks\(": "supports_packing, isolates_packed_sequences",
    r"\bspread_apart\b": "normalized_rmse",
    r"\bclass (Text|Tree)\b": "TokenTree",
    r"\bself\.(asked|owner|at)\b(?!\()": "position_index, continuation_id, logit_positions",
    r"\brank_choices\b|\bwrite_answers\b": "loglikelihood, generate_until",
    r"_?\bshare_of_ceiling\b": "mfu",
    r"\bLowerLayers\b": "ActivationCache",
    r"\bby_beginning\b|\bin_halves\b": "group_by_common_prefix, retry_on_oom",
    r"\bFaults\b|\bfaults\b": "ValidationErrors, errors",
    r"\bEncoded\b": "TokenizedPrompt",
    r"_custom_shapes|key 'shape'|\bfour shapes\b": "task_type",
    r"eval_ids: spread|\"spread\"": "disjoint",
    r"\bUNADAPTED\b": "base model",
}
"""Pattern of a former name in the source -> what it is called now."""
PHRASES = {
    r"\btold apart\b|\btell apart\b|these runs differ": "significant (fixed seeds), significant incl. seed variance",
    r"\bshare carried\b|\bcarried over\b|carries over (best|better)": "transfer ratio",
    r"\blost from English\b": "transfer gap",
    r"\bunadapted model\b": "base model",
    r"\b[Ww]hat a run leaves\b": "run folder",
    r"\b[Ss]olved examples\b": "few-shot examples",
    r"\bhead of the row\b": "start of the row",
    r"\bwhat (all )?texts begin with\b": "common prefix",
    r"\bmend(s|ed|ing)?\b": "correct, fix",
    r"so it is with|for it needs|no number is that|make up their mind|answer to each other": "plain English",
    r"nothing that looks like a result": "no partial result was written",
}
"""Pattern of a paraphrase in source or pages -> the term."""
READS_OLD_NAMES = ("version_1.py", "_custom_file.py", "config/identity.py", "config/run.py")
"""Files that read what earlier versions wrote."""


@pytest.mark.parametrize("pattern", NAMES, ids=NAMES.get)
def test_no_former_name_is_left_in_the_source(pattern: str) -> None:
    files = [path for path in SOURCE if not path.as_posix().endswith(READS_OLD_NAMES)]
    assert not found(pattern, files), f"say {NAMES[pattern]}"


@pytest.mark.parametrize("pattern", PHRASES, ids=PHRASES.get)
def test_no_paraphrase_is_left(pattern: str) -> None:
    assert not found(pattern, [*SOURCE, *PAGES]), f"say {PHRASES[pattern]}"


@pytest.mark.parametrize("text", ["a Seam joins", "def in_halves(", "are not told apart", "Solved examples first"])
def test_the_patterns_find_the_words(text: str) -> None:
    assert any(re.search(pattern, text) for pattern in (*NAMES, *PHRASES))


def found(pattern: str, files: list[Path]) -> list[str]:
    """Place and line of every match."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(pattern, line)
    ]
