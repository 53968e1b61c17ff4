"""A sliding window: text loses sight of a prefix that another tool keeps in the KV cache; here it stays in view."""

from __future__ import annotations

import warnings

from polyprefix.errors import AdapterError
from polyprefix.prefix import AttentionHook


def warn_of_window(hook: AttentionHook, length: int, tool: str) -> None:
    """Say up to which length of text another tool's logits and ours are the same, where the model has a sliding window.

    Raises:
        AdapterError: if the window is full with the prefix alone.
    """
    window = hook.lengths.window
    if window is None:
        return
    if length >= window:
        raise AdapterError(
            f"{length} virtual tokens fill the model's sliding window of {window}, and {tool} lets them slide out of "
            "view; train with fewer"
        )
    warnings.warn(
        f"the model has a sliding window of {window} tokens: {tool} lets the prefix slide out of view and polyprefix "
        f"does not, so they agree on texts of up to {window - length} tokens",
        stacklevel=3,
    )
