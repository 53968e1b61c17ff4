"""Law: what README.md, docs/results.md and the kept report say of methods is what their tables say: nothing is marked, bold or called
significant whose corrected p-value is not below 0.05, and nothing below it is called anything else."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import pytest
from tests.docs.pages import ROOT
from tools.results_page.__main__ import REPORT

RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
MODELS = ("gemma-3-270m",)
README_CLAIMS = {
    "LoRA and full fine-tuning are significantly better than prefix tuning, Llama-Adapter and soft prompts": {
        (method, rival): "worse" for method in ("prefix", "llama-adapter", "soft-prompt") for rival in ("lora", "full")
    },
}  # fmt: skip
"""What README.md says of Gemma 3 270M -> (method, minus which) -> what the table must say."""


def section(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", RESULTS, re.DOTALL)
    assert found, name
    return found[1]


def p_of(text: str) -> float | None:
    found = re.search(r"p [=<] ([\d.]+)", text)
    return None if found is None else float(found[1]) - (1e-9 if "p <" in text else 0)


def cells(text: str) -> Iterator[tuple[str, list[str]]]:
    """First cell of each row of the tables, and the others."""
    for line in text.splitlines():
        if line.startswith("| ") and not line.startswith("| ---"):
            name, *rest = (cell.strip() for cell in line.strip("|").split(" | "))
            yield name.strip("| "), rest


def duels(model: str) -> dict[tuple[str, str], str]:
    """(method, minus which) -> better, worse or even, as the table's bold cells say."""
    (part,) = (
        one for one in re.split(r"(?=^\*\*[\w.-]+\*\*$)", section("duels"), flags=re.MULTILINE) if f"**{model}**" in one
    )
    (_, heads), *rows = cells(part)
    found = {}
    for method, values in rows:
        for head, value in zip(heads, values, strict=True):
            sign = "better" if value.strip("*").startswith("+") else "worse"
            found[method, head.removeprefix("minus ")] = sign if value.startswith("**") else "even"
    return found


def test_bold_cells_and_no_others_are_below_5_percent() -> None:
    checked = 0
    for name in (
        "duels",
        "short-duels",
        "emoji-duels",
        "mixed",
        "interactions",
        "rates",
        "prefix-length",
        "layers",
        "raw-or-projected",
        "shots",
    ):
        for _, values in cells(section(name)):
            for value in values:
                if (p := p_of(value)) is not None:
                    assert value.startswith("**") == (p < 0.05), (name, value)
                    checked += 1
    assert checked > 60


@pytest.mark.parametrize("model", MODELS)
def test_the_finding_says_what_the_tables_say(model: str) -> None:
    (part,) = (
        one
        for one in re.split(r"(?=^\*\*[\w.-]+\*\*, )", section("finding"), flags=re.MULTILINE)
        if f"**{model}**" in one
    )
    said = {}
    verdicts = "Significantly better|Significantly worse|Not significantly different"
    for words, lines in re.findall(rf"^- ({verdicts}) \w+ the base model: (.*)\.$", part, re.MULTILINE):
        for method, p in re.findall(r"([\w-]+) \([^)]*?(p [=<] [\d.]+)\)", lines):
            said[method] = words
            assert (p_of(p) or 0.0) < 0.05 if words.startswith("Sig") else (p_of(p) or 0.0) >= 0.05
    averages = next(one for one in section("averages").split("**sib200, ") if one.startswith(model))
    marked = {name: "**" in values[3] for name, values in cells(averages) if name not in ("method", "none")}
    assert len(said) == 6 and marked == {method: words.startswith("Sig") for method, words in said.items()}
    counts = re.search(
        r"significantly better in (\d+), significantly worse in (\d+), and not significantly different in (\d+)", part
    )
    found = list(duels(model).values())
    assert counts and [int(n) for n in counts.groups()] == [found.count(word) for word in ("better", "worse", "even")]


def test_the_readme_claims_what_the_table_shows() -> None:
    words = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    table = duels(MODELS[0])
    for sentence, wanted in README_CLAIMS.items():
        assert sentence in words
        assert {pair: table[pair] for pair in wanted} == wanted, sentence
    claims = re.findall(r"significant", words)
    assert len(claims) == len(README_CLAIMS), "a claim about significance that README_CLAIMS does not check"


def test_the_report_marks_and_claims_only_what_its_tests_support() -> None:
    page = REPORT.read_text(encoding="utf-8")
    marks = re.findall(r'<small class="change">([+-]?[\d.]+)(\**) \[([^,]+), ([^\]]+)\]', page)
    assert len(marks) > 30
    for _, mark, low, high in marks:
        assert not mark or float(low) * float(high) > 0
    finding = html.unescape(re.search(r'<details class="evidence">.*?<p>(.*?)</p>', page, re.DOTALL)[1])  # type: ignore[index]
    higher = finding.partition(";")[0].split("than")[-1]
    for method, low, high in re.findall(r"([\w-]+) \([+-][\d.]+ points \[([^,]+), ([^\]]+)\]\)", higher):
        assert float(low) * float(high) > 0, method
    one_seed = "fixed seeds" in finding
    assert not (one_seed and "significantly" in finding)


def test_no_page_has_another_word_for_it() -> None:
    for text in (RESULTS, (ROOT / "README.md").read_text(encoding="utf-8"), REPORT.read_text(encoding="utf-8")):
        assert not re.search(r"told apart|carries over best|\blead over|clearly (?:better|worse)|seeds in mind", text)
