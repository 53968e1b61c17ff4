"""`pp.run`: one run from its settings, into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, overload

from polyprefix import recipe
from polyprefix.api.result import Result
from polyprefix.config import RunConfig
from polyprefix.progress import SILENT, Reporter


@overload
def run(
    config: RunConfig,
    *,
    hub: Path | None = None,
    out: Path = ...,
    reporter: Reporter = ...,
    beside_base: Literal[False] = False,
) -> Result: ...


@overload
def run(
    config: RunConfig, *, hub: Path | None = None, out: Path = ..., reporter: Reporter = ..., beside_base: Literal[True]
) -> tuple[Result, Result]: ...


def run(
    config: RunConfig,
    *,
    hub: Path | None = None,
    out: Path = Path("runs"),
    reporter: Reporter = SILENT,
    beside_base: bool = False,
) -> Result | tuple[Result, Result]:
    """Train in the source languages, evaluate in every language, and write the results into `OUT/RUN_ID/`.

    A run that was interrupted goes on from its last checkpoint and its last finished language.

    Args:
        config: what to run; with `config.adapter`, a saved adapter is evaluated and nothing is trained.
        hub: a local mirror of the Hub; None means POLYPREFIX_HUB, or the Hub itself.
        out: the folder of all runs.
        reporter: where progress goes.
        beside_base: also evaluate the base model on the same examples, unless that result is already there.

    Returns:
        The result, whose `folder` is that of the run; and that of the base model where it was asked for, which is the same result
        where the run is the base model's.

    Raises:
        UserError: a mistake in what was asked; no partial result is written.
    """
    folders = recipe.run(config, hub=hub, out=out, reporter=reporter, beside_base=beside_base)
    if not beside_base:
        return Result.load(folders[0])
    return Result.load(folders[0]), Result.load(folders[-1])
