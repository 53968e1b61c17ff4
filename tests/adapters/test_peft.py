"""PEFT in and out: PEFT's model, ours, and ours after a round trip give the same logits and the same greedy text.

In float32, to 1e-5 of the largest logit, on unpadded text within the sliding window: PEFT's prompts are wrong beyond.
What has no exact counterpart is refused in one line.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    AdaptionPromptConfig,
    IA3Config,
    LoraConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    get_peft_model,
)
from safetensors.torch import load_file, save_file

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.adapters.files import load_adapter, save_adapter
from polyprefix.adapters.formats.peft import from_peft, to_peft
from polyprefix.errors import AdapterError
from polyprefix.models.load import BaseModel
from polyprefix.testing.tiny import CONFIGS, SHAPE, tiny_base, tiny_model, tokens

P, T = 5, 12
VARIANTS: dict[str, dict[str, Any]] = {
    "soft-prompt": {"length": P},
    "prefix raw": {"length": P},
    "prefix projected": {"length": P, "parametrization": "projected"},
    "prefix mlp": {"length": P, "parametrization": "mlp", "hidden": 8},
    "llama-adapter peft": {"length": P, "variant": "peft", "layers": "1-"},
    "llama-adapter tanh": {"length": P, "gate": "layer", "tanh": True, "layers": "all"},
    "llama-adapter gaps": {"length": P, "variant": "peft", "layers": "0,2"},
    "lora": {"rank": 4, "alpha": 6},
    "lora all-linear": {"rank": 4, "targets": "all-linear", "rslora": True},
    "lora dora": {"rank": 4, "dora": True},
}
WIDE = {"mistral-sliding": "mistral", "gemma3": "gemma3"}
KINDS = ("llama-mha", "llama-gqa-tied", "mistral-sliding", "qwen2", "qwen3", "gemma3", "phi3", "cohere", "gpt-neox")
ADAPTION_PROMPT = ("llama-mha", "llama-gqa-tied", "mistral-sliding")
REPRESENTATIVE = ("soft-prompt", "prefix raw", "lora")
"""On every architecture; the other variants on one, since they differ from these before the architecture matters."""
EVERY = [
    pytest.param(variant, kind, id=f"{variant}-{kind}".replace(" ", "_"))
    for variant in VARIANTS
    for kind in (ADAPTION_PROMPT if "llama-adapter" in variant else KINDS)
    if variant in REPRESENTATIVE or kind in ("llama-gqa-tied", "gemma3") or "peft" in variant
]


@pytest.fixture(autouse=True)
def wide_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows longer than prefix and text; PEFT lets a prefix slide out of shorter ones."""
    for kind in WIDE:
        narrow = CONFIGS[kind]

        def wide(narrow: Any = narrow) -> Any:
            config = narrow()
            config.sliding_window = 64
            return config

        monkeypatch.setitem(CONFIGS, kind, wide)


def adapted(variant: str, kind: str, **settings: Any) -> AdaptedModel:
    """Our model with tensors off their initial values."""
    method = registry.build({"name": variant.split()[0], **VARIANTS[variant], **settings})
    model = attach(tiny_base(kind), method, seed=1)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for _, parameter in model.trainable():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5 * max(1.0, b.abs().max().item()))


@torch.no_grad()
def logits_of(model: Any, ids: torch.Tensor, **kwargs: Any) -> torch.Tensor:
    """Of the text; PEFT's soft prompt also returns those of its virtual tokens."""
    return model(input_ids=ids, **kwargs).logits[:, -ids.shape[1] :]


