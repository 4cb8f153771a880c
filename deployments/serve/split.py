"""Several versions behind one endpoint: which one answers a request, and which only listen."""

from __future__ import annotations

from dataclasses import dataclass

from deployments.runtime.loading import Runtime
from deployments.serve.configuration import Configuration
from deployments.serve.live import Live, Turn
from deployments.serve.tables import EndpointRow
from deployments.traffic import assignment

UNIT = b"x-mlportal-unit"
SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Split:
    """The variants of one revision.

    Parameters
    ----------
    lives : tuple of Live
        Those that answer, in the order of assignment.
    ends : tuple of int
        Upper ends of their stretches.
    key : bytes
        Salt of the assignment.
    shadows : tuple of Live
        Those that answer beside, unheard.
    """

    lives: tuple[Live, ...]
    ends: tuple[int, ...]
    key: bytes
    shadows: tuple[Live, ...] = ()

    @property
    def first(self) -> Live:
        """What describes the endpoint: the version that was live before."""
        return self.lives[-1]

    def turn(self, headers: dict[bytes, bytes]) -> Turn:
        """Assign a request: by its unit when it names one, else by chance."""
        unit = headers.get(UNIT)
        at = assignment.place(unit, self.key) if unit else assignment.any_place()
        return Turn(self.lives[assignment.pick(self.ends, at)], assignment.signed(at), bool(unit))

    def pinned(self, version: str) -> Turn | None:
        """What answers a caller who names a version: that one, outside of the experiment."""
        found = next((live for live in self.lives if str(live.row.version) == version), None)
        return found.alone if found else None

    def variant(self, name: str) -> Turn | None:
        """What answers a caller who names a variant, outside of the experiment as well."""
        found = next((live for live in self.lives if live.variant == name), None)
        return found.alone if found else None


def build(row: EndpointRow, runtimes: dict[int, Runtime], configuration: Configuration) -> Split:
    """Put the variants of a revision together; all of them are loaded."""
    answering = [way for way in row.ways if way.mode != SHADOW]
    lives = [Live(row, runtimes[way.version_id], configuration, way) for way in answering]
    shadows = [Live(row, runtimes[way.version_id], configuration, way) for way in row.ways if way.mode == SHADOW]
    ends = assignment.bounds([way.weight for way in answering])
    return Split(tuple(lives), ends, row.salt.encode(), tuple(shadows))
