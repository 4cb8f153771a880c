"""Where a run came from and what came of it, as boxes in columns: from data on the left to endpoints on the right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from experiments import queries
from experiments.models import Run
from experiments.queries import recorded as told

WIDTH, HEIGHT, GAP_X, GAP_Y = 190, 44, 56, 12
MOST = 6
CHARS = 24


@dataclass(slots=True)
class Node:
    """A box: what it is, its name, its page, and its place in the drawing."""

    kind: str
    label: str
    url: str = ""
    is_here: bool = False
    x: int = 0
    y: int = 0

    @property
    def short(self) -> str:
        """The name as it fits the box."""
        return self.label if len(self.label) <= CHARS else f"{self.label[: CHARS - 1]}…"


@dataclass(slots=True)
class Lineage:
    """Boxes in columns and the lines between neighbours."""

    columns: list[list[Node]]
    lines: list[str] = field(default_factory=list)
    width: int = 0
    height: int = 0

    @property
    def nodes(self) -> list[Node]:
        """Every box, from left to right."""
        return [node for column in self.columns for node in column]

    @property
    def upstream(self) -> list[Node]:
        """What the run came from."""
        return self._side(before=True)

    @property
    def downstream(self) -> list[Node]:
        """What came of it."""
        return self._side(before=False)

    def _side(self, *, before: bool) -> list[Node]:
        here = next(at for at, column in enumerate(self.columns) if any(node.is_here for node in column))
        chosen = self.columns[:here] if before else self.columns[here + 1 :]
        return [node for column in chosen for node in column]


def of_run(run: Run, children: told.Family | None, recorded: dict[str, Any]) -> Lineage:
    """Draw the lineage of a run from what its page has read already, and one question for endpoints and reports."""
    base = f"/p/{run.project.slug}"
    versions = recorded["registered"] + [v for line in recorded["models"] for v in line.versions]
    columns = [
        _sources(run), _data(run, recorded, base), [Node("this run", f"{run.pk} {run.name}", is_here=True)],
        [*_children(children, base), *_models(recorded, base)],
        [Node("version", each.label, each.url) for each in {v.url: v for v in versions}.values()],
        [Node(kind, label, url) for kind, label, url in queries.uses_of_run(run.pk)],
    ]  # fmt: skip
    return _placed(Lineage([_few(column) for column in columns if column]))


def _sources(run: Run) -> list[Node]:
    version = run.dataset_version
    return [Node("source", version.filename or "upload")] if version is not None else []


def _data(run: Run, recorded: dict[str, Any], base: str) -> list[Node]:
    out = []
    if run.dataset_version is not None:
        name, number = run.dataset_version.dataset.name, run.dataset_version.number
        out.append(Node("dataset", f"{name} v{number}", f"{base}/datasets/{quote(name)}/v/{number}/"))
    out += [Node("dataset", f"{line.dataset.name} {line.dataset.digest}".strip()) for line in recorded["datasets"]]
    if run.parent is not None:
        out.append(Node("parent run", f"{run.parent.pk} {run.parent.name}", f"{base}/runs/{run.parent.pk}/"))
    out += [_model(line, base) for line in recorded["models"] if line.direction == "input"]
    return out


def _children(children: told.Family | None, base: str) -> list[Node]:
    if children is None:
        return []
    out = [Node("child run", f"{child.pk} {child.name}", f"{base}/runs/{child.pk}/") for child in children.rows[:3]]
    left = children.total - len(out)
    return [*out, Node("child runs", f"{left:,} more", "#children")] if left > 0 else out


def _models(recorded: dict[str, Any], base: str) -> list[Node]:
    return [_model(line, base) for line in recorded["models"] if line.direction != "input"]


def _model(line: Any, base: str) -> Node:
    return Node("logged model", line.model.name, f"{base}/logged-models/{line.model.uuid}/")


def _few(column: list[Node]) -> list[Node]:
    more = len(column) - MOST
    return [*column[:MOST], Node("and", f"{more:,} more")] if more > 0 else column


def _placed(lineage: Lineage) -> Lineage:
    most = max(len(column) for column in lineage.columns)
    lineage.height = most * (HEIGHT + GAP_Y) - GAP_Y + 4
    lineage.width = len(lineage.columns) * (WIDTH + GAP_X) - GAP_X + 4
    for at, column in enumerate(lineage.columns):
        top = (lineage.height - len(column) * (HEIGHT + GAP_Y) + GAP_Y) // 2
        for row, node in enumerate(column):
            node.x, node.y = 2 + at * (WIDTH + GAP_X), top + row * (HEIGHT + GAP_Y)
    for left, right in zip(lineage.columns, lineage.columns[1:], strict=False):
        lineage.lines += _between(left, right)
    return lineage


def _between(left: Iterable[Node], right: list[Node]) -> list[str]:
    """Curves from each box of a column to each of the next."""
    out = []
    for a in left:
        for b in right:
            x1, y1, x2, y2 = a.x + WIDTH, a.y + HEIGHT // 2, b.x, b.y + HEIGHT // 2
            out.append(f"M{x1} {y1}C{x1 + GAP_X // 2} {y1} {x2 - GAP_X // 2} {y2} {x2} {y2}")
    return out
