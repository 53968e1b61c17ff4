"""The one reader of YAML: text, numbers, truth values, nothing, lists and mappings, as YAML 1.2's core schema has them.

PyYAML reads YAML 1.1, in which `no` is false, `9:30` is 570, `010` is 8, `2020-01-01` is a date, and tags and sets make other objects.
Its parser is kept; what its events mean is decided here, with limits: a file of others can neither run anything, nor recurse, nor grow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from polyprefix.safe_files import is_broken, read_text

MOST_BYTES = 1 << 20
"""Of a file: configurations, studies and tasks are some kilobytes."""
MOST_DEPTH = 40
"""Of nested lists and mappings."""
MOST_VALUES = 50_000
"""Of a document, what aliases repeat counted as often as it is repeated."""
MOST_DIGITS = 300
"""Of a whole number: what still fits a float."""

_NULL = re.compile(r"(?:~|null|Null|NULL|)")
_TRUE, _FALSE = re.compile("(?:true|True|TRUE)"), re.compile("(?:false|False|FALSE)")
_WHOLE = re.compile(r"[-+]?[0-9]+")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_ENDLESS = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map")}
"""Tags that say what the core schema has; others would name objects."""


class YamlError(ValueError):
    """Text that is no YAML, or YAML with more in it than plain values."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        """Args:
        line: from 1; None where no line is to blame.
        """
        super().__init__(reason)
        self.reason, self.line = reason, line


@dataclass(slots=True)
class Node:
    """A value with its line."""

    line: int
    """From 1."""
    value: Any = None
    """A scalar as written, a list of nodes, or (key as written, line of the key, node) of a mapping."""
    plain: bool = False
    """Whether a scalar stands without quotes, so that it may be something other than text."""
    size: int = 1
    """How many values it holds, itself counted."""


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come."""

    node: Node
    is_mapping: bool
    key: tuple[str, int] | None = None
    keys: set[str] = field(default_factory=set)
    anchor: str | None = None


def load(text: str) -> Any:
    """The value of a document: numbers, truth values and null where they stand without quotes, else text. Keys are text, as written.

    >>> load("{seed: 010, at: 9:30, no: [no, true, 1e-3, '1', 2020-01-01]}")
    {'seed': 10, 'at': '9:30', 'no': ['no', True, 0.001, '1', '2020-01-01']}

    Raises:
        YamlError: if it is no YAML, holds anything else, or more than the limits allow.
    """
    return _typed(parse(text))


def load_written(text: str) -> Any:
    """As `load`, but every scalar is the text that was written; None only where nothing was written.

    >>> load_written("[010, 1.50, 9:30, True, null, ~, ]")
    ['010', '1.50', '9:30', 'True', 'null', '~']

    Raises:
        YamlError: as `load`.
    """
    return _written(parse(text))


def dump(values: Any) -> str:
    """Plain values as YAML, keys in their order, so that `load` gives the same values again."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Puts into quotes what would be read as something other than text."""


def _text(dumper: Any, text: str) -> Any:
    try:
        is_text = _value(Node(0, text, plain=True)) is text
    except YamlError:
        is_text = False
    style = (
        '"' if set(text) & {"\x85", "\u2028", "\u2029"} else None if is_text else "'"
    )  # which YAML folds as line ends
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def line_of(path: Path, keys: Sequence[str | int]) -> int:
    """The line of a YAML file with the value under these keys, or under as many of them as are there.

    Raises:
        YamlError, OSError, ValueError: if the file cannot be read.
    """
    node, line = parse(read_text(path, MOST_BYTES)), 1
    for key in keys:
        if not isinstance(node.value, list) or not node.value:
            break
        if isinstance(node.value[0], tuple):
            found = [(at, value) for name, at, value in node.value if name == str(key)]
        else:
            found = [(value.line, value) for index, value in enumerate(node.value) if index == key]
        if not found:
            break
        line, node = found[-1]
    return line


