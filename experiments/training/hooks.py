"""How a training reports and how it is stopped."""

from collections.abc import Callable
from dataclasses import dataclass


class Stopped(Exception):
    """The caller asked the training to stop."""


def _ignore(*_: object) -> None:
    """Report to nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Callbacks of a training; each has a silent default.

    Attributes
    ----------
    on_metric : callable(key: str, value: float, step: int)
        A metric as soon as it is known.
    on_progress : callable(phase: str, share: float)
        The phase now and the share of it done, 0 to 1.
    on_log : callable(level: str, text: str)
        A line for people; level is ``info``, ``warning`` or ``error``.
    should_stop : callable() -> bool
        Asked between steps; true ends the training with `Stopped`.
    """

    on_metric: Callable[[str, float, int], None] = _ignore
    on_progress: Callable[[str, float], None] = _ignore
    on_log: Callable[[str, str], None] = _ignore
    should_stop: Callable[[], bool] = bool

    def progress(self, phase: str, share: float) -> None:
        """Report progress, and stop here when asked to."""
        if self.should_stop():
            raise Stopped(phase)
        self.on_progress(phase, min(max(share, 0.0), 1.0))

    def info(self, text: str) -> None:
        """Write an information line."""
        self.on_log("info", text)

    def warn(self, text: str) -> None:
        """Write a warning line."""
        self.on_log("warning", text)
