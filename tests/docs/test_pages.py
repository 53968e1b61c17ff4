"""Law: what the pages say of the project is so: their counts, links, pins, and the commands that the README begins with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.docs.pages import PAGES, ROOT
from tools.docs_index import DOCS, INDEX, kinds, listed, question

from polyprefix.adapters import registry


def test_the_readme_has_the_two_commands_and_they_exist() -> None:
    readme, makefile = (ROOT / "README.md").read_text(encoding="utf-8"), (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in ("quickstart", "test"):
        assert f"$ make {name}" in readme
        assert re.search(rf"^{name}:", makefile, re.MULTILINE)
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


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


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_extras_that_are_named_exist(page: Path) -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = re.findall(r"(?:polyprefix|\.)\[([a-z,]+)\]", page.read_text(encoding="utf-8"))
    assert {extra for extras in named for extra in extras.split(",")} <= set(project["optional-dependencies"])


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


def test_the_tasks_counts_are_those_of_the_code() -> None:
    """Languages and chance of each benchmark."""
    from polyprefix.tasks import registry as tasks

    page = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8").split("What holds for all")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|.*\| (\.?\d+)(?: \([^|]*\))? \|[^|]*\|$", page, re.MULTILINE)
    assert [name for name, _, _ in rows] and {name for name, _, _ in rows} == set(tasks.names())
    for name, languages, chance in rows:
        task = tasks.get(name)
        assert len(task.languages()) == int(languages), name
        assert abs(task.info.chance - float(chance)) < 1e-3, name


def test_the_floors_are_those_of_the_code() -> None:
    from tests.test_structure import FLOORS

    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| (.*) \|$", page, re.MULTILINE)
    shown = {int(level): set(re.findall(r"`(\w+)`", names)) for level, names in rows}
    assert shown == {level: names - {"__main__"} for level, names in enumerate(FLOORS, 1)}


def test_every_page_is_of_one_kind() -> None:
    found = kinds()
    assert list(found) == ["Tutorial", "How-to", "Reference", "Explanation"]
    pages = [path for group in found.values() for path in group]
    assert sorted(pages) == sorted(path.name for path in DOCS.glob("*.md") if path != INDEX)


@pytest.mark.parametrize(
    "page", [path for path in PAGES if path.parent == DOCS and path != INDEX], ids=lambda p: p.name
)
def test_a_page_begins_with_the_question_that_it_answers(page: Path) -> None:
    assert question(page), f"{page.name}: one italic line under the title"


def test_the_index_lists_the_questions() -> None:
    text = INDEX.read_text(encoding="utf-8")
    assert listed(text) == text, "python -m tools.docs_index writes it again"


def test_no_page_names_a_commit() -> None:
    """A figure stands in a block that is made from kept runs, and names a run."""
    for page in PAGES:
        words = re.sub(r"[\w-]+-s\d+-[0-9a-f]{8}", "RUN", page.read_text(encoding="utf-8"))
        hashes = [
            one for one in re.findall(r"\b[0-9a-f]{7,40}\b", words) if re.search("[a-f]", one) and re.search(r"\d", one)
        ]
        assert not hashes, f"{page.name}: {hashes}"
