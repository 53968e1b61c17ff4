"""What the pages say works: commands exist, examples run, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path

import pytest

from polyprefix.methods import registry
from tests.tiny import tiny_model, tiny_tokenizer

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def blocks(language: str) -> list[tuple[str, str]]:
    """(page, code) of every fenced block of a language."""
    found = []
    for page in PAGES:
        for code in re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            found.append((page.name, textwrap.dedent(code)))
    return found


def commands() -> list[list[str]]:
    """Every `polyprefix ...` line of a console block, continuation lines joined."""
    lines = [line for _, code in blocks("console") for line in code.replace("\\\n", " ").splitlines()]
    return [
        shlex.split(line.removeprefix("$ "), comments=True)[1:] for line in lines if line.startswith("$ polyprefix ")
    ]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_on_a_page_is_understood(words: list[str]) -> None:
    """Its command and options exist and take what is given; nothing is run."""
    from polyprefix.cli import command

    found = command.get_command(None, words[0])  # type: ignore[arg-type]
    assert found is not None, f"no command {words[0]}"
    found.make_context(words[0], list(words[1:]))


def test_the_readme_has_the_two_commands_and_they_exist() -> None:
    readme, makefile = (ROOT / "README.md").read_text(encoding="utf-8"), (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in ("quickstart", "test"):
        assert f"$ make {name}" in readme
        assert re.search(rf"^{name}:", makefile, re.MULTILINE)
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize(("page", "code"), blocks("python"))
def test_every_python_example_runs(page: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a tiny model in place of the real one."""
    monkeypatch.chdir(tmp_path)
    tiny_model("llama-gqa-tied").save_pretrained("tiny")
    tiny_tokenizer().save_pretrained("tiny")
    exec(compile(code.replace("gemma-3-270m", "tiny"), page, "exec"), {})


def test_the_readmes_counts_are_those_of_the_methods() -> None:
    from tests.methods.test_counts import formula

    rows = re.findall(
        r"^\| `([a-z-]+)` \|.*\| ([\d,]+) \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {name for name, _ in rows} == set(registry.names())
    for name, count in rows:
        assert formula("Gemma 3 270M", {"name": name}) == int(count.replace(",", "")), name


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_pinned_versions_satisfy_the_ranges() -> None:
    import tomllib

    from packaging.requirements import Requirement

    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    pins = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for requirement in map(Requirement, [*project["dependencies"], *extras["embedded"], *extras["dev"]]):
        assert requirement.name.lower() in pins, f"{requirement.name} is not pinned"
        assert requirement.specifier.contains(pins[requirement.name.lower()]), f"{requirement} excludes its pin"
