"""lm-evaluation-harness' own tasks and its own Hugging Face backend, on documents that are handed to it: no network."""

from __future__ import annotations

import importlib.util
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import pytest
from tests.tasks.rows import SOURCE

from benchmarks.harness import on_rows
from polyprefix.data.hub import MissingDataError, load_rows
from polyprefix.tasks import belebele, mgsm, sib200, xnli, xquad

VERSION = "0.4.13"
REASON = f"lm-evaluation-harness is not installed: make test installs it, or pip install --no-deps lm-eval=={VERSION}"
FILES = {
    "belebele": ("belebele", "belebele_{}", {code: code for code in belebele.LANGUAGES}),
    "mgsm": ("mgsm/direct", "mgsm_direct_{}", mgsm.CONFIGS),
    "sib200": ("afrobench/sib/prompt_1", "*", {code: code for code in sib200.LANGUAGES}),
    "xnli": ("xnli", "xnli_{}", xnli.CONFIGS),
    "xquad": ("xquad", "xquad_{}", {code: name.removeprefix("xquad.") for code, name in xquad.CONFIGS.items()}),
}
"""Task -> folder and file of the harness's tasks, and our code -> its name of the language."""


def require() -> None:
    """Skip the test where the harness is not installed."""
    pytest.importorskip("lm_eval", reason=REASON)


@cache
def _remember_templates() -> None:
    """The harness compiles its templates again for every document, which takes most of the time."""
    from lm_eval.utils import env

    env.from_string = cache(env.from_string)


@lru_cache(maxsize=2)
def task(name: str, language: str, chosen: tuple[int, ...] | None = None) -> Any:
    """The harness's task as its file describes it, with the mirror's rows as documents, and all its requests built.

    Args:
        chosen: which documents, by row; None for all.
    """
    _remember_templates()
    config = _config(name, language)
    split = config.get("test_split") or config["validation_split"]
    try:
        rows = load_rows(config["dataset_path"], config["dataset_name"], split, SOURCE.hub)
    except MissingDataError:  # where ours reads another selection of rows, and says so
        pytest.skip(f"the mirror has no {name} in {language}")
    documents = rows if chosen is None else rows.select(chosen)
    made = on_rows(config, documents)
    made.build_all_requests(rank=0, world_size=1)
    return made


def _config(name: str, language: str) -> dict[str, Any]:
    from lm_eval.tasks._yaml_loader import load_yaml

    folder, pattern, names = FILES[name]
    spec = importlib.util.find_spec("lm_eval")
    assert spec is not None and spec.origin is not None
    files = (Path(spec.origin).parent / "tasks" / folder).glob(pattern.format(names[language]) + ".yaml")
    configs = [load_yaml(file, resolve_func=False) for file in files]
    return next(c for c in configs if c["dataset_name"] in (language, names[language], f"xquad.{names[language]}"))


def backend(model: Any, tokenizer: Any) -> Any:
    """The harness's backend on a model that is loaded already.

    `softmax_dtype` is its own option: in float32, torch's log_softmax over a vocabulary of 262,144 is off by 5e-5 a token
    on a processor, always to the same side.
    """
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, softmax_dtype="float64")


class Reader:
    """The harness's backend without a model: what it would read."""

    def __init__(self, tokenizer: Any) -> None:
        from lm_eval.models.huggingface import HFLM

        self.lm = object.__new__(HFLM)
        self.lm.tokenizer, self.lm.backend = tokenizer, "causal"
        self.lm.add_bos_token = self.lm.custom_prefix_token_id = self.lm.enable_thinking = None
        self.lm._loglikelihood_tokens = lambda requests, **_: requests

    def pairs(self, instances: list[Any]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """The tokens of each text and of its continuation."""
        return [(tuple(text), tuple(rest)) for _, text, rest in self.lm.loglikelihood(instances, disable_tqdm=True)]

    def texts(self, instances: list[Any]) -> list[tuple[int, ...]]:
        """The tokens of each text that is to be gone on with."""
        read = [self.lm.tok_batch_encode([instance.args[0]])[0][0] for instance in instances]
        return [tuple(ids.tolist()) for ids in read]
