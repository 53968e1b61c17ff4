"""What the first screen of a page says beside its finding and verdicts: what the shown method cost, and how to get its adapter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from polyprefix import languages
from polyprefix.progress import duration
from polyprefix.report.format import ABSENT, size
from polyprefix.report.view import Cell, View
from polyprefix.statistics.verdicts import LanguageVerdict, SystemVerdicts


@dataclass(frozen=True, slots=True)
class Adapter:
    """Where the adapter of a method is, and what to do with it."""

    text: str
    commands: tuple[str, ...] = ()


def cost(view: View) -> str:
    """What the shown method cost: training time and peak memory, means over seeds, and trained parameters."""
    cell = view.cells[view.shown] if view.shown else None
    if cell is None:
        return ABSENT
    seconds, memory = cell.cost("train_seconds"), cell.cost("peak_memory_bytes")
    found = [
        f"{duration(seconds)} of training" if seconds else "",
        f"{size(memory)} of memory" if memory else "",
        f"{cell.trained:,} trained parameters",
    ]
    return ", ".join(filter(None, found)) + (" (a run, mean over seeds)" if len(cell.seeds) > 1 else "")


def adapter(view: View) -> Adapter:
    """How to get the adapter of the shown method; that of its first seed where there are several."""
    cell = view.cells[view.shown] if view.shown else None
    if cell is None:
        return Adapter(ABSENT)
    if not cell.trained:
        return Adapter("none is needed: the base model was not trained")
    folder = _folder(cell)
    if folder is None:
        return Adapter("in memory: save(FOLDER) of its result writes it")
    if (folder / "adapter").is_dir():
        return Adapter(
            f"in {folder.name}",
            (
                f'polyprefix predict {folder.name} --text "..."',
                f"polyprefix export {folder.name} --format peft --out DIR",
            ),
        )
    return Adapter("not kept; this trains it again", (f"polyprefix run {folder.name}/config.yaml",))


def by_name(found: SystemVerdicts) -> list[LanguageVerdict]:
    """The verdicts in the order of the languages' names."""
    return sorted(found.languages, key=lambda one: languages.get(one.language).name)


def _folder(cell: Cell) -> Path | None:
    folder = cell.runs["folder"].iloc[0]
    return folder if isinstance(folder, Path) else Path(folder) if folder else None
