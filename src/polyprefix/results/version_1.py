"""Results of schema version 1 under the names of version 2. Nothing else knows that there was a version 1.

| version 1                              | version 2                |
|----------------------------------------|--------------------------|
| `cost.*_share_of_ceiling`              | `cost.*_mfu`             |
| `cost.ceiling_flops_per_second`        | `cost.peak_flops_per_second` |
| `config.eval_ids: spread`              | `disjoint`               |
| column `answers`, column `predicted`   | `references`, `prediction` |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COLUMNS: Mapping[str, str] = {"answers": "references", "predicted": "prediction"}
"""Column of predictions.parquet in version 1 -> its name now."""
EVAL_IDS: Mapping[str, str] = {"spread": "disjoint"}
"""Value of the setting `eval_ids` in version 1 -> its value now."""


def upgraded(values: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a `result.json` of version 1 as version 2 has it; what is malformed stays for the reader to refuse."""
    config, cost = values.get("config"), values.get("cost")
    result = {**values, "schema_version": 2}
    if isinstance(config, Mapping) and isinstance(config.get("eval_ids"), str):
        result["config"] = {**config, "eval_ids": EVAL_IDS.get(config["eval_ids"], config["eval_ids"])}
    if isinstance(cost, Mapping):
        result["cost"] = {_cost_name(key): value for key, value in cost.items()}
    return result


def _cost_name(name: str) -> str:
    if name == "ceiling_flops_per_second":
        return "peak_flops_per_second"
    return name.removesuffix("_share_of_ceiling") + "_mfu" if name.endswith("_share_of_ceiling") else name
