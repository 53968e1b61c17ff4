"""A model of lighteval: every adapter, and every base model, on its tasks.

    polyprefix lighteval runs/RUN_ID "xnli_swa_cf|0" --load-tasks-multilingual --save-details --output-dir out
    lighteval custom runs/RUN_ID THIS_FILE "xnli_swa_cf|0"

The model's name is the folder of a run or an adapter, a base model, or `adapter=...,pretrained=...,dtype=float32`. Documents are tokenised as
lighteval's transformers backend does it; answers are greedy. lighteval takes the one class of this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lighteval.models.abstract_model import LightevalModel
from lighteval.models.model_output import ModelResponse
from lighteval.tasks.prompt_manager import PromptManager
from lighteval.tasks.requests import Doc
from lighteval.utils.cache_management import SampleCache
from tqdm import tqdm

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.errors import ConfigError
from polyprefix.integrations.requests import RequestEngine, load_named

NEW_TOKENS = 256
"""Of an answer at most, where a task says nothing."""


class PolyprefixModel(LightevalModel):
    """An adapted model behind lighteval's interface."""

    def __init__(self, config: Any, adapted: AdaptedModel | None = None) -> None:
        """Load the model that `config.model_name` names.

        Args:
            config: lighteval's, for a custom model.
            adapted: a model that is loaded already, for Python.

        Raises:
            ConfigError, ModelError, AdapterError: if there is no such model.
        """
        self.config = config
        self._cache = SampleCache(
            config
        )  # its pipeline asks for one; nothing is put in, for it does not tell one adapter in a folder from the next
        self._engine = RequestEngine(adapted or load_named(config.model_name))
        self._tokenizer: Any = self._engine.adapted.base.tokenizer
        self._chat = self._tokenizer.chat_template is not None
        self._prompts = PromptManager(
            use_chat_template=self._chat,
            tokenizer=self._tokenizer,
            system_prompt=getattr(config, "system_prompt", None),
        )

    @property
    def tokenizer(self) -> Any:
        """Of the base model."""
        return self._tokenizer

    @property
    def add_special_tokens(self) -> bool:
        """Whether a text begins with the tokenizer's own special tokens; a chat template writes them itself."""
        return not self._chat

    @property
    def max_length(self) -> int:
        """Tokens of a context with its continuation."""
        return self._engine.max_length

    def loglikelihood(self, docs: list[Doc]) -> list[ModelResponse]:
        """The log-likelihood of each choice of each document."""
        pairs, counts = [], []
        for doc in docs:
            contexts, choices = self.tok_encode_pair(self._prompts.prepare_prompt(doc), doc.choices, pairwise=True)
            pairs += [(tuple(a), tuple(b)) for a, b in zip(contexts, choices, strict=True)]
            counts.append(len(choices))
        found = iter(self._scored(pairs))
        responses = []
        for doc, count in zip(docs, counts, strict=True):
            values = [next(found) for _ in range(count)]
            responses.append(
                ModelResponse(
                    input=self._prompts.prepare_prompt(doc),
                    logprobs=[value for value, _ in values],
                    argmax_logits_eq_gold=[greedy for _, greedy in values],
                )
            )
        return responses

    def loglikelihood_rolling(self, docs: list[Doc]) -> list[ModelResponse]:
        """The log-likelihood of each whole text, in windows of `max_length` tokens; each window sees the token before it."""
        texts = [self._prompts.prepare_prompt(doc) for doc in docs]
        windows = [self._windows(text) for text in texts]
        found = iter(self._scored([one for text in windows for one in text]))
        return [
            ModelResponse(input=text, logprobs=[sum(next(found)[0] for _ in parts)])
            for text, parts in zip(texts, windows, strict=True)
        ]

    def _windows(self, text: str) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        start = self._tokenizer.bos_token_id
        first = self._tokenizer.eos_token_id if start is None else start
        ids = (first, *self._tokenizer.encode(text, add_special_tokens=False))
        return [
            (ids[place : place + 1], ids[place + 1 : place + 1 + self.max_length])
            for place in range(0, len(ids) - 1, self.max_length)
        ]

    def _scored(self, pairs: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> list[tuple[float, bool]]:
        with tqdm(disable=self.disable_tqdm, desc="log-likelihoods of contexts") as bar:

            def progress(count: int) -> Any:
                bar.reset(count)
                return bar.update

            return self._engine.loglikelihood(pairs, progress)

    def greedy_until(self, docs: list[Doc]) -> list[ModelResponse]:
        """Greedy answers.

        Raises:
            ConfigError: if a task asks for several samples, or for longer answers than the model reads.
        """
        groups: dict[tuple[tuple[str, ...], int], list[int]] = {}
        for number, doc in enumerate(docs):
            if (doc.num_samples or 1) > 1:
                raise ConfigError(f"{doc.task_name}: asks for {doc.num_samples} samples, and answers here are greedy")
            stop = () if self._chat else tuple(one for one in doc.stop_sequences or () if one)
            groups.setdefault((stop, new if (new := doc.generation_size or 0) > 0 else NEW_TOKENS), []).append(number)
        texts = [self._prompts.prepare_prompt(doc) for doc in docs]
        responses: dict[int, ModelResponse] = {}
        with tqdm(total=len(docs), disable=self.disable_tqdm, desc="answers") as bar:
            for (stop, new), numbers in groups.items():
                contexts = [
                    tuple(self._tokenizer.encode(texts[number], add_special_tokens=self.add_special_tokens))
                    for number in numbers
                ]
                for number, ids, written in zip(
                    numbers, contexts, self._engine.generate_until(contexts, stop, new, bar.update), strict=True
                ):
                    responses[number] = ModelResponse(input=texts[number], input_tokens=list(ids), text=[written])
        return [responses[number] for number in range(len(docs))]