@pytest.mark.filterwarnings("ignore:the model has a sliding window")
@pytest.mark.parametrize(("variant", "kind"), EVERY)
def test_export_and_import_keep_the_function(variant: str, kind: str, tmp_path: Path) -> None:
    model, ids = adapted(variant, kind), tokens(2, T)
    ours = logits_of(model, ids)
    folder = to_peft(model, tmp_path)
    theirs = PeftModel.from_pretrained(tiny_model(kind), folder).eval()
    close(logits_of(theirs, ids), ours)
    close(logits_of(theirs, ids, attention_mask=torch.ones_like(ids)), ours)
    settings = {"max_new_tokens": 4, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    assert torch.equal(
        theirs.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **settings), model.generate(ids, **settings)
    )
    back = from_peft(tiny_base(kind), folder)
    close(logits_of(back, ids), ours)
    assert back.method.parameters(tiny_model(kind)) == sum(p.numel() for _, p in back.trainable())


def test_what_is_imported_can_be_saved_and_loaded_as_ours(tmp_path: Path) -> None:
    model, ids = adapted("prefix raw", "llama-mha"), tokens(2, T)
    save_adapter(from_peft(tiny_base("llama-mha"), to_peft(model, tmp_path / "peft")), tmp_path / "ours")
    close(logits_of(load_adapter(tiny_base("llama-mha"), tmp_path / "ours"), ids), logits_of(model, ids))


CAUSAL = {"task_type": "CAUSAL_LM"}
PEFT_CONFIGS: dict[str, tuple[str, Any]] = {
    "prompt": ("qwen2", lambda: PromptTuningConfig(**CAUSAL, num_virtual_tokens=P)),
    "prefix": ("gemma3", lambda: PrefixTuningConfig(**CAUSAL, num_virtual_tokens=P)),
    "prefix through an MLP": (
        "llama-gqa-tied",
        lambda: PrefixTuningConfig(**CAUSAL, num_virtual_tokens=P, prefix_projection=True, encoder_hidden_size=8),
    ),
    "adaption prompt": ("llama-gqa-tied", lambda: AdaptionPromptConfig(**CAUSAL, adapter_len=P, adapter_layers=2)),
    "lora": ("llama-mha", lambda: LoraConfig(**CAUSAL, r=4, target_modules=["q_proj", "v_proj"])),
    "lora by pattern": ("qwen3", lambda: LoraConfig(**CAUSAL, r=4, target_modules=r".*\.[02]\.self_attn\.[qk]_proj")),
    "lora in some layers": (
        "llama-mha",
        lambda: LoraConfig(**CAUSAL, r=4, target_modules=["q_proj"], layers_to_transform=[1], use_rslora=True),
    ),
}


def peft_trained(name: str, folder: Path) -> tuple[str, Any]:
    """A model that PEFT made, trained by two steps and saved."""
    kind, config = PEFT_CONFIGS[name]
    torch.manual_seed(3)
    model = get_peft_model(tiny_model(kind), config())
    ids = tokens(4, T, seed=2)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    for _ in range(2):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return kind, model.eval()


@pytest.mark.filterwarnings("ignore:the model has a sliding window")
@pytest.mark.parametrize("name", PEFT_CONFIGS)
def test_what_peft_trained_is_imported_with_the_same_logits(name: str, tmp_path: Path) -> None:
    kind, theirs = peft_trained(name, tmp_path)
    ids = tokens(2, T)
    ours = from_peft(tiny_base(kind), tmp_path)
    close(logits_of(ours, ids), logits_of(theirs, ids))
    assert (logits_of(ours, ids) - logits_of(tiny_model(kind), ids)).abs().max() > 1e-3
    assert ours.method.parameters(tiny_model(kind)) == sum(p.numel() for _, p in ours.trainable())


def test_a_pickled_adapter_of_an_older_peft_is_read(tmp_path: Path) -> None:
    _, theirs = peft_trained("prompt", tmp_path)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    torch.save(tensors, tmp_path / "adapter_model.bin")
    (tmp_path / "adapter_model.safetensors").unlink()
    refused(lambda: from_peft(tiny_base("qwen2"), tmp_path), "pickled", "--allow-pickle")
    close(
        logits_of(from_peft(tiny_base("qwen2"), tmp_path, allow_pickle=True), tokens(2, T)),
        logits_of(theirs, tokens(2, T)),
    )


