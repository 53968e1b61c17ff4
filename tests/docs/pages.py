"""The blocks of the pages, and what is done with each: every one has a kind, and nothing is left out in silence.

run      executed as it stands, in a folder where the page's blocks follow each other
parsed   its command, options and values are checked by the command itself; why it is not run stands beside it
loaded   YAML, read by the code that reads such files
shown    output and drawings
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(
    r'^(?P<indent> *)```(?P<language>[\w-]*)(?: title="(?P<title>[^"]*)")?\n(?P<code>.*?)^(?P=indent)```$', re.M | re.S
)
SHOWN = {"text", "mermaid", "toml"}
NOT_RUN = {
    "--hub": "reads a benchmark from a mirror of the Hub",
    "--ray": "needs a Ray cluster",
    "--workers": "starts Ray, as tests/study/test_distribute.py does",
    "lm-eval": "needs lm-evaluation-harness with its data",
    "push": "needs a login to the Hub",
    "serve": "listens until it is ended, as tests/serving/test_command.py has it do",
    "make": "installs an environment of its own",
}
"""A word of a command -> why it is parsed and not run."""


@dataclass(frozen=True)
class Command:
    """One line of a console block, with its continuation lines."""

    words: tuple[str, ...]

    @property
    def kind(self) -> str:
        reasons = [NOT_RUN[word] for word in self.words if word in NOT_RUN]
        return f"parsed ({reasons[0]})" if reasons else "run"

    def __str__(self) -> str:
        return shlex.join(self.words)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    title: str
    code: str

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"

    @cached_property
    def commands(self) -> tuple[Command, ...]:
        """What is typed in a console block, and the `polyprefix` commands of a script."""
        lines = re.sub(r"\\\n\s*", "", self.code).splitlines()
        if self.language == "console":
            typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        elif self.language == "bash":
            typed = [found[0] for line in lines if (found := re.search(r"\bpolyprefix .*", line))]
        else:
            typed = []
        return tuple(Command(tuple(shlex.split(line, comments=True))) for line in typed)

    @property
    def kind(self) -> str:
        if self.language == "console":
            return ", ".join(dict.fromkeys(command.kind for command in self.commands))
        kinds = {"python": "run", "yaml": "loaded", "bash": "parsed (starts a cluster, or several processes)"}
        return kinds.get(self.language, "shown")


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        code = re.sub(rf"^{match['indent']}", "", match["code"], flags=re.M)
        found.append(Block(page, line, match["language"], match["title"] or "", code))
    return found


BLOCKS = [block for page in PAGES for block in blocks(page)]
