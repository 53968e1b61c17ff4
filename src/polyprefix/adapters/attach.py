"""A new adapter on a base model."""

from __future__ import annotations

from collections.abc import Sequence

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.joined import join
from polyprefix.adapters.original import ATTACHED, Attachments, Original
from polyprefix.errors import ModelError
from polyprefix.methods.base import Method, Start
from polyprefix.models.load import BaseModel
from polyprefix.prefix import AttentionHook

NEUTRAL_TEXT = "Read the following text carefully and answer the question about it.\n"


def attach(
    base: BaseModel,
    method: Method | Sequence[AdaptedModel],
    *,
    init_text: str | None = None,
    seed: int = 0,
    restorable: bool = True,
    empty: bool = False,
) -> AdaptedModel:
    """Give a base model a new adapter, or the prefixes of several adapters that were trained apart as one.

    What changes in the caller's transformers model, all of it undone by `AdaptedModel.detach`: its attention implementation runs inside
    ours, the head takes a faster path, no weight but the adapter's has `requires_grad`, and training sets its mode. LoRA puts PEFT's
    layers in place of linear ones, and full fine-tuning casts the weights to float32 and trains them.

    Several adapters may be attached to one model, but for methods that change the model itself: those want it alone.

    Args:
        base: from `load_model` or `wrap_model`; its weights stay as they are unless the method changes them.
        method: settings such as `PrefixTuning(length=10, layers="top:16")`. Or adapters of this model, `[language, task]`, whose prefixes
            stand before the text together (`polyprefix.adapters.joined`); the other arguments then say nothing.
        init_text: real text to start from where the method's own `init_text` is not set.
        seed: of random initial values.
        restorable: keep what `detach` needs. For methods that train the base model's own weights that is a copy of them, so
            4 bytes a parameter for weights in float32, and the old weights, 2 bytes a parameter, for weights in bfloat16.
        empty: make no initial values, since saved ones are loaded next: the model then computes nothing.

    Raises:
        ModelError: if the architecture cannot be served, or if an earlier adapter changed the base model.
        ConfigError: if the settings do not fit the model.
        AdapterError: if adapters are given that cannot be joined.
    """
    if not isinstance(method, Method):
        joined = join(base, method)
        adapted = attach(base, joined.method, empty=True)
        adapted.adapter.load_tensors(joined.prefix.tensors())
        adapted.learned = joined.learned
        return adapted
    if earlier := is_changed(base):
        raise ModelError(
            f"{base.name} was changed by an earlier '{earlier}' adapter: detach it, or load the model again"
        )
    before = Original(base.model)
    attachments = Attachments.on(base.model)
    if method.changes_base and attachments and (others := attachments.others()):
        raise ModelError(
            f"{base.name} has {others} other adapter{'s' * (others > 1)}, which '{method.name}' would change with the model: detach first"
        )
    attachments = attachments or Attachments(before)
    with before.restored_on_failure():
        base.model.requires_grad_(False)
        hook = AttentionHook.of(base.model)
        if method.trains_base_weights and restorable:
            attachments.original.keep_weights()
        adapter = method.build(base, hook, Start(init_text or NEUTRAL_TEXT, seed, empty))
        adapted = AdaptedModel(base, method, adapter, restorable=restorable or not method.trains_base_weights)
        base.model.__dict__[ATTACHED] = attachments
    attachments.adapters.add(adapted)
    if method.changes_base:
        mark_changed(base, method.name)
    return adapted


def mark_changed(base: BaseModel, by: str) -> None:
    """Say that the base model's own modules are no longer what was loaded."""
    base.model.__dict__["_polyprefix_changed_by"] = by


def is_changed(base: BaseModel) -> str | None:
    """The method whose adapter altered the base model's own modules, so that it can serve no other; None if none did."""
    name: str | None = base.model.__dict__.get("_polyprefix_changed_by")
    return name
