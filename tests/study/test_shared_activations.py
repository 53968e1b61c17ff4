"""Law: cells that adapt a model from some layer on share what lies below, and each ends as it would alone, to the last bit."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.study.studies import grid

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.engine.flop_counter import decoder_layers
from polyprefix.evaluation import shared_activations
from polyprefix.evaluation.loglikelihood import loglikelihood
from polyprefix.evaluation.shared_activations import FOLDER, ActivationStore, sharing
from polyprefix.prefix import AttentionHook
from polyprefix.results.files import find_results, read_predictions, read_result
from polyprefix.study.activation_sharing import store, with_shared_layers
from polyprefix.study.grid import Cell
from polyprefix.study.run import run_study
from polyprefix.testing.tiny import tiny_base
from polyprefix.text.tokens import TokenizedPrompt
from polyprefix.types import Prediction, Prompt, RunResult

UPPER = {"method": {"name": "prefix", "layers": "top:1"}}
MIDDLE = {"method": {"name": "prefix", "layers": "1-"}}
GATED = {"method": {"name": "llama-adapter", "layers": "top:1"}}
STUDIES: dict[str, dict[str, Any]] = {
    "seeds and methods": {"axes": {"method": {"upper": UPPER, "gated": GATED}}, "seeds": [0, 1]},
    "depths": {"axes": {"method": {"middle": MIDDLE, "upper": UPPER, "gated": GATED}}},
    "the base model, and what adapts every layer": {
        "axes": {"method": {"none": None, "upper": UPPER, "prefix": None, "lora": None}}
    },
    "parts of the test set": {"axes": {"method": {"upper": UPPER, "gated": GATED}, "eval_size": [5, 9]}},
}
SPARED = dict(zip(STUDIES, (3, 2, 1, 2), strict=True))
"""How many cells of each begin with what another has computed."""
LAYOUTS = [*((axes, "packed") for axes in STUDIES), ("depths", "padded")]


@pytest.fixture(autouse=True)
def _always_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_activations, "BYTES_PER_SECOND", float("inf"))


@pytest.fixture
def place(tmp_path: Path, tiny_folder: Path) -> Path:
    (tmp_path / "model").symlink_to(tiny_folder)
    return tmp_path


def answers(folder: Path) -> list[Prediction]:
    return read_predictions(folder / "predictions.parquet")[0]


def run_both(cells: Sequence[Cell], place: Path) -> list[tuple[RunResult, RunResult]]:
    """The results of a study whose cells share, and of one whose cells do not; all their answers are equal."""
    assert run_study(cells, place / "shared").complete
    assert run_study(cells, place / "alone", activation_bytes=0).complete
    assert not (place / "shared" / FOLDER).exists() and not (place / "alone" / FOLDER).exists()
    pairs = list(zip(find_results(place / "shared"), find_results(place / "alone"), strict=True))
    assert len(pairs) == len({cell.config.run_id() for cell in cells})
    for one, other in pairs:
        assert answers(one) == answers(other) and read_result(one).scores == read_result(other).scores
    return [(read_result(one), read_result(other)) for one, other in pairs]


def operations(result: RunResult) -> float:
    return float(result.cost["eval_flops"])


def spared(result: RunResult) -> bool:
    return any("where another run of the study had computed the layers below" in note for note in result.notes)


@pytest.mark.parametrize(("axes", "layout"), LAYOUTS, ids=" ".join)
def test_each_ends_as_it_would_alone(axes: str, layout: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if layout == "padded":
        monkeypatch.setattr(AttentionHook, "supports_packing", lambda self: False)
    found = run_both(grid(place, **STUDIES[axes]), place)
    for shared, alone in found:
        assert not spared(alone)
        assert operations(shared) < operations(alone) if spared(shared) else operations(shared) == operations(alone)
    assert sum(spared(shared) for shared, _ in found) == SPARED[axes]


MODEL = {"name": "prefix", "length": 2, "layers": "top:1"}


PROMPTS = [
    TokenizedPrompt(
        Prompt(str(n), "eng_Latn", "", "a", ("a", "b")), (4, 5, *range(6 + n, 12 + 2 * n)), (), ((7, 8), (9,))
    )
    for n in range(6)
]


def adapted(**settings: Any) -> AdaptedModel:
    return attach(tiny_base("llama-gqa-tied"), registry.build({**MODEL, **settings}))


def open_store(
    folder: Path, made_by: dict[str, object], model: Any = None, wanted: tuple[int, ...] = (2,), most: int | None = None
) -> Any:
    return ActivationStore(folder, "model and task", wanted, most).open(model or adapted(), made_by)


def evaluated(model: AdaptedModel, folder: Path, most: int | None = None) -> tuple[list[Any], Any]:
    """Log-likelihoods in passes of few tokens, and what was shared."""
    shared = open_store(folder, {}, model, most=most)
    with sharing(model, shared):
        return [one.log_likelihoods for one in loglikelihood(model, PROMPTS, 24)], shared


def written(folder: Path) -> list[Path]:
    return list(folder.rglob("*.safetensors"))


def test_every_pass_is_kept_once_and_read_by_the_next(tmp_path: Path) -> None:
    model, alone = adapted(), adapted()
    expected = [one.log_likelihoods for one in loglikelihood(alone, PROMPTS, 24)]
    first, before = evaluated(model, tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in written(tmp_path)}
    second, after = evaluated(model, tmp_path)
    assert first == second == expected
    assert len(kept) == before.passes == after.passes == after.begun[2] > 1 and before.note() is None
    assert {path: path.stat().st_mtime_ns for path in written(tmp_path)} == kept


def test_the_same_texts_after_other_tokens_are_another_pass(tmp_path: Path) -> None:
    """What all prompts begin with is read before the pass, and not a part of it."""
    model = adapted()
    other = [replace(one, ids=(6, 6, *one.ids[2:])) for one in PROMPTS]
    expected = [one.log_likelihoods for one in loglikelihood(model, other, 24)]
    evaluated(model, tmp_path)
    with sharing(model, open_store(tmp_path, {}, model)):
        assert [one.log_likelihoods for one in loglikelihood(model, other, 24)] == expected


@pytest.mark.parametrize("damage", [b"", b"\x00" * 64, None], ids=["empty", "zeros", "other values"])
def test_a_damaged_file_is_computed_anew(damage: bytes | None, tmp_path: Path) -> None:
    model = adapted()
    first, _ = evaluated(model, tmp_path)
    for path in written(tmp_path):
        path.write_bytes(path.read_bytes()[:-4] + b"\x01\x02\x03\x04" if damage is None else damage)
    second, shared = evaluated(model, tmp_path)
    assert first == second and shared.begun == {2: 0}


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_no_more_is_kept_than_is_allowed(share: float, tmp_path: Path) -> None:
    model = adapted()
    first, _ = evaluated(model, tmp_path / "all")
    most = int(share * sum(path.stat().st_size for path in written(tmp_path / "all")))
    second, _ = evaluated(model, tmp_path / "some", most)
    third, shared = evaluated(model, tmp_path / "some", most)
    kept = written(tmp_path / "some")
    assert first == second == third and sum(path.stat().st_size for path in kept) <= most
    assert shared.begun == {2: len(kept)} and bool(kept) == bool(share)


def test_what_another_process_removes_meanwhile_is_not_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another `study run` on the folder may end, and clear it, while this one counts or reads."""
    model = adapted()
    first, _ = evaluated(model, tmp_path)
    (tmp_path / "gone.safetensors").symlink_to(tmp_path / "nowhere")  # listed, and not there when it is looked at
    shared = open_store(tmp_path, {}, model)
    shutil.rmtree(tmp_path)
    with sharing(model, shared):
        assert [one.log_likelihoods for one in loglikelihood(model, PROMPTS, 24)] == first
    assert shared.begun == {2: 0} and len(written(tmp_path)) == shared.passes


