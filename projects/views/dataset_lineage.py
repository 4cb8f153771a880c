"""The lineage of a dataset version, drawn by the server, with the same as a list."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from projects.models import DatasetVersion
from projects.permissions import Permission
from projects.services import lineage
from projects.services.lineage import Graph, Node
from projects.views import dataset_context
from projects.views.datasets import OneVersion

COLUMNS = ("source", "before", "version", "after", "run", "model", "endpoint")
HEADS = {"source": "Source", "version": "Versions", "run": "Runs", "model": "Models", "endpoint": "Endpoints"}
SHOWN = 12
WIDTH, HEIGHT, GAP_X, GAP_Y, CHARACTERS = 168, 40, 48, 10, 22


@dataclass(frozen=True)
class Box:
    """A drawn thing."""

    x: int
    y: int
    kind: str
    label: str
    note: str
    url: str
    is_own: bool


class DatasetVersionLineage(OneVersion):
    """Where a version came from and what came of it."""

    reads = DatasetVersion
    permission = Permission.DATASET_VIEW

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        """Draw the graph."""
        version = self.version(name, number)
        graph = lineage.of_version(self.actor, version=version)
        context = dataset_context.frame(self.actor, version) | drawing(graph, f"version:{version.pk}")
        context["groups"] = [
            (HEADS[kind], kind, graph.counts.get(kind, 0), [node for node in graph.nodes.values() if node.kind == kind])
            for kind in HEADS
        ]
        return render(request, "projects/dataset_lineage.html", context)


def drawing(graph: Graph, own: str) -> dict[str, Any]:
    """Boxes in columns from left to right, and the paths between them; at most 12 in a column."""
    columns = _columns(graph, own)
    places: dict[str, tuple[int, int]] = {}
    boxes: list[Box] = []
    tallest = max(len(column) for _kind, column, _more in columns)
    for at, (kind, column, more) in enumerate(columns):
        lines = len(column) + bool(more)
        top = (tallest + 1 - lines) * (HEIGHT + GAP_Y) // 2
        x = at * (WIDTH + GAP_X)
        for line, node in enumerate(column):
            places[node.key] = (x, top + line * (HEIGHT + GAP_Y))
            boxes.append(_box(node, *places[node.key], is_own=node.key == own))
        if more:
            y = top + len(column) * (HEIGHT + GAP_Y)
            boxes.append(Box(x, y, kind, f"and {more:,} more", "", "", is_own=False))
    paths = [
        _path(*places[first], *places[second])
        for first, second in graph.edges
        if first in places and second in places and places[first][0] < places[second][0]
    ]
    return {
        "boxes": boxes, "paths": paths, "width": len(columns) * (WIDTH + GAP_X) - GAP_X,
        "height": (tallest + 1) * (HEIGHT + GAP_Y), "box_width": WIDTH, "box_height": HEIGHT,
    }  # fmt: skip


def _columns(graph: Graph, own: str) -> list[tuple[str, list[Node], int]]:
    groups: dict[str, list[Node]] = {column: [] for column in COLUMNS}
    parents = {first for first, second in graph.edges if second == own}
    for node in graph.nodes.values():
        if node.kind == "version" and node.key != own:
            groups["before" if node.key in parents else "after"].append(node)
        else:
            groups[node.kind].append(node)
    found = []
    for column, nodes in groups.items():
        total = graph.counts.get(column, len(nodes)) if column in ("run", "model", "endpoint") else len(nodes)
        if nodes:
            found.append((column, nodes[:SHOWN], total - len(nodes[:SHOWN])))
    return found


def _box(node: Node, x: int, y: int, *, is_own: bool) -> Box:
    label = node.label if len(node.label) <= CHARACTERS else node.label[: CHARACTERS - 1] + "…"
    return Box(x, y, node.kind, label, node.note[:CHARACTERS], node.url, is_own)


def _path(x1: int, y1: int, x2: int, y2: int) -> str:
    start, end = x1 + WIDTH, x2
    middle = (start + end) // 2
    top, bottom = y1 + HEIGHT // 2, y2 + HEIGHT // 2
    return f"M{start} {top}C{middle} {top} {middle} {bottom} {end} {bottom}"
