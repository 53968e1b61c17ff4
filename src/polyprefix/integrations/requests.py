"""What evaluation tools ask of a model, in tokens: log-likelihoods of continuations, and greedy answers. Their model classes wrap it.

What requests begin with is computed once, be it of the context or of the continuation: tasks such as XNLI have no context, and their
continuations are whole sentences. Rows are packed, and the head is computed where a continuation is predicted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.adapters.registry import build
from polyprefix.adapters.saved import SETTINGS, find_adapter, read_settings
from polyprefix.api.loading import is_peft, load_adapter
from polyprefix.errors import ConfigError
from polyprefix.evaluation.generation import generate_until
from polyprefix.evaluation.loglikelihood import loglikelihood
from polyprefix.models.load import load_model
from polyprefix.text.tokens import TokenizedPrompt
from polyprefix.types import Prompt

Tokens = tuple[int, ...]
RUNTIME = ("device", "dtype", "attention", "quantize")
"""Arguments of `load_model` that a tool's words may name."""


class RequestEngine:
    """An adapted model that answers requests of tokens."""

    def __init__(self, adapted: AdaptedModel, token_budget: int | None = None, max_length: int | None = None) -> None:
        """Take a model.

        Args:
            adapted: of a method, or of none.
            token_budget: tokens in one forward pass; None means as many as memory holds.
            max_length: tokens of a context with its continuation; None means what the model reads.
        """
        self.adapted = adapted.eval()
        self._budget, self._longest = token_budget, max_length

    @property
    def max_length(self) -> int:
        """Tokens of a context with its continuation."""
        return self._longest or self.adapted.base.max_length

    def loglikelihood(
        self, pairs: Sequence[tuple[Tokens, Tokens]], progress: Callable[[int], Callable[[int], None]]
    ) -> list[tuple[float, bool]]:
        """(log-likelihood, whether greedy generation writes it) of each continuation after its context.

        Args:
            pairs: (context, continuation); a context that does not fit loses its beginning.
            progress: given the number of different requests, what is called with how many more are done.

        Raises:
            ConfigError: if a continuation is empty, or alone longer than the model reads.
        """
        pairs = [self._shortened(context, continuation) for context, continuation in pairs]
        numbers = {pair: number for number, pair in enumerate(dict.fromkeys(pairs))}
        prompts = [
            TokenizedPrompt(_prompt(number), context, continuation, (continuation,))
            for (context, continuation), number in numbers.items()
        ]
        ranked = loglikelihood(self.adapted, prompts, self._budget, progress(len(prompts)), greedy=True)
        answers = [(one.log_likelihoods[0], one.greedy[0]) for one in ranked]
        return [answers[numbers[pair]] for pair in pairs]

    def _shortened(self, context: Tokens, continuation: Tokens) -> tuple[Tokens, Tokens]:
        """A context without the beginning that does not fit; the last token of the continuation is not read."""
        room = self.max_length + 1 - len(continuation)
        if room < 1 or not continuation:
            raise ConfigError(
                f"a continuation of {len(continuation)} tokens: expected 1 to {self.max_length}, which is what the model reads"
            )
        return context[-room:], continuation

    def generate_until(
        self, contexts: Sequence[Tokens], stop: tuple[str, ...], new: int, advance: Callable[[int], None]
    ) -> list[str]:
        """A greedy answer to each context, which loses its beginning where answer and context do not fit.

        Args:
            stop: an answer ends before the first of these strings.
            new: and after at most so many tokens.
            advance: called with how many more are done.

        Raises:
            ConfigError: if an answer of that length leaves no room for a context.
        """
        room = self.max_length - new
        if room < 1:
            raise ConfigError(f"{new} new tokens: the model reads {self.max_length}; ask for fewer")
        prompts = [
            TokenizedPrompt(_prompt(number, stop, new), tuple(context)[-room:], (), ())
            for number, context in enumerate(contexts)
        ]
        return generate_until(self.adapted, prompts, self._budget, advance)


def load(pretrained: str | None, adapter: str | None, runtime: dict[str, str]) -> AdaptedModel:
    """The model that a tool's words name.

    Args:
        pretrained: a base model; None means the one that the adapter was trained on.
        adapter: the folder of an adapter or of its run, or of one that PEFT saved; None means the base model.
        runtime: some of `RUNTIME`.

    Raises:
        ConfigError: if neither is given.
        ModelError, AdapterError: if one of them cannot be found or read.
    """
    if adapter is None and pretrained is None:
        raise ConfigError("model_args: expected adapter=FOLDER, pretrained=MODEL, or both")
    name = pretrained or str(read_settings(find_adapter(str(adapter)))["base"]["name"])
    base = load_model(name, **runtime)  # type: ignore[arg-type]
    return attach(base, build({"name": "none"})) if adapter is None else load_adapter(base, adapter)


def load_named(name: str, **more: str) -> AdaptedModel:
    """The model that a tool knows by one name: the folder of a run or an adapter, a base model, or `adapter=...,pretrained=...,dtype=...`.

    Args:
        name: as the tool was given it.
        more: further words in the same form, which prevail.

    Raises:
        ConfigError: for a word that means nothing here.
        ModelError, AdapterError: as `load`.
    """
    words = dict(pair.partition("=")[::2] for pair in name.split(",")) if "=" in name else _as_words(name)
    words |= more
    if unknown := sorted(words.keys() - {"pretrained", "adapter", *RUNTIME}):
        raise ConfigError(f"model '{name}': '{unknown[0]}' is none of pretrained, adapter, {', '.join(RUNTIME)}")
    return load(words.pop("pretrained", None), words.pop("adapter", None), words)


def _as_words(name: str) -> dict[str, str]:
    folder = find_adapter(name) if Path(name).expanduser().exists() else Path(name)
    return {"adapter": name} if (folder / SETTINGS).is_file() or is_peft(folder) else {"pretrained": name}


def _prompt(number: int, stop: tuple[str, ...] = (), new: int = 1) -> Prompt:
    """What the engine must know of a request whose tokens are made already."""
    return Prompt(f"request {number}", "harness", "", "", stop=stop, max_new_tokens=new, verbatim=True)
