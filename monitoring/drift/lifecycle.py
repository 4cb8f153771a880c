"""The life of one alert as a pure function: a state and a signal in, a state and what to say out.

Source: serving-monitoring.md, section 6.2. Acknowledging and silencing are orthogonal and not in here; "no data"
and "evaluator failed" are instances of their own and freeze this one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

Signal = Literal["critical", "warn", "between", "clear", "none"]
State = Literal["inactive", "pending", "firing", "recovering", "resolved", "no_data", "error"]
Notice = Literal["", "trigger", "update", "resolve"]

BREACHES = frozenset({"warn", "critical"})
RANKS = {"": 0, "warn": 1, "critical": 2}
REOPEN_WINDOWS = 2
FLAP_CHANGES, FLAP_WINDOWS, CALM_WINDOWS = 4, 24, 6


@dataclass(frozen=True)
class Sample:
    """What one rule found in one window for one set of labels; ``detail`` says what happened, ``column`` where most."""

    labels: dict[str, str]
    signal: Signal
    value: float | None = None
    limit: float | None = None
    title: str = ""
    detail: str = ""
    column: str = ""


@dataclass(frozen=True)
class Policy:
    """``needed`` breaches among the last ``of`` windows open it; ``keep`` further clear windows close it."""

    needed: int = 2
    of: int = 3
    keep: int = 1


@dataclass(frozen=True)
class Life:
    """Where one alert stands.

    ``recent`` are the last windows, newest last, 1 for a breach; ``clears`` counts clear windows in a row;
    ``quiet`` is set by resolving by hand, until cleared once; ``age`` counts windows since it was resolved.
    ``changes`` are how many windows ago it began to fire or was resolved, of the last 24; four make it ``flapping``:
    it is held as firing until six windows in a row are clear.
    """

    state: State = "inactive"
    level: str = ""
    recent: tuple[int, ...] = ()
    clears: int = 0
    quiet: bool = False
    age: int = 0
    changes: tuple[int, ...] = ()
    flapping: bool = False


@dataclass(frozen=True)
class Move:
    """One change of state or of level, and whether somebody is told."""

    before: State
    after: State
    level: str
    notice: Notice = ""


def step(life: Life, signal: Signal, policy: Policy) -> tuple[Life, tuple[Move, ...]]:
    """Take one window into account.

    Parameters
    ----------
    life : Life
        Before the window.
    signal : {"critical", "warn", "between", "clear", "none"}
        ``between`` is neither a breach nor inside the clear limit; ``none`` is no samples, which freezes.
    policy : Policy
        n of m, and how long to keep firing.

    Returns
    -------
    tuple of Life and tuple of Move
        Moves in the order they happened; empty when nothing changed.
    """
    if signal == "none":
        return life, ()
    seen = replace(
        life,
        recent=(*life.recent, int(signal in BREACHES))[-policy.of :],
        clears=life.clears + 1 if signal == "clear" else 0,
        age=life.age + 1 if life.state == "resolved" else 0,
        changes=tuple(age + 1 for age in life.changes if age + 1 < FLAP_WINDOWS),
    )
    if life.flapping:
        return _flapping(seen, signal)
    return _counted(life, *_HANDLERS[life.state](seen, signal, policy))


def _counted(before: Life, after: Life, moves: tuple[Move, ...]) -> tuple[Life, tuple[Move, ...]]:
    """Count a change between firing and resolved; the fourth within 24 windows holds it as firing."""
    if not any(_is_change(move) for move in moves):
        return after, moves
    after = replace(after, changes=(*after.changes, 0))
    if len(after.changes) < FLAP_CHANGES:
        return after, moves
    held = replace(after, state="firing", flapping=True, clears=0, age=0)
    if after.state == "firing":
        return held, moves
    return held, (Move(before.state, "firing", before.level, "update"),)


def _is_change(move: Move) -> bool:
    began = move.after == "firing" and move.before in ("pending", "resolved")
    return began or (move.before, move.after) == ("recovering", "resolved")


def _flapping(life: Life, signal: Signal) -> tuple[Life, tuple[Move, ...]]:
    """Hold it at the worst level it had; only a rise is told, until enough windows in a row are clear."""
    if life.clears >= CALM_WINDOWS:
        calm = Life(state="resolved", level=life.level, recent=life.recent)
        return calm, (Move("firing", "resolved", life.level, "resolve"),)
    if signal not in BREACHES or RANKS[signal] <= RANKS[life.level]:
        return life, ()
    return replace(life, level=signal), (Move("firing", "firing", signal, "update"),)


def _inactive(life: Life, signal: Signal, policy: Policy) -> tuple[Life, tuple[Move, ...]]:
    if signal not in BREACHES:
        return life, ()
    opened = replace(life, state="pending", level=signal)
    after, moves = _pending(opened, signal, policy)
    return after, (Move(life.state, "pending", signal), *moves)


def _pending(life: Life, signal: Signal, policy: Policy) -> tuple[Life, tuple[Move, ...]]:
    if signal == "clear" or not any(life.recent):
        return Life(recent=life.recent, changes=life.changes), (Move("pending", "inactive", ""),)
    if signal not in BREACHES or sum(life.recent) < policy.needed:
        level = signal if signal in BREACHES else life.level
        return replace(life, level=level), ()
    return replace(life, state="firing", level=signal), (Move("pending", "firing", signal, "trigger"),)


def _firing(life: Life, signal: Signal, policy: Policy) -> tuple[Life, tuple[Move, ...]]:
    if signal == "clear":
        recovering = replace(life, state="recovering", clears=0)
        after, moves = _recovering(recovering, "none", policy)
        return after, (Move("firing", "recovering", life.level), *moves)
    if signal in ("between", life.level):
        return life, ()
    notice: Notice = "update" if RANKS[signal] > RANKS[life.level] else ""
    return replace(life, level=signal), (Move("firing", "firing", signal, notice),)


def _recovering(life: Life, signal: Signal, policy: Policy) -> tuple[Life, tuple[Move, ...]]:
    if signal in BREACHES:
        rose = RANKS[signal] > RANKS[life.level]
        notice: Notice = "update" if rose else ""
        return replace(life, state="firing", level=signal), (Move("recovering", "firing", signal, notice),)
    if life.clears < policy.keep:
        return life, ()
    resolved = Life(state="resolved", level=life.level, recent=life.recent, changes=life.changes)
    return resolved, (Move("recovering", "resolved", life.level, "resolve"),)


def _resolved(life: Life, signal: Signal, policy: Policy) -> tuple[Life, tuple[Move, ...]]:
    if life.quiet:
        return replace(life, quiet=signal != "clear", age=REOPEN_WINDOWS + 1), ()
    if signal not in BREACHES:
        return life, ()
    if life.age > REOPEN_WINDOWS:
        return _inactive(life, signal, policy)
    return replace(life, state="firing", level=signal, age=0), (Move("resolved", "firing", signal, "update"),)


def _frozen(life: Life, signal: Signal, policy: Policy) -> tuple[Life, tuple[Move, ...]]:
    """Close "no data" and "error" instances as soon as there is a value again, whatever it says."""
    del signal, policy
    return Life(state="resolved", level=life.level), (Move(life.state, "resolved", life.level, "resolve"),)


Handler = Callable[[Life, Signal, Policy], tuple[Life, tuple[Move, ...]]]
_HANDLERS: dict[State, Handler] = {
    "inactive": _inactive,
    "pending": _pending,
    "firing": _firing,
    "recovering": _recovering,
    "resolved": _resolved,
    "no_data": _frozen,
    "error": _frozen,
}


def resolve_by_hand(life: Life) -> tuple[Life, tuple[Move, ...]]:
    """Resolve now; it stays quiet until the value has been clear once."""
    resolved = Life(state="resolved", level=life.level, recent=life.recent, quiet=True)
    return resolved, (Move(life.state, "resolved", life.level, "resolve"),)
