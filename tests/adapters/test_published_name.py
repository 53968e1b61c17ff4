"""Law: what is exported names its base model as the Hub does, where the Hub has it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.adapters.test_exports import adapted

from polyprefix.adapters.formats import export_adapter, import_adapter
from polyprefix.models.embedded import EMBEDDED, published_name


@pytest.mark.parametrize("name", [*EMBEDDED, "google/gemma-3-270m", "folder/of-mine"])
def test_the_name_of_the_base_model(name: str, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    model = adapted("qwen2", {"name": "lora"})
    object.__setattr__(model, "base", replace(model.base, name=name))
    export_adapter(model, "peft", tmp_path)
    told = json.loads((tmp_path / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert told == published_name(name) and "/" in told
    warned = [str(one.message) for one in recwarn if "quantised" in str(one.message)]
    assert len(warned) == (name in EMBEDDED)
    base = replace(adapted("qwen2", {"name": "none"}).base, name=name)
    recwarn.clear()
    import_adapter(base, "peft", tmp_path)
    assert not [one for one in recwarn if "trained on" in str(one.message)]
