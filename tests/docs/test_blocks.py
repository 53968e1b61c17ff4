"""Law: what the pages show works. Commands and snippets of a page are run in their order, in one folder, as a reader would.

The embedded models are tiny random ones here, and runs are made small by options that are added behind those of the page; everything else is
as it stands. What is not run has its reason in pages.NOT_RUN and in the name of its test.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.docs.pages import BLOCKS, NOT_RUN, PAGES, ROOT, SHOWN, Block, Command
from tools.check_package import SMALL

from polyprefix.testing.tiny import CONFIGS, tiny_tokenizer

Polyprefix = Callable[..., tuple[int, str, str]]
LESS = {"run": SMALL, "evaluate": SMALL[:2]}
"""Command -> the options that make it small; the last of an option counts."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In place of the embedded models: random, but long enough for the prompts of the pages."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    config = CONFIGS["llama-gqa-tied"]()
    config.max_position_embeddings = 2048
    folder = tmp_path_factory.mktemp("models") / "tiny"
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def here(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reader's folder: the checkout's examples and studies, and the embedded models."""
    from polyprefix.models import embedded

    monkeypatch.setattr(embedded, "folder_of", lambda model: tiny)
    monkeypatch.delenv("POLYPREFIX_HUB", raising=False)  # what pages show without --hub needs none
    monkeypatch.chdir(tmp_path)
    for name in ("examples", "studies"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.fixture(scope="module")
def runs(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For pages that begin where runs are there already: one of each of three methods."""
    import polyprefix as pp

    folder = tmp_path_factory.mktemp("made") / "runs"
    for method in ("none", "prefix", "lora"):
        settings: dict[str, Any] = {"train": {"steps": 1, "validation_size": 3}} if method != "none" else {}
        task = str(ROOT / "examples" / "headlines")
        pp.run(pp.RunConfig(model=str(tiny), task=task, method=method, **settings), out=folder)
    return folder


WALKED = [
    page for page in PAGES if any(b.kind.startswith("run") or ", run" in b.kind for b in BLOCKS if b.page == page)
]


@pytest.mark.parametrize("page", WALKED, ids=lambda page: page.name)
def test_a_reader_can_do_what_the_page_says(
    page: Path, here: Path, runs: Path, polyprefix: Polyprefix, request: pytest.FixtureRequest
) -> None:
    walked = [block for block in BLOCKS if block.page == page]
    if not any(command.words[1:2] == ("run",) for block in walked for command in block.commands):
        shutil.copytree(runs, here / "runs")
    names: dict[str, Any] = {}
    for i, block in enumerate(walked):
        if block.language == "python":
            exec(compile(block.code, block.place, "exec"), names)
        for command in block.commands if block.language == "console" else ():
            if command.kind != "run":
                continue
            printed = perform(command, polyprefix, block)
            if command.words[0] != "polyprefix" and walked[i + 1].language == "text":
                assert printed == walked[i + 1].code, f"{block.place}: `{command}` prints something else"


def perform(command: Command, polyprefix: Polyprefix, block: Block) -> str:
    """Run a command as a shell would; what it printed."""
    words = [
        path for word in command.words for path in (sorted(map(str, Path().glob(word))) if "*" in word else [word])
    ]
    if words[0] != "polyprefix":
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout
    status, out, err = polyprefix(*words[1:], *LESS.get(words[1], ()))
    assert status == 0, f"{block.place}: `{command}` ends with status {status}: {err[-500:]}"
    return out


COMMANDS = [(block, command) for block in BLOCKS for command in block.commands]


@pytest.mark.parametrize(("block", "command"), COMMANDS, ids=[f"{b.place} {c.kind}: {c}" for b, c in COMMANDS])
def test_every_command_is_understood(block: Block, command: Command) -> None:
    """Also those that are not run: the command exists, and takes these options and values."""
    program, *words = command.words
    if program == "polyprefix":
        understand(words)
    elif program == "make":
        plan = subprocess.run(["make", "-n", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for line in re.findall(r"bin/polyprefix (.*)", plan):
            understand(line.split())
    elif program == "source":
        [folder] = re.findall(r"^VENV \?= (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert words == [f"{folder}/bin/activate"]
    else:
        assert command.kind == "run" and shutil.which(program), f"{block.place}: nobody checks `{command}`"


def understand(words: list[str]) -> None:
    """Have the command read its words; nothing is run."""
    import click

    from polyprefix.cli import command as found

    while isinstance(found, click.Group):
        name, *words = words
        inside = found.get_command(click.Context(found), name)
        assert inside is not None, f"no command {name}"
        found = inside
    found.make_context(found.name, list(words))


def test_every_reason_not_to_run_is_needed() -> None:
    used = {word for _, command in COMMANDS for word in command.words}
    assert set(NOT_RUN) <= used


@pytest.mark.parametrize("block", BLOCKS, ids=[f"{b.place} {b.language} {b.kind}" for b in BLOCKS])
def test_every_block_has_a_kind(block: Block) -> None:
    known = {"console", "python", "yaml", "bash", *SHOWN}
    assert block.language in known, f"{block.place}: say what it is: {', '.join(sorted(known))}"
    assert block.language != "console" or all(line.startswith("$ ") for line in block.code.splitlines()), (
        f"{block.place}: commands only; what they print is a block of its own, `text`"
    )
    if block.language == "bash":
        subprocess.run(["bash", "-n"], input=block.code, check=True, text=True)


YAML = [block for block in BLOCKS if block.language == "yaml"]


@pytest.mark.parametrize("block", YAML, ids=lambda block: f"{block.place} {block.title}")
def test_every_yaml_block_is_loaded(block: Block, here: Path) -> None:
    load = {
        "task.yaml": load_task,
        "task.yaml, below files: one of these lines": load_files,
        "task.yaml, these lines": load_choices,
        "task.yaml, in place of files": load_dataset,
        "study.yaml": load_study,
    }
    assert block.title in load, f"{block.place}: say which file it is: {', '.join(load)}"
    load[block.title](block.code, here)


def load_task(code: str, folder: Path) -> None:
    from polyprefix.tasks import registry
    from polyprefix.tasks.base import Source

    examples = [
        path.parent for path in (ROOT / "examples").glob("*/task.yaml") if path.read_text(encoding="utf-8") == code
    ]
    assert len(examples) == 1, "no example's file says this"
    shutil.copytree(examples[0], folder / "own", dirs_exist_ok=True)
    task = registry.get(str(folder / "own"))
    assert all(task.examples("test", language, Source()) for language in task.languages())


def load_files(code: str, folder: Path) -> None:
    """Every line is a way to name the same data."""
    from polyprefix.tasks import registry
    from polyprefix.tasks.base import Source

    shutil.copytree(ROOT / "examples" / "headlines", folder / "own")
    own = folder / "own"
    english, swahili = (pd.read_csv(own / f"test.{language}.csv") for language in ("en", "sw"))
    english.to_csv(own / "english.csv", index=False)
    swahili.to_parquet(own / "s.parquet")
    both = pd.concat([english.assign(tongue="en"), swahili.assign(tongue="sw")])
    both.to_json(own / "all.jsonl", orient="records", lines=True, force_ascii=False)
    written = (own / "task.yaml").read_text(encoding="utf-8")
    for line in code.splitlines():
        several = "columns:\n  language: tongue" if "all.jsonl" in line else "columns:"
        text = written.replace("test: test.{language}.csv", line).replace("columns:", several)
        (own / "task.yaml").write_text(text, encoding="utf-8")
        task = registry.get(str(own))
        assert {"eng_Latn", "swh_Latn"} <= set(task.languages())
        assert {len(task.examples("test", language, Source())) for language in task.languages()} == {9}


def load_choices(code: str, folder: Path) -> None:
    from polyprefix.tasks import registry
    from polyprefix.tasks.base import Source

    rows = [{"question": "1 + 1?", "first": "2", "second": "3", "answer": 1}]
    pd.DataFrame(rows).to_csv(folder / "test.csv", index=False)
    (folder / "task.yaml").write_text(code + "files: {test: test.csv}\n", encoding="utf-8")
    task = registry.get(str(folder / "task.yaml"))
    [example] = task.examples("test", "eng_Latn", Source())
    prompt = task.prompt(example)
    assert prompt.choices == (" A", " B") and prompt.target == " A"


def load_dataset(code: str, folder: Path) -> None:
    from polyprefix.tasks import registry

    start = "task_type: classification\ntemplate: '{premise} {hypothesis}'\nlabels: ['yes', 'no']\ncolumns: {answer: label}\n"
    (folder / "task.yaml").write_text(start + code, encoding="utf-8")
    assert registry.get(str(folder / "task.yaml")).languages() == ("eng_Latn", "swh_Latn")


def load_study(code: str, folder: Path) -> None:
    from polyprefix.study.file import read_study
    from polyprefix.study.grid import cells

    (folder / "study.yaml").write_text(code, encoding="utf-8")
    assert cells(read_study(folder / "study.yaml"), "study.yaml")


INLINE = sorted(
    {
        (page.name, code)
        for page in PAGES
        for code in re.findall(r"`(polyprefix [^`]+)`", re.sub(r"(?ms)^```.*?^```$", "", page.read_text("utf-8")))
    }
)


@pytest.mark.parametrize(("page", "code"), INLINE)
def test_commands_in_the_text_have_these_options(page: str, code: str) -> None:
    import click

    from polyprefix.cli import command as found

    words = code.split()[1:]
    while isinstance(found, click.Group) and words and not words[0].startswith("-"):
        names = words.pop(0).split("|")
        if names[0].isupper() or names[0] == "...":  # `polyprefix COMMAND --help`, `polyprefix study ...`
            break
        inside = [found.get_command(click.Context(found), name) for name in names]
        assert all(inside), f"{page}: `{code}`: no such command"
        found = inside[0] if len(inside) == 1 else None
    if isinstance(found, click.Command):
        known = {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in words if word.startswith("--")} <= known | {"--help"}, f"{page}: `{code}`"
