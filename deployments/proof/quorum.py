"""Who has agreed and who is still needed: approvals counted step by step, each person once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Step:
    """One step of the sequence: how many distinct people with one of the roles have to approve."""

    name: str
    roles: tuple[str, ...]
    needed: int


@dataclass(frozen=True)
class Signature:
    """One approval: the mail boxes it uses up (by delegation the giver's too), in which step, in which role."""

    people: frozenset[str]
    step: int
    role: str


@dataclass
class Progress:
    """How far a request is.

    Attributes
    ----------
    counts
        Approvals that count, for each step.
    odd
        Places of the signatures that do not count: out of sequence, wrong role, or a person for the second time.
    """

    steps: list[Step]
    counts: list[int]
    odd: list[int] = field(default_factory=list)

    @property
    def present(self) -> int:
        """Place of the step that is asked now; the number of steps when all are complete."""
        for place, step in enumerate(self.steps):
            if self.counts[place] < step.needed:
                return place
        return len(self.steps)

    @property
    def is_complete(self) -> bool:
        """Whether everybody who is needed has approved."""
        return self.present == len(self.steps)

    @property
    def missing(self) -> list[tuple[Step, int]]:
        """Steps that are not complete, each with how many approvals it still needs."""
        rows = zip(self.steps, self.counts, strict=True)
        return [(step, step.needed - count) for step, count in rows if count < step.needed]


def read(steps: Sequence[dict[str, Any]]) -> list[Step]:
    """Read the steps of a policy."""
    return [Step(str(item["name"]), tuple(item["roles"]), int(item["needed"])) for item in steps]


def walk(steps: list[Step], signatures: Sequence[Signature]) -> Progress:
    """Count signatures in the order they were given.

    A signature counts when it was given in the step that was asked at that moment, by one of that step's roles, and
    none of its mail boxes has signed before.
    """
    progress = Progress(steps, [0] * len(steps))
    used: set[str] = set()
    for place, signature in enumerate(signatures):
        present = progress.present
        fits = present < len(steps) and signature.step == present and signature.role in steps[present].roles
        if not fits or signature.people & used:
            progress.odd.append(place)
            continue
        progress.counts[present] += 1
        used |= signature.people
    return progress
