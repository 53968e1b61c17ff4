"""What was found out about a model on this machine, so that the next process need not ask again.

    CACHE/facts/<digest of all that an answer depends on>.json     question -> answer

Only models that `load_model` read from files are known again; one that a caller built is asked each time.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from polyprefix.models.cache import cache_folder, replace_text

log = logging.getLogger(__name__)

WEIGHTS = "_polyprefix_weights"
"""On a transformers model: the digest of the weights that it was loaded from."""
Answer = TypeVar("Answer", bool, dict[str, Any])


def known_by(model: Any, weights: str) -> None:
    """Let what is found out about a model be remembered under the digest of its weights."""
    model.__dict__[WEIGHTS] = weights


class Facts:
    """Answers to questions about one model."""

    def __init__(self, note: Path | None) -> None:
        """Keep answers in a file; None means nowhere."""
        self.note = note

    @classmethod
    def of(cls, model: Any) -> Facts:
        """Those of a transformers model: the same weights and settings, on the same kind of device, with the same code."""
        weights = model.__dict__.get(WEIGHTS)
        if weights is None:
            return cls(None)
        parameter = next(model.parameters())
        config = [model.config.to_json_string(use_diff=False), model.config._attn_implementation]
        depends_on = [weights, str(parameter.dtype), _device(parameter), *config, _code()]
        return cls(cache_folder() / "facts" / f"{hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()}.json")

    def recall(self, question: str, ask: Callable[[], Answer]) -> Answer:
        """The answer of an earlier process, or that of `ask`, kept for later ones; errors are not kept.

        Where the cache cannot be written, every process asks.
        """
        if self.note is None:
            return ask()
        if question in (known := self._read()):
            answer: Answer = known[question]
            return answer
        answer = ask()
        try:
            self.note.parent.mkdir(parents=True, exist_ok=True)
            replace_text(self.note, json.dumps(self._read() | {question: answer}))
        except OSError:
            log.debug("%s cannot be written; models are probed again at each start", self.note.parent)
        return answer

    def _read(self) -> dict[str, Any]:
        assert self.note is not None
        try:
            found = json.loads(self.note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _device(parameter: Any) -> str:
    if parameter.device.type != "cuda":
        return str(parameter.device.type)
    import torch

    return torch.cuda.get_device_name(parameter.device)


@cache
def _code() -> str:
    """Of the libraries that run a model, and of our own code between them and a prefix."""
    here = Path(__file__).parents[1]
    digest = hashlib.sha256(f"{version('torch')} {version('transformers')}".encode())
    for path in sorted([*(here / "prefix").glob("*.py"), *(here / "models").glob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()
