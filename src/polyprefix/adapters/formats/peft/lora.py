"""LoRA <-> PEFT's LORA: PEFT's layers are used here too, so tensors and settings stay as they are.

Which modules are adapted is read from the tensors' names, so that PEFT's patterns, exclusions and layer choices need no
counterpart. Settings that change the function and are not offered here are refused by name.
"""

from __future__ import annotations

from peft import LoraConfig
from torch import Tensor, nn

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.adapters.formats.peft.files import CONFIG, Saved
from polyprefix.errors import AdapterError, ConfigError
from polyprefix.methods.lora import LoRA
from polyprefix.methods.lora.targets import peft_config
from polyprefix.models.load import BaseModel
from polyprefix.settings import validate

PLACE = "base_model.model."
"""What PEFT's model puts before the names of the base."""
KEPT = {"r", "lora_alpha", "lora_dropout", "use_dora", "use_rslora"}
SILENT = {
    "peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode",
    "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "eva_config", "ensure_weight_tying",
    "megatron_core", "qalora_group_size", "runtime_config",
}  # fmt: skip
"""Settings that decide nothing once the tensors are there."""
HARMLESS_STARTS = (True, False, "gaussian", "orthogonal", "eva", None)
"""Initial values that leave the base model's weights alone; others (pissa, olora, ...) move them."""
MATRICES = {"lora_A.weight", "lora_B.weight", "lora_magnitude_vector"}


def export(model: AdaptedModel) -> Saved:
    """The same tensors, under the names that PEFT's own model gives them."""
    assert isinstance(model.method, LoRA)
    config = peft_config(model.method, model.model)
    return Saved(config.to_dict(), {PLACE + name: tensor for name, tensor in model.adapter.tensors().items()})


def load(base: BaseModel, saved: Saved) -> AdaptedModel:
    """LoRA on the modules that have tensors.

    Raises:
        AdapterError: if a setting has no counterpart, or the tensors do not fit.
    """
    method = _method(saved)
    tensors = {name.removeprefix(PLACE): tensor.float() for name, tensor in saved.tensors.items()}
    targets = _targets(base, _modules(base, saved, tensors, method))
    model = attach(base, method.model_copy(update={"targets": targets}))
    model.adapter.load_tensors(tensors)
    return model


def _method(saved: Saved) -> LoRA:
    """Our settings from PEFT's, all but the targets."""
    where = saved.folder / CONFIG
    start = saved.config.get("init_lora_weights", True)
    if start not in HARMLESS_STARTS:
        raise AdapterError(
            f"{where}: init_lora_weights={start!r} changed the base model too; convert it to plain LoRA with PEFT first"
        )
    plain = LoraConfig().to_dict()
    for key, value in saved.config.items():
        if key in KEPT | SILENT | {"init_lora_weights"} or value == plain.get(key) or value in (None, False, {}, []):
            continue
        raise AdapterError(
            f"{where}: {key}={value!r} has no counterpart here; train without it, or merge the adapter with PEFT"
        )
    config = {**plain, **saved.config}
    settings = {
        "rank": saved.number("r"),
        "alpha": config["lora_alpha"],
        "dropout": config["lora_dropout"],
        "dora": config["use_dora"],
        "rslora": config["use_rslora"],
    }
    try:
        return validate(LoRA, settings, str(where))
    except ConfigError as error:
        raise AdapterError(str(error)) from None


def _modules(base: BaseModel, saved: Saved, tensors: dict[str, Tensor], method: LoRA) -> list[str]:
    """The adapted modules by name; checked now, since a base model that PEFT's layers went into serves nothing else."""
    linear = {name: m for name, m in base.model.named_modules() if isinstance(m, nn.Linear)}
    wanted = MATRICES if method.dora else MATRICES - {"lora_magnitude_vector"}
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, tensor in tensors.items():
        kind = next((kind for kind in wanted if name.endswith(f".{kind}")), None)
        module = name.removesuffix(f".{kind}")
        if kind is None or module not in linear:
            raise saved.misfit(f"tensor '{name}'", f"LoRA matrices of linear layers of {base.name}")
        shapes.setdefault(module, {})[kind] = tuple(tensor.shape)
    if not shapes:
        raise saved.misfit("no tensors", "LoRA matrices")
    for module, found in shapes.items():
        out, inner = linear[module].weight.shape
        rank = method.rank
        fits = {"lora_A.weight": (rank, inner), "lora_B.weight": (out, rank), "lora_magnitude_vector": (out,)}
        expected = {kind: fits[kind] for kind in wanted}
        if found != expected:
            raise saved.misfit(f"'{module}' with {found}", f"{expected}")
    return list(shapes)


def _targets(base: BaseModel, modules: list[str]) -> tuple[str, ...]:
    """The last parts of the names where they say the same, whole names where only some layers are adapted."""
    last = {name.rsplit(".", 1)[-1] for name in modules}
    alike = [name for name, _ in base.model.named_modules() if name.rsplit(".", 1)[-1] in last]
    return tuple(sorted(last if set(alike) == set(modules) else modules))
