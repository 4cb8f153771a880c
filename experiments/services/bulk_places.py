"""Of how many folders a change to many runs is about: who has no right in the project needs it on each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from experiments.models import BulkAction, Experiment, Folder, FolderRole, Run
from experiments.queries import Place
from experiments.services.folder_roles import Everywhere, check_move
from projects.actor import Actor
from projects.models import Project, User
from projects.permissions import GRANTS, Permission, Role, allowed

PAGE = 500


class Folders:
    """Several folders as one place: a right is held there when a role on each of them gives it.

    It looks for the folders when it is asked, which only happens for whoever lacks the right in the project.
    """

    def __init__(self, right: Permission) -> None:
        self.right = right

    def folders(self) -> set[int | None]:
        """Numbers of the folders; None is the top, where nobody has a role."""
        raise NotImplementedError

    def roles_here(self, user: User) -> list[str]:
        """Roles of the person that give the right, empty unless each folder has one."""
        found: list[str] = []
        for folder in self.folders():
            giving = [role for role in FolderRole.objects.at(folder, user) if self.right in GRANTS[Role(role)]]
            if not giving:
                return []
            found += giving
        return found


class OfRuns(Folders):
    """Folders of named runs."""

    def __init__(self, right: Permission, project: Project, pages: Callable[[], Iterable[Sequence[int]]]) -> None:
        super().__init__(right)
        self._project, self._pages = project, pages

    def folders(self) -> set[int | None]:
        """Numbers of the folders their experiments lie in."""
        rows = Run.objects.filter(project=self._project)
        found: set[int | None] = set()
        for part in _parts(self._pages()):
            found.update(rows.filter(pk__in=part).values_list("experiment__folder", flat=True).distinct())
        return found


class OfExperiments(Folders):
    """Folders of the experiments of a project or a folder."""

    def __init__(self, right: Permission, numbers: Sequence[int]) -> None:
        super().__init__(right)
        self._numbers = numbers

    def folders(self) -> set[int | None]:
        """Numbers of the folders they lie in."""
        found: set[int | None] = set()
        for part in _parts([self._numbers]):
            found.update(Experiment.objects.filter(pk__in=part).values_list("folder", flat=True).distinct())
        return found


def of_choice(
    right: Permission, project: Project, place: Place | None, run_ids: Sequence[int] | None
) -> Experiment | Folders | Everywhere:
    """Return what rights are asked of for chosen runs."""
    if isinstance(place, Experiment):
        return place
    if run_ids is not None:
        return OfRuns(right, project, lambda: [run_ids])
    return OfExperiments(right, place.scope.ids) if place is not None else Everywhere()


def of_action(right: Permission, action: BulkAction) -> Experiment | Folders:
    """Return what rights are asked of for an action that is written down."""
    if action.experiment is not None:
        return action.experiment
    return OfRuns(right, action.project, action.pages.values_list("run_ids", flat=True).iterator)


def check_rights_of_move(actor: Actor, project: Project, within: object, target: Experiment) -> None:
    """Refuse a move of runs that would give or take rights the mover does not hold; see ``folder_roles.check_move``."""
    if isinstance(within, Experiment):
        check_move(actor, project, source=within.folder, target=target.folder, within=within)
        return
    if allowed(actor, Permission.RUN_EDIT, project) or not isinstance(within, Folders):
        # Whoever may in the whole project must hold whatever roles on the folders of the target add.
        check_move(actor, project, source=None, target=target.folder, within=Everywhere())
        return
    for number in sorted(within.folders(), key=lambda each: each or 0):
        folder = Folder.objects.get(pk=number) if number is not None else None
        check_move(actor, project, source=folder, target=target.folder, within=folder or Everywhere())


def _parts(pages: Iterable[Sequence[int]]) -> Iterator[Sequence[int]]:
    for page in pages:
        for start in range(0, len(page), PAGE):
            yield page[start : start + PAGE]
