"""What is measured: one model, one initial adapter, the same tokens for everybody; a file that each contestant reads in its own process."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

Setting = Literal["same", "own"]
"""`same`: one dtype and one batch size for all. `own`: each at its defaults."""


@dataclass(frozen=True, slots=True)
class Document:
    """One question of an evaluation."""

    language: str
    text: str
    """The prompt."""
    choices: tuple[str, ...]
    """The continuations to rank; empty where the answer is generated."""
    stop: tuple[str, ...] = ()
    """A generated answer ends before the first of these strings."""
    max_new_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One training example."""

    ids: tuple[int, ...]
    """The prompt, from BOS on."""
    target: tuple[int, ...]
    """The answer: the loss is on it alone."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One measurement, for any contestant."""

    name: str
    """For people: model and task."""
    model: str
    """A folder in transformers' layout, with its tokenizer."""
    method: str = "none"
    adapter: str = ""
    """The initial adapter in our format."""
    peft: str = ""
    """The same adapter in PEFT's format; empty where PEFT has none."""
    prefix: str = ""
    """The keys and values of the same adapter, by layer, for texts from position 0 on; empty where it is no prefix."""
    litgpt: str = ""
    """litgpt's name of the model; empty where it has none."""
    setting: Setting = "same"
    dtype: str = "float32"
    published_dtype: str = "bfloat16"
    """The dtype of the published checkpoint: what transformers 5 loads by default."""
    device: str = "cpu"
    batch_size: int = 16
    learning_rate: float = 1e-2
    seconds: float = 20.0
    """At least so long is measured, after a first step that is not."""
    max_steps: int = 1000
    rows: tuple[Row, ...] = ()
    documents: tuple[Document, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> Path:
        """As JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return path

    @classmethod
    def read(cls, path: Path) -> Workload:
        """What `write` wrote."""
        return cls.from_values(json.loads(path.read_text(encoding="utf-8")))

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Workload:
        """From the plain values that `asdict` gives and JSON keeps."""
        values = dict(values)
        rows = tuple(Row(tuple(row["ids"]), tuple(row["target"])) for row in values.pop("rows"))
        documents = tuple(
            Document(doc["language"], doc["text"], tuple(doc["choices"]), tuple(doc["stop"]), doc["max_new_tokens"])
            for doc in values.pop("documents")
        )
        return cls(**values, rows=rows, documents=documents)

    def by_language(self) -> list[list[int]]:
        """Places of the documents of each language: what an evaluation asks in one call."""
        places: dict[str, list[int]] = {}
        for place, document in enumerate(self.documents):
            places.setdefault(document.language, []).append(place)
        return list(places.values())

    def evaluated(self, found: Mapping[int, Sequence[float] | str], loaded: float, seconds: float) -> dict[str, Any]:
        """The result of an evaluation.

        Args:
            found: place of a document -> log-likelihoods of its choices, or its answer.
            loaded, seconds: until the model was there, and from then on.
        """
        in_order = [found[place] for place in range(len(self.documents))]
        return {
            "load_seconds": loaded,
            "seconds": seconds,
            "examples_per_second": len(in_order) / seconds,
            "log_likelihoods": [one for one in in_order if not isinstance(one, str)],
            "answers": [one for one in in_order if isinstance(one, str)],
        }

    def at_own_defaults(self) -> Workload:
        """The same work for contestants at their defaults."""
        return replace(self, setting="own")


def task_rows(
    model: str, task: str, languages: Sequence[str], train: int, each: int | None
) -> tuple[Any, tuple[Row, ...], tuple[Document, ...]]:
    """A task's own prompts, as a run would use them: the base model, training rows in random order, documents by language.

    Args:
        model: as `polyprefix run --model`.
        train: training examples.
        each: test examples of each language; None means the whole test set.
    """
    from polyprefix.adapters import registry as methods
    from polyprefix.config import RunConfig, TrainConfig
    from polyprefix.data.hub import hub_from_environment
    from polyprefix.models.load import load_model
    from polyprefix.tasks import registry as tasks
    from polyprefix.tasks.base import Source
    from polyprefix.text.prepare import load_examples, tokenise

    config = methods.resolve(
        RunConfig(model=model, task=task, languages=tuple(languages), train_size=train, eval_size=each,
                  train=TrainConfig(steps=1, validation_size=0))
    )  # fmt: skip
    source = Source(hub_from_environment(None))
    chosen = tasks.get(task)
    base = load_model(model, dtype="float32")
    tokens = tokenise(chosen, load_examples(chosen, config, source), base.tokenizer, base.max_length)
    rows = tuple(Row(item.ids, item.target) for item in tokens.train)
    documents = tuple(
        Document(language, item.prompt.text, item.prompt.choices, item.prompt.stop, item.prompt.max_new_tokens)
        for language, items in tokens.test.items()
        for item in items
    )
    return base, rows, documents


def prepare(base: Any, folder: Path, method: str, settings: dict[str, Any], *, ajar: bool = False) -> dict[str, Any]:
    """Write the model, and an initial adapter in both formats where PEFT has it.

    Args:
        ajar: open the gates a little: while they are closed, nobody sees what an adapter computes.

    Returns:
        The fields `model`, `method`, `adapter`, `peft`, `prefix` of a workload.
    """
    import torch

    from polyprefix.adapters import registry
    from polyprefix.adapters.attach import attach
    from polyprefix.adapters.files import save_adapter
    from polyprefix.adapters.formats import to_peft
    from polyprefix.errors import AdapterError

    model = folder / "model"
    if not model.exists():
        base.model.save_pretrained(model)
        base.tokenizer.save_pretrained(model)
    if method == "none":
        return {"model": str(model), "method": method}
    adapted = attach(base, registry.build({"name": method, **settings}))
    if ajar:
        with torch.no_grad():
            for name, parameter in adapted.trainable():
                if "gate" in name:
                    parameter.fill_(0.1)
    adapter, peft = folder / f"{method}-{ajar}-ours", folder / f"{method}-{ajar}-peft"
    save_adapter(adapted, adapter)
    fields = {"model": str(model), "method": method, "adapter": str(adapter)}
    if method == "prefix":
        fields["prefix"] = str(_write_prefix(adapted, folder / f"{method}.safetensors"))
    try:
        to_peft(adapted, peft)
    except AdapterError:
        return fields
    return {**fields, "peft": str(peft)}


def _write_prefix(adapted: Any, path: Path) -> Path:
    """The keys and values of each layer, [G, P, K]."""
    from safetensors.torch import save_file

    layers = adapted.compute_prefix().kv.joined.items()
    both = {
        f"{part}.{n}": getattr(kv, part)[0].detach().contiguous() for n, kv in layers for part in ("keys", "values")
    }
    save_file(both, path)
    return path