def refused(call: Any, *words: str) -> None:
    with pytest.raises(AdapterError) as error:
        call()
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize(
    ("variant", "kind", "settings", "words"),
    [
        ("prefix raw", "llama-mha", {"layers": "top:2"}, ("2 of 3 layers", "layers=all")),
        ("llama-adapter peft", "llama-mha", {"gate": "head"}, ("one gate a head", "variant=peft")),
        ("llama-adapter peft", "qwen2", {}, ("llama and mistral", "qwen2")),
        ("llama-adapter peft", "mistral-small-shape", {}, ("32 against 4 x 16",)),
    ],
)
def test_what_peft_cannot_say_is_refused(
    variant: str, kind: str, settings: dict[str, Any], words: tuple[str, ...], tmp_path: Path
) -> None:
    refused(lambda: to_peft(adapted(variant, kind, **settings), tmp_path), *words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "words"), [("full", "save_pretrained"), ("none", "nothing was trained")])
def test_what_is_no_adapter_is_refused(name: str, words: str, tmp_path: Path) -> None:
    refused(lambda: to_peft(attach(tiny_base("llama-mha"), registry.build({"name": name})), tmp_path), words)


def test_a_factor_on_keys_that_peft_leaves_out_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rope = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 64}
    monkeypatch.setitem(CONFIGS, "llama-mha", lambda: type(CONFIGS["llama-gqa-tied"]())(**SHAPE, rope_parameters=rope))
    refused(lambda: to_peft(adapted("llama-adapter peft", "llama-mha"), tmp_path), "yarn")
    folder = to_peft(adapted("prefix raw", "llama-mha"), tmp_path)
    theirs = PeftModel.from_pretrained(tiny_model("llama-mha"), folder).eval()
    close(logits_of(theirs, tokens(2, T)), logits_of(adapted("prefix raw", "llama-mha"), tokens(2, T)))


def test_heads_that_share_one_gate_can_be_exported(tmp_path: Path) -> None:
    model = adapted("llama-adapter peft", "llama-mha", gate="head", tanh=True)
    with torch.no_grad():
        for gate in model.adapter.gates.values():
            gate.fill_(0.7)
    theirs = PeftModel.from_pretrained(tiny_model("llama-mha"), to_peft(model, tmp_path)).eval()
    close(logits_of(theirs, tokens(2, T)), logits_of(model, tokens(2, T)))


def test_a_sliding_window_is_named_or_refused(tmp_path: Path) -> None:
    """The length that the warning gives is the last at which PEFT agrees."""
    model = adapted("prefix raw", "mistral-sliding")
    with pytest.warns(UserWarning, match="up to 59 tokens"):
        to_peft(model, tmp_path)
    theirs = PeftModel.from_pretrained(tiny_model("mistral-sliding"), tmp_path).eval()
    close(logits_of(theirs, tokens(1, 59)), logits_of(model, tokens(1, 59)))
    apart = (logits_of(theirs, tokens(1, 60)) - logits_of(model, tokens(1, 60))).abs()[0]
    assert apart[:59].max() < 1e-4 < apart[59].max()
    refused(lambda: to_peft(adapted("prefix raw", "mistral-sliding", length=64), tmp_path), "window of 64")


