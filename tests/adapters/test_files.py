"""Law: an adapter comes back as it was, on its own base alone; what is damaged, foreign or cut short is one line that says so."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from polyprefix.adapters import files, registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.adapters.files import SETTINGS, TENSORS, load_adapter, read_settings, save_adapter
from polyprefix.errors import AdapterError, OutputError, UserError
from polyprefix.prefix import AttentionHook
from polyprefix.testing.tiny import tiny_base, tokens

KIND = "llama-gqa-tied"


def new(kind: str = KIND, name: str = "prefix", **settings: object) -> AdaptedModel:
    return attach(tiny_base(kind), registry.build({"name": name, "length": 4, **settings}))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save_adapter(new(), tmp_path / "adapter")


def refused(folder: Path, words: str, kind: type[UserError] = AdapterError, seed: int = 0) -> None:
    with pytest.raises(kind, match=words) as error:
        load_adapter(tiny_base(KIND, seed=seed), folder)
    assert "\n" not in str(error.value) and str(folder) in str(error.value)


def rewrite(folder: Path, **changes: object) -> None:
    settings = json.loads((folder / SETTINGS).read_text())
    (folder / SETTINGS).write_text(json.dumps(settings | changes))


def test_the_folder_holds_two_files_and_no_code(saved: Path) -> None:
    assert sorted(p.name for p in saved.iterdir()) == [SETTINGS, TENSORS]
    assert read_settings(saved)["method"]["length"] == 4


def test_an_mlp_is_saved_as_the_keys_and_values_it_makes(tmp_path: Path) -> None:
    model = new(parametrization="mlp", hidden=8)
    save_adapter(model, tmp_path)
    settings = read_settings(tmp_path)
    assert (settings["method"]["parametrization"], settings["trained_as"]["parametrization"]) == ("raw", "mlp")
    assert set(load_file(tmp_path / TENSORS)) == {f"{kv}.{i}" for kv in ("keys", "values") for i in range(3)}


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "prefix", "layers": "0,2"}, {"name": "prefix", "init": "random"},
        {"name": "prefix", "parametrization": "projected"}, {"name": "prefix", "parametrization": "mlp"},
        {"name": "soft-prompt"}, {"name": "soft-prompt", "encoded": 0.5}, {"name": "llama-adapter", "layers": "1-"},
        {"name": "llama-adapter", "gate": "none", "init": "random"}, {"name": "lora"}, {"name": "full"},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("kind", ["llama-gqa-tied", "gemma3", "gpt-neox"])
def test_the_model_computes_nothing_for_an_adapter_that_is_loaded(
    settings: dict[str, object], kind: str, tmp_path: Path
) -> None:
    """Initial values that saved ones replace would cost a pass through all weights for each adapter of a service."""
    if kind == "gpt-neox" and settings["name"] == "lora":
        settings = {**settings, "targets": ["query_key_value"]}
    model = attach(tiny_base(kind), registry.build(settings))
    with torch.no_grad():
        for _, parameter in model.trainable():
            parameter += 0.1 * torch.randn_like(parameter)
    ids = tokens(2, 6)
    wanted = model.eval()(ids).logits
    save_adapter(model, tmp_path)
    base, calls = tiny_base(kind), []
    AttentionHook.of(base.model)  # a model is looked at once
    watch = base.model.get_input_embeddings().register_forward_hook(lambda *_: calls.append("embeddings"))
    layers = [
        m.register_forward_hook(lambda *_: calls.append("attention")) for m in AttentionHook.of(base.model).modules
    ]
    loaded = load_adapter(base, tmp_path)
    for one in (watch, *layers):
        one.remove()
    assert "attention" not in calls
    assert torch.allclose(loaded.eval()(ids).logits, wanted, atol=1e-5)


def test_another_base_is_refused_unless_forced(saved: Path) -> None:
    """Other weights of the same shape: every tensor would fit."""
    refused(saved, f"trained on tiny-{KIND} .*force", seed=1)
    model = load_adapter(tiny_base(KIND, seed=1), saved, force=True)
    assert torch.equal(model.adapter.keys["0"], load_file(saved / TENSORS)["keys.0"])


def test_a_base_that_the_tensors_do_not_fit_is_refused_even_if_forced(saved: Path) -> None:
    with pytest.raises(AdapterError, match="does not fit"):
        load_adapter(tiny_base("llama-mha"), saved, force=True)


def test_where_nothing_is(tmp_path: Path) -> None:
    refused(tmp_path, "no adapter.json there")
    refused(tmp_path / "absent", "no adapter.json there")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"format": 1}', '{"format": "1", "base": {}, "method": {"name": "prefix"}}', "null"]
)
def test_damaged_settings(saved: Path, text: str) -> None:
    (saved / SETTINGS).write_text(text)
    refused(saved, "damaged")


@pytest.mark.parametrize("base", [None, "llama", []])
def test_damaged_identity(saved: Path, base: object) -> None:
    rewrite(saved, base=base)
    refused(saved, "damaged")


def test_settings_that_are_no_text(saved: Path) -> None:
    (saved / SETTINGS).write_bytes(b"\xff\xfe\x00")
    refused(saved, "damaged")


def test_a_newer_format(saved: Path) -> None:
    rewrite(saved, format=files.FORMAT + 1)
    refused(saved, "newer than 1; update polyprefix")


@pytest.mark.parametrize(
    "method", [{"name": "prefx"}, {"name": "prefix", "lenght": 4}, {"name": "prefix", "length": 0}]
)
def test_a_method_that_nobody_knows(saved: Path, method: dict[str, object]) -> None:
    rewrite(saved, method=method)
    refused(saved, "method")


def test_missing_tensors(saved: Path) -> None:
    (saved / TENSORS).unlink()
    refused(saved, TENSORS)


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated_tensors(saved: Path, keep: int) -> None:
    whole = (saved / TENSORS).read_bytes()
    (saved / TENSORS).write_bytes(whole[:keep])
    refused(saved, "does not fit its settings")


@pytest.mark.parametrize("name", ["prefix", "soft-prompt", "llama-adapter"])
def test_a_tensor_too_few_or_too_many(tmp_path: Path, name: str) -> None:
    folder = save_adapter(new(name=name), tmp_path)
    tensors = load_file(folder / TENSORS)
    first = next(iter(tensors))
    save_file({n: t for n, t in tensors.items() if n != first}, folder / TENSORS)
    refused(folder, "does not fit")
    save_file({**tensors, "more": torch.zeros(1)}, folder / TENSORS)
    refused(folder, "does not fit")


def test_lora_tensors_must_all_be_there(tmp_path: Path) -> None:
    folder = save_adapter(attach(tiny_base(KIND), registry.build({"name": "lora"})), tmp_path)
    tensors = load_file(folder / TENSORS)
    first = next(iter(tensors))
    save_file({n: t for n, t in tensors.items() if n != first}, folder / TENSORS)
    refused(folder, "does not fit")
    save_file({**tensors, "more": torch.zeros(1)}, folder / TENSORS)
    refused(folder, "does not fit")


def test_a_folder_cut_short_is_no_adapter(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the two files, over an older adapter: never the new tensors under the old settings."""

    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    model = new()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(files, "write_text", killed)
        save_adapter(model, saved)
    assert [p.name for p in saved.iterdir()] == [TENSORS]
    refused(saved, "no adapter.json there")


def test_a_write_that_fails_leaves_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "save_file", full_disk)
    with pytest.raises(OutputError, match="cannot be written") as error:
        save_adapter(new(), tmp_path)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_place_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        save_adapter(new(), tmp_path / "file")


def test_saved_files_are_as_readable_as_others(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("")
    wanted = (tmp_path / "other").stat().st_mode
    assert {p.stat().st_mode for p in saved.iterdir()} == {wanted} or os.name == "nt"


def test_saving_again_replaces(saved: Path) -> None:
    model = new()
    with torch.no_grad():
        model.adapter.keys["0"].add_(1)
    save_adapter(model, saved)
    ids = tokens(1, 5)
    torch.testing.assert_close(load_adapter(tiny_base(KIND), saved)(ids).logits, model(ids).logits)
