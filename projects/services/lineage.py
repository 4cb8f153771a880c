"""Where a dataset version came from, and what came of it: source, versions, runs, models, endpoints."""

from dataclasses import dataclass, field
from urllib.parse import quote

from django.conf import settings
from django.utils.module_loading import import_string

from projects.actor import Actor
from projects.models import DatasetVersion
from projects.permissions import Permission, require
from projects.services import imports

MOST = 200


@dataclass(frozen=True)
class Node:
    """One thing in the graph.

    Parameters
    ----------
    key : str
        ``kind:id``, by which edges name it.
    kind : str
        ``source``, ``version``, ``run``, ``model`` or ``endpoint``.
    label, url, note : str
        What to show, where it is, and a word more.
    """

    key: str
    kind: str
    label: str
    url: str = ""
    note: str = ""


@dataclass
class Graph:
    """Things and which came of which; at most 200 of a kind, with the true counts."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, node: Node, *, after: str = "", count: bool = True) -> None:
        """Put a thing in, and say what it came of."""
        if node.key not in self.nodes:
            self.nodes[node.key] = node
            if count:
                self.counts[node.kind] = self.counts.get(node.kind, 0) + 1
        if after and (after, node.key) not in self.edges:
            self.edges.append((after, node.key))


def of_version(by: Actor, *, version: DatasetVersion) -> Graph:
    """The graph around one version, with a fixed number of queries.

    The apps above fill in theirs; they are named in ``settings.DATASET_LINEAGE``, each a function that gets the
    version's id, its key and the graph.
    """
    require(by, Permission.DATASET_VIEW, version.dataset.project)
    graph, own = Graph(), f"version:{version.pk}"
    words = imports.words(version.source_kind, version.source) or version.filename
    graph.add(Node("source:0", "source", words[:200], note=version.get_source_kind_display()))
    graph.add(_node(version), after="source:0")
    parent = version.derived_from
    if parent is not None and parent.deleted_at is None:
        shown = DatasetVersion.objects.light().select_related("dataset__project").get(pk=parent.pk)
        graph.add(_node(shown))
        graph.edges.append((f"version:{parent.pk}", own))
    derived = version.derived.kept().light().select_related("dataset__project").order_by("-pk")
    for each in derived[:MOST]:
        graph.add(_node(each), after=own)
    for path in settings.DATASET_LINEAGE:
        import_string(path)(version.pk, own, graph)
    return graph


def _node(version: DatasetVersion) -> Node:
    dataset = version.dataset
    address = f"/p/{dataset.project.slug}/datasets/{quote(dataset.name, safe='')}/v/{version.number}/"
    note = f"{version.row_count:,} rows" if version.row_count is not None else version.get_state_display()
    return Node(f"version:{version.pk}", "version", str(version), address, note)
