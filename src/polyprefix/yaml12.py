"""YAML as people mean it: only `true` and `false` are truth values, as in YAML 1.2.

YAML 1.1 takes `no`, `yes`, `on` and `off` for them too; but `no` is Norwegian, and `yes` is a label.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

_BOOL = "tag:yaml.org,2002:bool"


class Loader(yaml.SafeLoader):
    """For `yaml.load`: plain values only, nothing that runs code."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in pairs if tag != _BOOL]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(_BOOL, re.compile("(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def line_of(path: Path, keys: Sequence[str | int]) -> int:
    """The line of a YAML file with the value under these keys, or under as many of them as are there."""
    node = yaml.compose(path.read_text(encoding="utf-8"), Loader)
    line = 0
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            found = [(name.start_mark.line, value) for name, value in node.value if name.value == str(key)]
        elif isinstance(node, yaml.SequenceNode):
            found = [(value.start_mark.line, value) for index, value in enumerate(node.value) if index == key]
        else:
            break
        if not found:
            break
        line, node = found[-1]
    return line + 1
