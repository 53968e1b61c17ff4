"""The same adapters as one would serve them without polyprefix: LitServe in front of PEFT. A contestant of benchmarks.serving.

PEFT serves a prefix to a whole batch, so that requests for different adapters have passes of their own. A question and each of its
choices are a row, padded, as examples of ranking choices with transformers have it. Prompts and choices are those of the task
of RUN.

    python -m benchmarks.litserve_peft PORT MODEL DTYPE RUN NAME=PEFT_FOLDER...
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

    def __init__(self, model: str, dtype: str, run: str, adapters: dict[str, str], **settings: Any) -> None:
        super().__init__(**settings)
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

    def decode_request(self, request, **kwargs: Any) -> tuple[str, str]:
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
        from polyprefix.data.files import Row
        from polyprefix.prediction.rows import examples_of

        [name] = self.task.info.inputs
        examples = examples_of([Row("", {name: text}) for text in texts], self.task, "eng_Latn")
        prompts = [self.task.prompt(example) for example in examples]
        rows = [(prompt.text, choice) for prompt in prompts for choice in prompt.choices]
        scores = []
        for start in range(0, len(rows), MODEL_BATCH):
            scores += self._scores(rows[start : start + MODEL_BATCH])
        found, at = [], 0
        for example, prompt in zip(examples, prompts, strict=True):
            own = torch.tensor(scores[at : at + len(prompt.choices)]).softmax(0).tolist()
            at += len(prompt.choices)
            found.append(dict(zip(example.choices, own, strict=True)))
        return [{"prediction": max(one, key=one.__getitem__), "probabilities": one} for one in found]

    def _scores(self, rows: list[tuple[str, str]]) -> list[float]:
        whole = [self.tokenizer(text + choice)["input_ids"] for text, choice in rows]
        lengths = [len(self.tokenizer(text)["input_ids"]) for text, _ in rows]
        width = max(map(len, whole))
        pad = self.tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (width - len(one)) + one for one in whole])
        mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in whole])
        longest = max(
            len(one) - n for one, n in zip(whole, lengths, strict=True)
        )  # tokens of a choice, at the end of its row
        logits = self.model(input_ids=ids, attention_mask=mask, logits_to_keep=longest + 1).logits[:, :-1]
        taken = logits.float().log_softmax(-1).gather(-1, ids[:, -longest:, None])[..., 0]
        return [float(row[longest - len(one) + n :].sum()) for row, one, n in zip(taken, whole, lengths, strict=True)]


def main() -> None:
    """Serve until it is ended."""
    port, model, dtype, run, *named = sys.argv[1:]
    adapters = dict(one.split("=", 1) for one in named)
    api = Choose(model, dtype, run, adapters, max_batch_size=64, batch_timeout=0.02)
    litserve.LitServer(api, accelerator="cpu", timeout=600).run(
        host="127.0.0.1", port=int(port), log_level="warning", generate_client_file=False
    )


if __name__ == "__main__":
    main()
