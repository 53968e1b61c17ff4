"""A model of lm-evaluation-harness: every adapter, and every base model, on the harness's tasks.

    lm_eval.simple_evaluate(model="polyprefix", model_args="adapter=runs/RUN_ID", tasks=[...])
    polyprefix lm-eval run --model polyprefix --model_args pretrained=gemma-3-270m --tasks belebele_swh_Latn

Requests are tokenised and truncated as the harness's `hf` model does it, so log-likelihoods are equal to its. They are computed by this
project's engine (`integrations.requests`). Answers are greedy, under no other settings of a model than its special tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tqdm import tqdm

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.errors import ConfigError
from polyprefix.integrations.requests import RequestEngine, load

Request = tuple[Any, Sequence[int], Sequence[int]]
"""The texts that a cache knows the request by, tokens of the context, tokens of the continuation."""
NEW_TOKENS = 256
"""Of an answer at most, where a task says nothing; the harness's own default."""
NEW_TOKEN_KEYS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""What tasks call that number, the first that is there counts."""


@register_model("polyprefix")
class PolyprefixLM(TemplateLM):
    """An adapted model behind the harness's interface."""

    def __init__(
        self,
        pretrained: str | AdaptedModel | None = None,
        adapter: str | None = None,
        *,
        device: str | None = None,
        dtype: str = "auto",
        attention: str = "auto",
        quantize: str = "none",
        token_budget: int | None = None,
        max_length: int | None = None,
        add_bos_token: bool | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
    ) -> None:
        """Load a model.

        Args:
            pretrained: a base model as `load_model` takes it, or an adapted model; by default the base model that `adapter` was trained on.
            adapter: the folder of an adapter or of its run, or of one that PEFT saved; None means the base model.
            device, dtype, attention, quantize: as `load_model`.
            token_budget: tokens in one forward pass; None means as many as memory holds.
            max_length: tokens of a context with its continuation; longer ones lose their beginning. None means what the model reads.
            add_bos_token: whether a text begins with BOS; None leaves that to the tokenizer.
            batch_size, max_batch_size: not used, for batches follow the token budget; the harness hands them to every model.

        Raises:
            ConfigError: if neither a model nor an adapter is given.
            ModelError, AdapterError: if one of them cannot be found or read.
        """
        super().__init__()
        runtime = {"device": device or "auto", "dtype": dtype, "attention": attention, "quantize": quantize}
        self.adapted = pretrained if isinstance(pretrained, AdaptedModel) else load(pretrained, adapter, runtime)
        self._engine = RequestEngine(self.adapted, token_budget, max_length)
        self.tokenizer: Any = self.adapted.base.tokenizer
        self._device = self.adapted.device
        self._bos = add_bos_token

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text."""
        return int(self.tokenizer.eos_token_id)

    @property
    def prefix_token_id(self) -> int:
        """What stands before a text without a context: BOS, or the end token."""
        bos = self.tokenizer.bos_token_id
        return self.eot_token_id if bos is None else int(bos)

    @property
    def max_length(self) -> int:
        """Tokens of a context with its continuation."""
        return self._engine.max_length

    @property
    def tokenizer_name(self) -> str:
        """By which the harness names its cache of requests."""
        return str(self.tokenizer.name_or_path or self.adapted.base.name).replace("/", "__")

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """The tokens of a text; one that begins with BOS already gets no other."""
        if add_special_tokens is None:
            written = string.startswith(self.tokenizer.decode(self.prefix_token_id))
            add_special_tokens = False if written else self._bos
        options = {} if add_special_tokens is None else {"add_special_tokens": add_special_tokens}
        return list(self.tokenizer.encode(string, **options))

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """A conversation as the model's own template writes it; one that knows no system role is given none."""
        from jinja2.exceptions import TemplateError

        options = {
            "tokenize": False,
            "add_generation_prompt": add_generation_prompt,
            "continue_final_message": not add_generation_prompt,
        }
        try:
            return str(self.tokenizer.apply_chat_template(chat_history, **options))
        except TemplateError:
            others = [message for message in chat_history if message["role"] != "system"]
            return str(self.tokenizer.apply_chat_template(others, **options))

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """The log-likelihood of whole texts, in windows of `max_length` tokens."""
        windows = [
            [(None, *pair) for pair in map(make_disjoint_window, self._windows(request.args[0]))]
            for request in requests
        ]
        found = iter(self._loglikelihood_tokens([one for text in windows for one in text], disable_tqdm=disable_tqdm))
        sums = [sum(next(found)[0] for _ in text) for text in windows]
        for request, value in zip(requests, sums, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", (request.args[0],), value)
        return sums

    def _windows(self, text: str) -> Iterable[tuple[list[int], list[int]]]:
        found: Iterable[tuple[list[int], list[int]]] = get_rolling_token_windows(
            token_list=self.tok_encode(text),
            prefix_token=self.prefix_token_id,
            max_seq_len=self.max_length,
            context_len=1,
        )
        return found

    def _loglikelihood_tokens(
        self, requests: Sequence[Request], disable_tqdm: bool = False, **more: Any
    ) -> list[tuple[float, bool]]:
        """(log-likelihood, whether greedy generation writes it) of each continuation."""
        pairs = [(tuple(context), tuple(continuation)) for _, context, continuation in requests]
        with tqdm(disable=disable_tqdm, desc="log-likelihoods") as bar:

            def progress(count: int) -> Any:
                bar.reset(count)
                return bar.update

            answers = self._engine.loglikelihood(pairs, progress)
        for (texts, *_), answer in zip(requests, answers, strict=True):
            if texts is not None:  # windows of a longer text are kept as a whole
                self.cache_hook.add_partial("loglikelihood", texts, answer)
        return answers

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Greedy answers.

        Raises:
            ConfigError: if a task asks for samples, or for longer answers than the model reads.
        """
        groups: dict[str, list[int]] = {}
        for number, request in enumerate(requests):  # requests of one group end at the same strings
            groups.setdefault(json.dumps(request.args[1], sort_keys=True, default=str), []).append(number)
        answers: dict[int, str] = {}
        with tqdm(total=len(requests), disable=disable_tqdm, desc="answers") as bar:
            for numbers in groups.values():
                stop, new = _settings(requests[numbers[0]].args[1])
                contexts = [tuple(self.tok_encode(requests[number].args[0])) for number in numbers]
                written = self._engine.generate_until(contexts, stop, new, bar.update)
                answers.update(zip(numbers, written, strict=True))
        for number, request in enumerate(requests):
            self.cache_hook.add_partial("generate_until", request.args, answers[number])
        return [answers[number] for number in range(len(requests))]

    def get_model_info(self) -> dict[str, Any]:
        """What the harness writes beside its results."""
        identity, counts = self.adapted.base.identity, self.adapted.parameter_counts()
        return {
            "model_num_parameters": counts["total"], "model_dtype": str(self.adapted.hook.dtype), "model_revision": identity.revision or "",
            "model_sha": identity.weights or "", "adapter": self.adapted.place, "method": self.adapted.method.name,
            "trainable_parameters": counts["trainable"],
        }  # fmt: skip


def _settings(asked: dict[str, Any]) -> tuple[tuple[str, ...], int]:
    """(strings that end an answer, most new tokens) that a task asks for.

    Raises:
        ConfigError: if it asks for samples.
    """
    if asked.get("do_sample") or (asked.get("do_sample") is None and float(asked.get("temperature") or 0.0) > 0):
        raise ConfigError(
            "the task asks for sampled answers, and these are greedy; give --gen_kwargs do_sample=False,temperature=0"
        )
    until = asked.get("until") or []
    stops = [until] if isinstance(until, str) else list(until)
    new = next((asked[key] for key in NEW_TOKEN_KEYS if asked.get(key) is not None), NEW_TOKENS)
    return tuple(stop for stop in stops if stop), int(new)