@pytest.mark.parametrize(
    ("config", "word"),
    [
        (IA3Config(**CAUSAL, target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]), "IA3"),
        (PromptEncoderConfig(**CAUSAL, num_virtual_tokens=P, encoder_hidden_size=8), "P_TUNING"),
        (LoraConfig(**CAUSAL, target_modules=["q_proj"], modules_to_save=["lm_head"]), "modules_to_save"),
        (
            LoraConfig(**CAUSAL, target_modules=["q_proj"], rank_pattern={"layers.0.self_attn.q_proj": 2}),
            "rank_pattern",
        ),
        (LoraConfig(**CAUSAL, target_modules=["q_proj"], bias="all"), "bias"),
        (LoraConfig(**CAUSAL, target_modules=["q_proj"], init_lora_weights="olora"), "olora"),
        (LoraConfig(**CAUSAL, target_modules=["embed_tokens"]), "embed_tokens"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_has_no_counterpart_here_is_refused_by_name(config: Any, word: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        get_peft_model(tiny_model("llama-mha"), config).save_pretrained(tmp_path)
    refused(lambda: from_peft(tiny_base("llama-mha"), tmp_path), word)


def _damage(folder: Path, how: str) -> None:
    config, tensors = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    settings = json.loads(config.read_text())
    match how:
        case "no folder":
            for path in folder.iterdir():
                path.unlink()
        case "no tensors":
            tensors.unlink()
        case "half a file":
            tensors.write_bytes(tensors.read_bytes()[:100])
        case "half a pickle":
            tensors.unlink()
            (folder / "adapter_model.bin").write_bytes(b"PK\x03\x04 nothing")
        case "half a configuration":
            config.write_text(config.read_text()[:40])
        case "no type":
            config.write_text(json.dumps({k: v for k, v in settings.items() if k != "peft_type"}))
        case "a number lost":
            config.write_text(json.dumps({k: None if isinstance(v, int) else v for k, v in settings.items()}))
        case "a tensor lost":
            held = load_file(tensors)
            save_file(dict(list(held.items())[:-1]), tensors)
        case "a tensor cut":
            save_file({k: v[..., :1].contiguous() for k, v in load_file(tensors).items()}, tensors)


DAMAGE = ("no folder", "no tensors", "half a file", "half a pickle", "half a configuration", "no type", "a number lost",
          "a tensor lost", "a tensor cut")  # fmt: skip


@pytest.mark.parametrize("variant", ["soft-prompt", "prefix raw", "llama-adapter peft", "lora"])
def test_damage_is_one_line_that_names_the_place(variant: str, tmp_path: Path) -> None:
    model, base = adapted(variant, "llama-mha"), tiny_base("llama-mha")
    for how in DAMAGE:
        folder = to_peft(model, tmp_path / how.replace(" ", "-"))
        _damage(folder, how)
        refused(lambda folder=folder: from_peft(base, folder), str(folder))
    from_peft(base, to_peft(model, tmp_path / "whole"))  # and the base is still fit for use


def test_another_base_model_is_refused_by_shape_and_doubted_by_name(tmp_path: Path) -> None:
    folder = to_peft(adapted("prefix raw", "llama-mha"), tmp_path)
    with pytest.warns(UserWarning, match="tiny-llama-mha"):
        refused(lambda: from_peft(tiny_base("llama-gqa-tied"), folder), "shape", "tiny-llama-gqa-tied")
    same = tiny_base("llama-mha")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_peft(BaseModel("someone/tiny-llama-mha", same.model, same.tokenizer, same.identity), folder)


def test_the_file_is_laid_out_as_documented(tmp_path: Path) -> None:
    """[P, L 2 G K], layer by layer, keys before values: of P tokens, what the base model's own cache holds."""
    base = tiny_base("llama-gqa-tied")
    ids = tokens(1, P)
    model = attach(base, registry.build({"name": "prefix", "length": P}))
    read = model.hook.compute_kv(input_ids=ids, start=-P).joined
    state = {f"keys.{i}": kv.keys for i, kv in read.items()} | {f"values.{i}": kv.values for i, kv in read.items()}
    model.adapter.load_tensors(state)
    table = load_file(to_peft(model, tmp_path) / "adapter_model.safetensors")["prompt_embeddings"].view(P, 3, 2, 2, 8)
    with torch.no_grad():
        cache = tiny_model("llama-gqa-tied")(ids, use_cache=True).past_key_values
    for layer in range(3):
        close(table[:, layer, 0].transpose(0, 1), cache.layers[layer].keys[0])
        close(table[:, layer, 1].transpose(0, 1), cache.layers[layer].values[0])
