"""Law: what a model is called says nothing about what it is. Other weights, another tokenizer or other data are never taken for the same.

The weights' digest follows every single weight, and nothing else: not precision, not names, not order, not whether a tied head is stored.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from polyprefix.adapters.attach import attach
from polyprefix.adapters.files import load_adapter, save_adapter
from polyprefix.adapters.registry import build
from polyprefix.config import RunConfig
from polyprefix.errors import AdapterError, ConfigError, OutputError
from polyprefix.models import cache, embedded
from polyprefix.models.digest import digest_of_model, with_digests
from polyprefix.models.identity import ModelIdentity, identify, weights_digest
from polyprefix.models.load import load_model
from polyprefix.recipe import run
from polyprefix.results.files import read_result
from polyprefix.testing.tiny import tiny_base, tiny_model, tiny_tokenizer, tokens


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of one's own that a test may change."""
    path = tmp_path / "model"
    tiny_model("llama-mha").save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)
    return path


def change_weights(folder: Path) -> None:
    """One number of one weight of the last layer."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["model.layers.2.mlp.down_proj.weight"][3, 5] += 0.5
    save_file(tensors, path, metadata={"format": "pt"})


def change_tokenizer(folder: Path) -> None:
    """Two tokens trade places."""
    path = folder / "tokenizer.json"
    values = json.loads(path.read_text())
    vocabulary = values["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    path.write_text(json.dumps(values))


CHANGES: dict[str, Callable[[Path], None]] = {"weights": change_weights, "tokenizer": change_tokenizer}


def config(folder: Path, **settings: Any) -> RunConfig:
    values = {
        "model": str(folder), "task": "terms", "languages": ["deu"], "train_size": 8, "eval_size": 4,
        "method": {"name": "prefix", "length": 3}, "train": {"steps": 1, "batch_size": 4, "validation_size": 0}, **settings,
    }  # fmt: skip
    return RunConfig.model_validate(values)


# --- digests -----------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_weight_counts(data: st.DataObject) -> None:
    state = {name: tensor.clone() for name, tensor in tiny_model("llama-mha").state_dict().items()}
    before = weights_digest(state.values())
    name = data.draw(st.sampled_from(sorted(state)))
    place = data.draw(st.integers(0, state[name].numel() - 1))
    state[name].view(-1)[place] += data.draw(st.sampled_from([0.1, -0.5, 3.0]))
    assert weights_digest(state.values()) != before


def test_precision_names_order_and_tied_copies_do_not() -> None:
    state = tiny_model("llama-gqa-tied").state_dict()
    known = weights_digest(state.values())
    assert weights_digest(reversed(state.values())) == known
    assert weights_digest([tensor.to(torch.bfloat16) for tensor in state.values()]) == known
    assert weights_digest([*state.values(), state["model.embed_tokens.weight"].clone()]) == known


def test_files_and_the_model_that_was_loaded_from_them_are_one(folder: Path) -> None:
    model = load_model(str(folder), device="cpu", dtype="float32")
    assert model.identity.weights == identify("m", None, model.model).weights
    assert load_model(str(folder), device="cpu", dtype="bfloat16").identity.same_as(model.identity)


def test_a_digest_is_read_once_and_again_when_the_file_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = digest_of_model(str(folder))
    reads: list[Path] = []
    read = cache.sha256_of
    monkeypatch.setattr(cache, "sha256_of", lambda path: reads.append(path) or read(path))
    assert digest_of_model(str(folder)) == known and not reads
    change_weights(folder)
    assert digest_of_model(str(folder)) != known
    assert [path.name for path in reads] == ["model.safetensors"]


def test_what_has_a_name_for_its_content_needs_no_digest() -> None:
    assert all(digest_of_model(name) is None for name in [*embedded.EMBEDDED, "org/name"])


def test_files_that_decide_nothing_do_not_count(folder: Path) -> None:
    known = digest_of_model(str(folder))
    (folder / "README.md").write_text("card")
    assert digest_of_model(str(folder)) == known


def test_a_cache_that_cannot_be_written_serves_all_the_same(folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    known = digest_of_model(str(folder))
    blocked = tmp_path / "a file"
    blocked.write_text("")
    monkeypatch.setenv("POLYPREFIX_CACHE", str(blocked))
    assert digest_of_model(str(folder)) == known


# --- runs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_model_at_the_same_path_is_another_run_with_another_base(
    change: str, folder: Path, tmp_path: Path
) -> None:
    first = run(config(folder), out=tmp_path / "runs", beside_base=True)
    CHANGES[change](folder)
    second = run(config(folder), out=tmp_path / "runs", beside_base=True)
    assert len({*first, *second}) == 4 and all(path.is_dir() for path in (*first, *second))


def test_the_same_model_elsewhere_is_the_same_run(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "model"
    shutil.copytree(folder, copy)
    assert with_digests(config(folder)).run_id() == with_digests(config(copy)).run_id()


def test_a_configuration_of_other_weights_is_refused(folder: Path) -> None:
    made = with_digests(config(folder))
    change_weights(folder)
    with pytest.raises(ConfigError, match="its weights are not those of this configuration"):
        with_digests(made)


def test_an_interrupted_run_does_not_go_on_with_other_weights_of_a_hub_model(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest of an id of the Hub is not part of a run's id; what was left is checked all the same."""
    monkeypatch.setattr("polyprefix.recipe.with_digests", lambda config: config)
    stop = Stop()
    with pytest.raises(KeyboardInterrupt):
        run(config(folder), out=tmp_path / "runs", reporter=stop)
    [left] = (tmp_path / "runs").glob(".*/unfinished/checkpoint.pt")
    known = left.stat().st_mtime_ns
    change_weights(folder)
    [finished] = run(config(folder), out=tmp_path / "runs")
    assert known and read_result(finished).provenance["resumed_at"] is None