def parse(text: str) -> Node:
    """The tree of a document.

    Raises:
        YamlError: as `load`.
    """
    if len(text) > MOST_BYTES:
        raise YamlError(f"more than {MOST_BYTES:,} characters")
    try:
        return _tree(yaml.parse(text, yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise YamlError(f"not YAML ({reason})", mark.line + 1 if mark else None) from None
    except (ValueError, IndexError, RecursionError, OverflowError) as error:
        if isinstance(error, YamlError):
            raise
        raise YamlError(f"not YAML ({error})") from None  # such as an escape of a character that there is not


def _tree(events: Iterator[Any]) -> Node:
    """Nodes of PyYAML's events, without recursion."""
    stack: list[_Open] = []
    anchors: dict[str, Node] = {}
    root: Node | None = None
    documents, count = 0, 0
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise YamlError("a second document, expected one", line)
            continue
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in anchors:  # unknown, or one that is still open: a cycle
                raise YamlError(f"the alias '{event.anchor}' of nothing that is complete", line)
            done = anchors[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            done = _scalar(event, line)
            if event.anchor:
                anchors[event.anchor] = done
        elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            _check_tag(event, line)
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            if stack and stack[-1].is_mapping and stack[-1].key is None:
                raise YamlError("a key that is a list or a mapping, expected text", line)
            if len(stack) >= MOST_DEPTH:
                raise YamlError(f"nested more than {MOST_DEPTH} deep", line)
            stack.append(_Open(Node(line, []), is_mapping, anchor=event.anchor))
            continue
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            closed = stack.pop()
            done = closed.node
            if closed.anchor:
                anchors[closed.anchor] = done
            if closed.is_mapping and not done.value:
                done.value = {}
        else:
            continue
        count += 1
        if stack:
            _put(stack[-1], done, line, isinstance(event, yaml.AliasEvent))
            if stack[-1].node.size > MOST_VALUES or count > MOST_VALUES:
                raise YamlError(f"more than {MOST_VALUES:,} values", line)
        else:
            root = done
    return root or Node(1, "", plain=True)


def _put(parent: _Open, done: Node, line: int, is_alias: bool) -> None:
    """A value or a key into the list or mapping that is open."""
    if not parent.is_mapping:
        parent.node.value.append(done)
    elif parent.key is None:
        if not isinstance(done.value, str) or is_alias:
            raise YamlError("a key that is no text", line)
        if done.value == "<<" and done.plain:
            raise YamlError("the key '<<', expected the keys themselves", line)
        if done.value in parent.keys:
            raise YamlError(f"the key {done.value[:60]!r} twice", line)
        parent.keys.add(done.value)
        parent.key = (done.value, done.line)
        return
    else:
        parent.node.value.append((*parent.key, done))
        parent.key = None
    parent.node.size += done.size


def _scalar(event: Any, line: int) -> Node:
    _check_tag(event, line)
    if is_broken(event.value):
        raise YamlError("text with half a character (a lone surrogate)", line)
    is_text = event.tag in ("tag:yaml.org,2002:str", "!")
    return Node(line, event.value, plain=event.style is None and not is_text)


def _check_tag(event: Any, line: int) -> None:
    if event.tag and event.tag not in _TAGS and event.tag != "!":
        raise YamlError(f"the tag '{event.tag[:60]}', expected plain values", line)


def _typed(node: Node) -> Any:
    if isinstance(node.value, str):
        return _value(node) if node.plain else node.value
    if isinstance(node.value, dict):
        return {}
    if node.value and isinstance(node.value[0], tuple):
        return {key: _typed(value) for key, _, value in node.value}
    return [_typed(item) for item in node.value]


def _written(node: Node) -> Any:
    if isinstance(node.value, str):
        return node.value if node.value or not node.plain else None
    if isinstance(node.value, dict):
        return {}
    if node.value and isinstance(node.value[0], tuple):
        return {key: _written(value) for key, _, value in node.value}
    return [_written(item) for item in node.value]


def _value(node: Node) -> Any:
    """What a scalar without quotes means."""
    text = node.value
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
        return text[0] in "tT"
    if _WHOLE.fullmatch(text) or _OTHER_BASE.fullmatch(text):
        if len(text) > MOST_DIGITS:
            raise YamlError(f"a number of {len(text):,} digits; put text into quotes", node.line)
        return int(text, 10 if _WHOLE.fullmatch(text) else 0)
    if _NUMBER.fullmatch(text):
        return float(text)
    if _ENDLESS.fullmatch(text):
        return float(text.replace(".", "", 1))
    return text
