"""A model of inspect_ai: every adapter, and every base model, on its tasks.

    inspect eval task.py --model polyprefix/runs/RUN_ID
    inspect eval task.py --model polyprefix/gemma-3-270m -M dtype=float32

inspect finds the name by the entry point `inspect_ai`. Answers are greedy; requests that come while others are answered are answered together
next. torch is loaded when a model is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from inspect_ai.model import ChatCompletionChoice as Choice
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    modelapi,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from polyprefix.errors import ConfigError

if TYPE_CHECKING:
    from polyprefix.adapters.adapted import AdaptedModel

NEW_TOKENS = 256
"""Of an answer at most, where a task says nothing."""
TOGETHER = 32
"""Requests that inspect sends before the first is answered."""
SAMPLING = ("temperature", "num_choices", "logprobs")
Settings = tuple[tuple[str, ...], int]
"""The strings that end an answer, and its tokens at most."""


@dataclass(eq=False, slots=True)
class _Request:
    ids: tuple[int, ...]
    settings: Settings
    answer: str | None = None


class PolyprefixAPI(ModelAPI):
    """An adapted model behind inspect's interface."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        adapted: AdaptedModel | None = None,
        **model_args: Any,
    ) -> None:
        """Load a model.

        Args:
            model_name: what follows `polyprefix/`: the folder of a run or an adapter, or a base model.
            base_url, api_key: not used; inspect hands them to every model.
            config: inspect's.
            adapted: a model that is loaded already, for Python.
            model_args: `adapter`, `pretrained`, `device`, `dtype`, `attention`, `quantize`.

        Raises:
            ConfigError, ModelError, AdapterError: if there is no such model.
        """
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        from polyprefix.integrations.requests import RequestEngine, load_named

        self._engine = RequestEngine(adapted or load_named(model_name, **model_args))
        self._tokenizer: Any = self._engine.adapted.base.tokenizer
        self._waiting: list[_Request] = []
        self._turn = anyio.Lock()

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """A greedy answer to a conversation.

        Raises:
            ConfigError: if tools, samples or log-probabilities are asked for.
        """
        _require_greedy(tools, config)
        started = time.perf_counter()
        settings = (tuple(config.stop_seqs or ()), config.max_tokens or NEW_TOKENS)
        request = _Request(self._tokens(input), settings)
        self._waiting.append(request)
        async with self._turn:  # whoever has the turn answers all that wait
            if request.answer is None:
                together = [one for one in self._waiting if one.settings == settings]
                self._waiting = [one for one in self._waiting if one.settings != settings]
                await anyio.to_thread.run_sync(partial(self._answer, together, settings))
        text = str(request.answer)
        new = len(self._tokenizer.encode(text, add_special_tokens=False))
        return ModelOutput(
            model=self.model_name,
            choices=[Choice(message=ChatMessageAssistant(content=text, model=self.model_name, source="generate"))],
            usage=ModelUsage(input_tokens=len(request.ids), output_tokens=new, total_tokens=len(request.ids) + new),
            time=time.perf_counter() - started,
        )

    def _answer(self, requests: list[_Request], settings: Settings) -> None:
        written = self._engine.generate_until([one.ids for one in requests], *settings, lambda done: None)
        for request, text in zip(requests, written, strict=True):
            request.answer = text

    def _tokens(self, messages: list[ChatMessage]) -> tuple[int, ...]:
        """The conversation by the model's own template; of a model without one, the texts of its messages, a paragraph each."""
        if self._tokenizer.chat_template is None:
            text = "\n\n".join(message.text for message in messages)
            return tuple(self._tokenizer.encode(text))
        turns = [{"role": message.role, "content": message.text} for message in messages]
        text = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return tuple(self._tokenizer.encode(text, add_special_tokens=False))

    def max_connections(self) -> int:
        """Requests at a time."""
        return TOGETHER


def _require_greedy(tools: list[ToolInfo], config: GenerateConfig) -> None:
    if tools:
        raise ConfigError("polyprefix: the task gives the model tools, which base models with adapters do not call")
    asked = {name: getattr(config, name) for name in SAMPLING}
    wrong = next((name for name, value in asked.items() if value and not (name == "num_choices" and value == 1)), None)
    if wrong:
        raise ConfigError(
            f"polyprefix: {wrong}={asked[wrong]} is asked for, and answers here are greedy texts; leave it out"
        )


@modelapi(name="polyprefix")
def polyprefix() -> type[ModelAPI]:
    """The class, for inspect's registry."""
    return PolyprefixAPI
