"""The same adapters as one would serve them without polyprefix: LitServe in front of PEFT. A contestant of benchmarks.serving.

PEFT serves a prefix to a whole batch, so that requests for different adapters have passes of their own. Prompts and choices are those of the
task of RUN. WAY is one of

    plain     rows in the order of requests, a row a choice, logits of all tokens: as examples of LitServe and transformers have it
    careful   rows of similar length together, one a text where every choice is one token, logits only where a choice is predicted

`logits_to_keep` is a tensor in the careful way. As a number it makes a slice that is not contiguous: torch then copies the head's weights for
every row, 335 MB each for Gemma 3 270M in bfloat16, and a pass of 32 rows takes minutes.

    python -m benchmarks.litserve_peft PORT WAY MODEL DTYPE RUN NAME=PEFT_FOLDER...
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Any

import litserve
import torch

MODEL_BATCH = 32
"""Rows of a forward pass."""


class Choose(litserve.LitAPI):
    """`/predict` with an adapter and a text."""

    def __init__(self, way: str, model: str, dtype: str, run: str, adapters: dict[str, str], **settings: Any) -> None:
        super().__init__(**settings)
        self.careful = {"plain": False, "careful": True}[way]
        self.given = model, dtype, run, adapters

    def setup(self, device: str) -> None:
        """Load the base model and all adapters."""
        from peft import PeftModel

        from polyprefix.adapters.saved import find_adapter, read_settings
        from polyprefix.models.load import load_model
        from polyprefix.tasks import registry

        name, dtype, run, adapters = self.given
        base = load_model(name, dtype=dtype)
        self.tokenizer, self.task = base.tokenizer, registry.restore(read_settings(find_adapter(run))["task"])
        first, *others = adapters
        self.model = PeftModel.from_pretrained(base.model, adapters[first], adapter_name=first).eval()
        for other in others:
            self.model.load_adapter(adapters[other], adapter_name=other)

    def decode_request(self, request, **kwargs: Any) -> tuple[str, str]:  # type: ignore[no-untyped-def]
        """Adapter and text. LitServe gives the JSON of a body to a parameter that has no annotation."""
        return request["adapter"], request["inputs"][0]

    def batch(self, inputs: list[Any]) -> list[Any]:
        """As they are."""
        return inputs

    def predict(self, inputs: list[tuple[str, str]], **kwargs: Any) -> list[dict[str, Any]]:
        """The probabilities of the choices, a pass an adapter."""
        owners: dict[str, list[int]] = defaultdict(list)
        for n, (adapter, _) in enumerate(inputs):
            owners[adapter].append(n)
        answers: dict[int, dict[str, Any]] = {}
        for adapter, places in owners.items():
            self.model.set_adapter(adapter)
            for n, answer in zip(places, self._ranked([inputs[n][1] for n in places]), strict=True):
                answers[n] = answer
        return [answers[n] for n in range(len(inputs))]

    def unbatch(self, output: list[Any]) -> list[Any]:
        """One an input."""
        return output

    def encode_response(self, output: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """As it is."""
        return output

    @torch.inference_mode()
    def _ranked(self, texts: list[str]) -> list[dict[str, Any]]:
        from polyprefix.data.table import Row
        from polyprefix.prediction.rows import examples_of

        [name] = self.task.info.inputs
        examples = examples_of([Row("", {name: text}) for text in texts], self.task, "eng_Latn")
        prompts = [self.task.prompt(example) for example in examples]
        rows = [self._row(prompt.text, choice) for prompt in prompts for choice in prompt.choices]
        scores = self._at_last_token(rows) if self.careful and all(n == 1 for _, n in rows) else self._scores(rows)
        found, at = [], 0
        for example, prompt in zip(examples, prompts, strict=True):
            own = torch.tensor(scores[at : at + len(prompt.choices)]).softmax(0).tolist()
            at += len(prompt.choices)
            found.append(dict(zip(example.choices, own, strict=True)))
        return [{"prediction": max(one, key=one.__getitem__), "probabilities": one} for one in found]

    def _row(self, text: str, choice: str) -> tuple[list[int], int]:
        """Tokens of a text with a choice, and how many of them are the choice's."""
        whole = self.tokenizer(text + choice)["input_ids"]
        return whole, len(whole) - len(self.tokenizer(text)["input_ids"])

    def _scores(self, rows: list[tuple[list[int], int]]) -> list[float]:
        """The log-likelihood of each row's choice."""
        found: dict[int, float] = {}
        for places in self._batches([len(ids) for ids, _ in rows]):
            ids, mask = self._padded([rows[n][0] for n in places])
            longest = max(rows[n][1] for n in places)
            kept = {"logits_to_keep": torch.arange(ids.shape[1] - longest - 1, ids.shape[1])} if self.careful else {}
            logits = self.model(input_ids=ids, attention_mask=mask, **kept).logits[:, -longest - 1 : -1]
            taken = logits.float().log_softmax(-1).gather(-1, ids[:, -longest:, None])[..., 0]
            found |= {n: float(row[longest - rows[n][1] :].sum()) for n, row in zip(places, taken, strict=True)}
        return [found[n] for n in range(len(rows))]

    def _at_last_token(self, rows: list[tuple[list[int], int]]) -> list[float]:
        """The same where every choice is one token: a text is read once for all of them."""
        texts = list(dict.fromkeys(tuple(ids[:-1]) for ids, _ in rows))
        found: dict[tuple[int, ...], torch.Tensor] = {}
        for places in self._batches([len(text) for text in texts]):
            ids, mask = self._padded([list(texts[n]) for n in places])
            last = torch.tensor([ids.shape[1] - 1])
            logits = self.model(input_ids=ids, attention_mask=mask, logits_to_keep=last).logits[:, 0]
            found |= {texts[n]: row for n, row in zip(places, logits.float().log_softmax(-1), strict=True)}
        return [float(found[tuple(ids[:-1])][ids[-1]]) for ids, _ in rows]

    def _batches(self, lengths: list[int]) -> list[list[int]]:
        order = sorted(range(len(lengths)), key=lengths.__getitem__) if self.careful else list(range(len(lengths)))
        return [order[start : start + MODEL_BATCH] for start in range(0, len(order), MODEL_BATCH)]

    def _padded(self, rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and mask, padded on the left."""
        width, pad = max(map(len, rows)), self.tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows])
        return ids, torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])


def main() -> None:
    """Serve until it is ended."""
    port, way, model, dtype, run, *named = sys.argv[1:]
    adapters = dict(one.split("=", 1) for one in named)
    api = Choose(way, model, dtype, run, adapters, max_batch_size=64, batch_timeout=0.02)
    litserve.LitServer(api, accelerator="cpu", timeout=600).run(
        host="127.0.0.1", port=int(port), log_level="warning", generate_client_file=False
    )


if __name__ == "__main__":
    main()
