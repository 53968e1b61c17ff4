"""An adapter in llama.cpp beside itself here. python -m benchmarks.llama_cpp RUN --gguf BASE.gguf --languages en,sw

The same test examples are answered twice: by polyprefix in float32, and by llama.cpp's server (the PyPI package xllamacpp) with what `export
--format llama.cpp` writes. First the base model alone, whose differences are those of llama.cpp's float16 cache and quantised activations;
then the adapter. Choices are compared by log-probability: a choice of several tokens by the sum of theirs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rounds import machine
from polyprefix.text.tokens import TokenizedPrompt

N_PROBS = 20_000
"""Likeliest tokens that are asked for; a token beyond them counts as the least likely of them."""
TEMPLATE_TEXT = "The quick brown fox jumps over the lazy dog."


class Server:
    """llama.cpp's server in this process, one slot, so many threads."""

    def __init__(self, gguf: Path, slots: Path, lora: Path | None = None, threads: int = 1) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path, params.slot_save_path = str(gguf), f"{slots}/"
        params.endpoint_slots = params.swa_full = True
        params.n_ctx, params.n_parallel, params.warmup, params.verbosity = 4096, 1, False, 1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        if lora is not None:
            adapter = xllamacpp.CommonAdapterLoraInfo()
            adapter.path, adapter.scale = str(lora), 1.0
            params.lora_adapters = [adapter]
        self.slots = slots
        self._server = xllamacpp.Server(params)
        self.url: str = self._server.listening_address
        self.before: list[int] = []
        """Tokens that stand for the restored prefix."""

    def call(self, path: str, body: Any) -> Any:
        """The JSON of an answer."""
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def template(self) -> Path:
        """A slot file of some tokens."""
        self.complete(self.call("/tokenize", {"content": TEMPLATE_TEXT, "add_special": True})["tokens"])
        self.call("/slots/0?action=save", {"filename": "template.bin"})
        return self.slots / "template.bin"

    def restore(self, folder: Path) -> None:
        """Put the prefix of an exported folder into the slot."""
        shutil.copy(folder / "slot.bin", self.slots / "slot.bin")
        self.call("/slots/0?action=restore", {"filename": "slot.bin"})
        self.before = json.loads((folder / "llama_cpp.json").read_text())["tokens"]

    def complete(self, ids: Sequence[int], probs: int = 1) -> dict[str, Any]:
        """The next token after some tokens."""
        body = {"prompt": [*self.before, *ids], "n_predict": 1, "n_probs": probs, "temperature": 0}
        answer: dict[str, Any] = self.call("/completion", {**body, "id_slot": 0, "cache_prompt": True})
        if answer["timings"]["cache_n"] < len(self.before):
            raise SystemExit("the slot does not hold the prefix")
        return answer

    def next_tokens(self, ids: Sequence[int]) -> dict[int, float]:
        """Token -> log-probability after some tokens, of the likeliest."""
        [first] = self.complete(ids, N_PROBS)["completion_probabilities"]
        return {one["id"]: one["logprob"] for one in first["top_logprobs"]}

    def rank(self, item: TokenizedPrompt) -> list[float]:
        """The log-probability of each choice."""
        known: dict[tuple[int, ...], dict[int, float]] = {}
        found = []
        for choice in item.choices:
            total = 0.0
            for n, token in enumerate(choice):
                before = choice[:n]
                if before not in known:
                    known[before] = self.next_tokens([*item.ids, *before])
                total += known[before].get(token, min(known[before].values()))
            found.append(total)
        return found


def compare(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Differences of log-probabilities, each question's choices beside their mean, and of predictions."""
    apart, wide, differ = [], [], []
    for mine, other in zip(ours, theirs, strict=True):
        a, b = np.array(mine), np.array(other)
        apart.extend(a - b)
        wide.extend((a - a.mean()) - (b - b.mean()))
        if a.argmax() != b.argmax():
            differ.append(round(float(a.max() - a[b.argmax()]), 3))
    return {
        "questions": len(ours),
        "rms_log_probability": float(np.sqrt(np.mean(np.square(apart)))),
        "rms_between_choices": float(np.sqrt(np.mean(np.square(wide)))),
        "max_between_choices": float(np.abs(wide).max()),
        "same_prediction": len(ours) - len(differ),
        "margins_here_where_predictions_differ": sorted(differ),
    }


def measure(run: str, gguf: Path, languages: Sequence[str], count: int, threads: int) -> dict[str, Any]:
    """All figures, of the base model and of the run's adapter."""
    import torch

    from polyprefix.adapters.formats import export_adapter
    from polyprefix.config import PredictConfig, RuntimeConfig
    from polyprefix.data.hub import hub_from_environment
    from polyprefix.evaluation.loglikelihood import loglikelihood
    from polyprefix.languages import find
    from polyprefix.prediction import Predictor
    from polyprefix.tasks.base import Source

    torch.set_num_threads(threads)
    predictor = Predictor(run, settings=PredictConfig(runtime=RuntimeConfig(dtype="float32")))
    task, source = predictor.task, Source(hub_from_environment(None))
    codes = [find(language, among=task.languages()).code for language in languages]
    examples = [example for code in codes for example in task.examples("test", code, source)[:count]]
    encoded = predictor.encode(examples)
    adapted = predictor.adapted.eval()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        slots, out = Path(place) / "slots", Path(place) / "out"
        slots.mkdir()
        server = Server(gguf, slots, threads=threads)
        template = server.template()
        is_prefix = adapted.adapter.prefix(adapted.hook) is not None
        if is_prefix:
            with torch.no_grad(), adapted.hook.using(None):
                from polyprefix.adapters import registry
                from polyprefix.adapters.attach import attach

                base = attach(adapted.base, registry.build({"name": "none"}))
                mine = [one.log_likelihoods for one in loglikelihood(base, encoded, None)]
            found["base model"] = compare(mine, [server.rank(item) for item in encoded])
        export_adapter(adapted, "llama.cpp", out, template if is_prefix else gguf)
        if is_prefix:
            begun = time.perf_counter()
            server.restore(out)
            found["seconds_to_restore"] = time.perf_counter() - begun
        else:
            server = Server(gguf, slots, out / "adapter.gguf", threads)
        begun = time.perf_counter()
        mine = [one.log_likelihoods for one in loglikelihood(adapted, encoded, None)]
        found["questions_per_second_here"] = len(encoded) / (time.perf_counter() - begun)
        found["adapter"] = compare(mine, [server.rank(item) for item in encoded])
        begun = time.perf_counter()
        for item in encoded:
            server.complete(item.ids)
        found["prompts_per_second_llama_cpp"] = len(encoded) / (time.perf_counter() - begun)
    return found


def main() -> None:
    """Measure, and write JSON to standard output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="the folder of a run whose answers are chosen")
    parser.add_argument("--gguf", type=Path, required=True, help="the base model")
    parser.add_argument("--languages", default="en", help="separated by commas")
    parser.add_argument("--count", type=int, default=40, help="examples a language")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    figures = measure(given.run, given.gguf, given.languages.split(","), given.count, given.threads)
    print(json.dumps({"machine": machine(), **figures}, indent=1))


if __name__ == "__main__":
    main()