def test_a_full_disk_stops_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shared_activations, "save_file", full)
    assert evaluated(adapted(), tmp_path)[0] == [one.log_likelihoods for one in loglikelihood(adapted(), PROMPTS, 24)]
    assert not list(tmp_path.rglob("*.*"))


def test_what_others_computed_otherwise_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another weight, version or processor, another number of threads, another dtype: the last bits may differ."""
    places = {open_store(tmp_path, made_by).folder for made_by in ({"weights": "a"}, {"weights": "b"})}
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    places.add(open_store(tmp_path, {"weights": "a"}).folder)
    half = adapted()
    half.model.to(torch.bfloat16)
    places.add(open_store(tmp_path, {"weights": "a"}, half).folder)
    assert len(places) == 4


def test_nothing_is_shared_below_what_is_adapted(tmp_path: Path) -> None:
    everywhere = adapted(layers="all")
    assert open_store(tmp_path, {}, everywhere) is None
    assert open_store(tmp_path, {}, wanted=(3, 4)) is None and open_store(tmp_path, {}, wanted=()) is None
    loaded = adapted(layers="all").requires_grad_(False)
    assert open_store(tmp_path, {}, loaded) is None  # frozen, and adapted all the same


def test_layers_that_cannot_be_skipped_are_not(tmp_path: Path) -> None:
    model = attach(tiny_base("llama-mha"), registry.build(MODEL))
    layers, left = decoder_layers(model.model), dict[str, torch.Tensor]()
    layers[0].mlp.register_forward_hook(lambda module, args, out: left.update(last=out))
    layers[2].mlp.register_forward_hook(lambda module, args, out: out + left["last"])
    assert open_store(tmp_path, {}, model) is None


def test_where_reading_takes_as_long_as_computing_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_activations, "BYTES_PER_SECOND", 1.0)
    assert open_store(tmp_path, {}) is None


def test_who_shares_with_whom(place: Path) -> None:
    methods = {"none": None, "prefix": None, "middle": MIDDLE, "upper": UPPER}
    cells = grid(place, axes={"method": methods})
    layers = {cell.labels["method"]: cell.shared_layers for cell in with_shared_layers(cells, in_order=True)}
    assert layers == {"none": (1, 2), "prefix": None, "middle": (1,), "upper": ()}
    found = with_shared_layers(cells, in_order=False)
    layers = {cell.labels["method"]: cell.shared_layers for cell in found}
    assert layers == {"none": (1, 2), "prefix": None, "middle": (1,), "upper": (1, 2)}
    assert store(found[0], place, None) and not store(found[0], place, 0) and not store(found[1], place, None)
    assert with_shared_layers(cells[-1:], in_order=True)[0].shared_layers is None
    two = grid(place, axes={"method": {"upper": UPPER}, "task": ["terms", "sib200"]})
    assert all(cell.shared_layers is None for cell in with_shared_layers(two, in_order=True))
