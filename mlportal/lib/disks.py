"""How full the disk under a folder is."""

import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Room:
    """Bytes of a disk that are taken, and that we may still take.

    A file system may keep some for its administrator, or a quota lets us have less than lies free. What we cannot take
    is counted in neither, as `df` does: else a disk with nothing left would say that it is nine tenths full.
    """

    used: int
    free: int

    @property
    def total(self) -> int:
        """All that is of use to us."""
        return self.used + self.free

    @property
    def share(self) -> float:
        """Share that is taken, 0 to 1."""
        return self.used / self.total if self.total else 1.0


def room(folder: Path) -> Room:
    """Measure the disk that holds a folder."""
    found = shutil.disk_usage(folder)
    return Room(found.used, found.free)
