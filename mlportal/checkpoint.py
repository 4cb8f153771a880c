"""The one place that folds SQLite's write-ahead log into the database file.

SQLite before 3.51.3 can corrupt the log when a checkpoint races the commit of another
connection; connections therefore never checkpoint (``wal_autocheckpoint=0``) and one thread
of the supervisor does, holding the writer lock.
"""

import sqlite3
import threading
from pathlib import Path

EVERY_SECONDS = 5.0


class Checkpointer(threading.Thread):
    """Thread that checkpoints until it is stopped, and once more then.

    Parameters
    ----------
    path
        The database file.
    every_seconds
        Pause between two checkpoints.
    """

    def __init__(self, path: Path, every_seconds: float = EVERY_SECONDS) -> None:
        super().__init__(name="checkpoint", daemon=True)
        self.path = path
        self.every_seconds = every_seconds
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Checkpoint until asked to stop."""
        while not self._stop_asked.wait(self.every_seconds):
            checkpoint(self.path)
        checkpoint(self.path)

    def stop(self) -> None:
        """Checkpoint once more and end."""
        self._stop_asked.set()
        self.join(30)


def checkpoint(path: Path) -> bool:
    """Fold the log into the file; return whether all of it was folded.

    The TRUNCATE mode holds the writer lock, so that no commit runs beside the checkpoint.
    """
    if not path.exists():
        return False
    try:
        connection = sqlite3.connect(path, timeout=20, isolation_level=None)
        try:
            busy, _log, _done = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.close()
    except sqlite3.OperationalError:  # a writer held the lock for 20 s: the next round will do
        return False
    return not busy


def is_sound(path: Path) -> bool:
    """Tell whether SQLite's own quick check finds nothing wrong with the file."""
    connection = sqlite3.connect(path, timeout=20)
    try:
        return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    finally:
        connection.close()
