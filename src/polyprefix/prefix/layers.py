"""Which layers carry a prefix: `all`, `top:16`, `bottom:4`, `2-29`, `2-` (to the last), or a list such as `0,5,10-12`."""

from __future__ import annotations

import re

from polyprefix.errors import ConfigError


def parse_layers(spec: str, total: int) -> tuple[int, ...]:
    """The layer indices, ascending, that a specification names in a model of `total` layers.

    >>> parse_layers("top:2", 18)
    (16, 17)

    Raises:
        ConfigError: if the specification cannot be read or names layers that the model does not have.
    """
    spec = str(spec).strip()
    if spec == "all":
        return tuple(range(total))
    if match := re.fullmatch(r"(top|bottom):(\d+)", spec):
        count = int(match[2])
        if not 1 <= count <= total:
            raise ConfigError(f"layers '{spec}': the model has {total} layers; ask for 1 to {total}")
        return tuple(range(total - count, total)) if match[1] == "top" else tuple(range(count))
    chosen: set[int] = set()
    for part in spec.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:\s*(-)\s*(\d*))?\s*", part)
        if not match:
            raise ConfigError(f"layers '{spec}': expected all, top:N, bottom:N, a range such as 2-29, or a list")
        first = int(match[1])
        last = int(match[3]) if match[3] else total - 1 if match[2] else first
        if first > last or last >= total:
            raise ConfigError(f"layers '{spec}': '{part.strip()}' is outside 0-{total - 1}, the model's layers")
        chosen.update(range(first, last + 1))
    return tuple(sorted(chosen))
