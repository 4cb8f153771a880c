"""The tree of folders of a project, read whole: it is small, and every answer about it needs all of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count

from experiments.models import Experiment, Folder
from projects.models import Project


@dataclass(frozen=True, slots=True)
class FolderLine:
    """One folder of a list: what lies in it, at any depth, and where it lies itself."""

    folder: Folder
    experiments: int
    folders: int
    path: str


class Tree:
    """Folders by their parents."""

    def __init__(self, folders: Iterable[Folder], counts: dict[int | None, int] | None = None) -> None:
        self.by_id = {folder.pk: folder for folder in folders}
        self._counts = counts or {}
        self._children: dict[int | None, list[Folder]] = defaultdict(list)
        for folder in sorted(self.by_id.values(), key=lambda each: (each.name_key, each.pk)):
            self._children[folder.parent_id].append(folder)

    def path(self, folder_id: int | None) -> list[Folder]:
        """The folder with those above it, from the top; empty for the top itself."""
        found: list[Folder] = []
        while folder_id is not None:
            found.append(self.by_id[folder_id])
            folder_id = found[-1].parent_id
        return found[::-1]

    def below(self, folder_id: int) -> list[int]:
        """The folder and all folders in it."""
        found = [folder_id]
        for each in found:  # grows while it is walked
            found.extend(child.pk for child in self._children[each])
        return found

    def height(self, folder_id: int) -> int:
        """How many levels the folder takes, itself included."""
        return 1 + max((self.height(child.pk) for child in self._children[folder_id]), default=0)

    def lines(self, parent_id: int | None) -> list[FolderLine]:
        """The folders in a folder, by name."""
        return [self._line(folder) for folder in self._children[parent_id]]

    def every(self) -> list[FolderLine]:
        """All folders, each behind the one it lies in."""
        waiting, found = list(reversed(self._children[None])), []
        while waiting:
            folder = waiting.pop()
            found.append(self._line(folder))
            waiting.extend(reversed(self._children[folder.pk]))
        return found

    def label(self, folder_id: int | None) -> str:
        """The path as one text."""
        return " / ".join(folder.name for folder in self.path(folder_id))

    def _line(self, folder: Folder) -> FolderLine:
        inside = self.below(folder.pk)
        total = sum(self._counts.get(each, 0) for each in inside)
        return FolderLine(folder, total, len(inside) - 1, self.label(folder.pk))


def tree_of(project: Project, *, counted: bool = True) -> Tree:
    """Return a project's folders, with how many experiments lie in each: two queries."""
    counts: dict[int | None, int] = {}
    if counted:
        rows = Experiment.objects.active().filter(project=project, folder__isnull=False).order_by()
        counts = dict(rows.values_list("folder").annotate(count=Count("pk")))
    return Tree(Folder.objects.filter(project=project), counts)


def path_of(experiment: Experiment) -> list[Folder]:
    """Return the folders that an experiment lies in, from the top; no query for one that lies in none."""
    if experiment.folder_id is None:
        return []
    return Tree(Folder.objects.filter(project=experiment.project_id)).path(experiment.folder_id)
