"""An answer as text: where it ends, and how much of it is stable while it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import StoppingCriteria

Watcher = Callable[[str], bool]
"""Is told the stable beginning of an answer after each token; whether it still wants the rest."""
INCOMPLETE = "\ufffd"
"""What bytes are decoded to that are no whole character yet."""


def cut(text: str, stops: Sequence[str], verbatim: bool = False) -> str:
    """The text before the first of the stop strings; unless verbatim, none counts before the answer begins.

    >>> cut("\\n Paris\\nQuestion: ...", ["\\n"])
    'Paris'
    """
    answer = text[: first_stop(text, stops, verbatim)]
    return answer if verbatim else answer.strip()


def first_stop(text: str, stops: Sequence[str], verbatim: bool) -> int | None:
    """The place of the first stop string that counts."""
    start = 0 if verbatim else len(text) - len(text.lstrip())
    return min((end for stop in stops if (end := text.find(stop, start)) >= 0), default=None)


def stable(text: str, stops: Sequence[str], verbatim: bool = False) -> str:
    """The beginning of an answer that stays as it is, whatever is written after this text.

    Held back are a stop string, the beginning of one at the end of the text, bytes that are no whole character yet and, unless verbatim,
    white space at either end.

    >>> stable(" Paris\\nQues", ["\\nQuestion"])
    'Paris'
    """
    text = text.rstrip(INCOMPLETE)
    if not verbatim:
        text = text.lstrip()
    longest = max(map(len, stops), default=0)
    begun = (n for n in range(max(0, len(text) - longest), len(text)) if any(s.startswith(text[n:]) for s in stops))
    whole = (place for s in stops if (place := text.find(s)) >= 0)
    text = text[: min((*begun, *whole), default=len(text))]
    return text if verbatim else text.rstrip()


@dataclass(frozen=True, slots=True)
class Watched:
    """A row of a batch that somebody watches."""

    stops: tuple[str, ...]
    verbatim: bool
    watcher: Watcher


class WatchedRows(StoppingCriteria):
    """Tells watchers what is stable, after every token of a batch; rows whose watcher wants no more end."""

    def __init__(self, tokenizer: Any, start: int, rows: Mapping[int, Watched]) -> None:
        self._tokenizer, self._start, self._rows = tokenizer, start, rows

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: Any) -> torch.BoolTensor:
        """Which rows end, [B]."""
        ended = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        for row, watched in self._rows.items():
            text = self._tokenizer.decode(input_ids[row, self._start :], skip_special_tokens=True)
            ended[row] = not watched.watcher(stable(text, watched.stops, watched.verbatim))
        return ended  # type: ignore[return-value]
