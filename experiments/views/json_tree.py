"""JSON as a tree that opens level by level, drawn on the server and bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

MOST_NODES = 2000
MOST_CHILDREN = 200
MOST_DEPTH = 40
TEXT_CHARS = 300
OPEN_LEVELS = 2


@dataclass(slots=True)
class Node:
    """One value: its key, what it looks like, and what it holds."""

    key: str
    kind: str
    text: str
    children: list[Node] = field(default_factory=list)
    left_out: int = 0
    is_open: bool = False


class _Budget:
    def __init__(self, nodes: int) -> None:
        self.nodes = nodes


def tree(data: bytes) -> Node | None:
    """Return the tree of an object or a list; None for what is no JSON, or a single value."""
    try:
        told = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return _node("", told, 0, _Budget(MOST_NODES)) if isinstance(told, dict | list) and told else None


def _node(key: str, value: Any, depth: int, budget: _Budget) -> Node:
    budget.nodes -= 1
    if isinstance(value, dict | list):
        return _branch(key, value, depth, budget)
    if isinstance(value, str):
        return Node(key, "text", value if len(value) <= TEXT_CHARS else f"{value[:TEXT_CHARS]}…")
    return Node(key, "plain", orjson.dumps(value).decode())


def _branch(key: str, value: dict[str, Any] | list[Any], depth: int, budget: _Budget) -> Node:
    noun = "field" if isinstance(value, dict) else "item"
    node = Node(key, noun, f"{len(value):,} {noun}{'' if len(value) == 1 else 's'}", is_open=depth < OPEN_LEVELS)
    if depth < MOST_DEPTH:
        for name, child in _pairs(value):
            if budget.nodes <= 0 or len(node.children) == MOST_CHILDREN:
                break
            node.children.append(_node(name, child, depth + 1, budget))
    node.left_out = len(value) - len(node.children)
    return node


def _pairs(value: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    return iter(value.items()) if isinstance(value, dict) else ((str(at), each) for at, each in enumerate(value))