class Stop:
    """A reporter that interrupts the test phase, when training has left its checkpoint."""

    def phase(self, title: str, total: int) -> Any:
        from polyprefix.progress import SILENT

        if title.startswith("test"):
            raise KeyboardInterrupt
        return SILENT.phase(title, total)


def test_results_of_other_weights_or_data_under_one_id_are_not_mixed_and_not_lost(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polyprefix.recipe.with_digests", lambda config: config)
    [first] = run(config(folder), out=tmp_path / "runs")
    before = (first / "result.json").read_bytes()
    change_weights(folder)
    with pytest.raises(OutputError, match=r"made with other weights of the same name.*--out") as error:
        run(config(folder), out=tmp_path / "runs")
    assert "\n" not in str(error.value) and (first / "result.json").read_bytes() == before
    assert run(config(folder), out=tmp_path / "others")


def test_data_that_changed_under_one_name_are_noticed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polyprefix.tasks.terms import TASK

    [first] = run(config(folder), out=tmp_path / "runs")
    examples = type(TASK).examples

    def changed(self: Any, split: Any, language: str, source: Any) -> Any:
        from dataclasses import replace

        found = list(examples(self, split, language, source))
        return [replace(e, inputs={key: f"{text}!" for key, text in e.inputs.items()}) for e in found]

    monkeypatch.setattr(type(TASK), "examples", changed)
    with pytest.raises(OutputError, match="other data of the same name"):
        run(config(folder), out=tmp_path / "runs")
    assert read_result(first).provenance["data_digest"]


def test_an_adapter_that_was_replaced_is_another_run(folder: Path, tmp_path: Path) -> None:
    paths = [run(config(folder, seed=seed), out=tmp_path / "runs")[0] for seed in (0, 1)]
    asked = config(folder, adapter=str(paths[0]))
    known = with_digests(asked).run_id()
    shutil.rmtree(paths[0] / "adapter")
    shutil.copytree(paths[1] / "adapter", paths[0] / "adapter")
    assert with_digests(asked).run_id() != known


# --- adapters ----------------------------------------------------------------------------------------------------


def test_an_adapter_refuses_a_fine_tuned_copy_of_its_base(tmp_path: Path) -> None:
    base = tiny_base("gemma3")
    save_adapter(attach(base, build({"name": "prefix", "length": 3})), tmp_path)
    other = tiny_base("gemma3")
    last = [p for name, p in other.model.named_parameters() if "layers.2" in name and p.ndim == 2][-1]
    last.data[0, 0] += 0.5
    other.__dict__["identity"] = identify(base.name, None, other.model)
    assert other.identity.fingerprint == base.identity.fingerprint  # what earlier versions looked at
    with pytest.raises(AdapterError, match="not on other weights of that name"):
        load_adapter(other, tmp_path)
    assert load_adapter(other, tmp_path, force=True)(tokens(1, 4)).logits.shape[1] == 4


def test_adapters_of_earlier_versions_still_load(tmp_path: Path) -> None:
    base = tiny_base("gemma3")
    save_adapter(attach(base, build({"name": "prefix", "length": 3})), tmp_path)
    path = tmp_path / "adapter.json"
    settings = json.loads(path.read_text())
    del settings["base"]["weights"]
    path.write_text(json.dumps(settings))
    assert load_adapter(tiny_base("gemma3"), tmp_path)
    assert ModelIdentity.read(settings["base"]).weights is None
