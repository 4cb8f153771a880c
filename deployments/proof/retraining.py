"""Which guard holds a retraining back. Plain Python: the facts come from `deployments.services.retraining_facts`."""

from collections.abc import Callable
from dataclasses import dataclass

LEAST_ROWS = 1000
LEAST_SHARE = 0.1
RANKS = {"critical": 0, "high": 1, "medium": 2, "low": 3}


@dataclass(frozen=True, slots=True)
class Situation:
    """What guards look at when an alert asks for a retraining; everything of the model unless it says otherwise.

    Attributes
    ----------
    stop_reason
        Why the automation was stopped, or an empty text.
    owner, owner_may
        In whose name it acts, and whether that person still may.
    live, alert_version
        Version that answers now (empty: none) and the one that the alert is about.
    severity, least_severity
        Of the alert, and from which one on the automation acts.
    silenced
        Whether a silence covers the alert.
    training, waiting
        Whether a retraining is under way, and whether the request of an earlier one waits for a decision.
    hours_since, cooldown_hours
        Since the newest retraining that began (None: never), and how long to wait after it.
    runs, most_runs, cpu_minutes, most_cpu_minutes
        Spent this month, and the budget (None: no limit).
    rows_rule, is_first
        ``required``, ``after_first`` or ``ignored``; and whether no retraining has brought a version yet.
    new_rows, trained_rows
        Labelled rows that the live version has not seen, and how many it was trained on.
    """

    owner: str
    live: str
    alert_version: str
    stop_reason: str = ""
    owner_may: bool = True
    severity: str = "critical"
    least_severity: str = "low"
    silenced: bool = False
    training: bool = False
    waiting: bool = False
    hours_since: float | None = None
    cooldown_hours: int = 24
    runs: int = 0
    most_runs: int | None = None
    cpu_minutes: float = 0.0
    most_cpu_minutes: int | None = None
    rows_rule: str = "after_first"
    is_first: bool = True
    new_rows: int = 0
    trained_rows: int = 0

    @property
    def needed_rows(self) -> int:
        """How many new labelled rows are enough: 1,000, or a tenth of the training rows when that is less."""
        return min(LEAST_ROWS, max(round(self.trained_rows * LEAST_SHARE), 1))


@dataclass(frozen=True, slots=True)
class Held:
    """The guard that holds it back, and the sentence that says why."""

    guard: str
    reason: str


Guard = tuple[str, Callable[[Situation], bool], Callable[[Situation], str]]


def _asks_for_rows(seen: Situation) -> bool:
    return seen.rows_rule == "required" or (seen.rows_rule == "after_first" and not seen.is_first)


# In the order they are asked; the first that holds is told.
GUARDS: tuple[Guard, ...] = (
    ("stopped", lambda seen: bool(seen.stop_reason), lambda seen: f"stopped: {seen.stop_reason}"),
    (
        "owner", lambda seen: not seen.owner_may,
        lambda seen: f"{seen.owner} may not run automations any more; configure it again",
    ),
    ("no_version", lambda seen: not seen.live, lambda seen: "the endpoint has no live version"),
    (
        "other_version", lambda seen: seen.live != seen.alert_version,
        lambda seen: f"the alert is about {seen.alert_version or 'no version'}, but {seen.live} is live",
    ),
    ("silenced", lambda seen: seen.silenced, lambda seen: "the alert is silenced"),
    (
        "severity", lambda seen: RANKS.get(seen.severity, 0) > RANKS.get(seen.least_severity, 3),
        lambda seen: f"the alert is {seen.severity}; it starts from {seen.least_severity}",
    ),
    ("active", lambda seen: seen.training, lambda seen: "another retraining of this model is under way"),
    (
        "cooldown", lambda seen: seen.hours_since is not None and seen.hours_since < seen.cooldown_hours,
        lambda seen: f"within the cooldown of {seen.cooldown_hours} h",
    ),
    (
        "waiting", lambda seen: seen.waiting,
        lambda seen: "the request of an earlier retraining waits for a decision",
    ),
    (
        "runs", lambda seen: seen.most_runs is not None and seen.runs >= seen.most_runs,
        lambda seen: f"the budget of {seen.most_runs} retrainings this month is spent",
    ),
    (
        "cpu", lambda seen: seen.most_cpu_minutes is not None and seen.cpu_minutes >= seen.most_cpu_minutes,
        lambda seen: f"{seen.cpu_minutes:.0f} of {seen.most_cpu_minutes} CPU minutes of this month are spent",
    ),
    (
        "rows", lambda seen: _asks_for_rows(seen) and seen.new_rows < seen.needed_rows,
        lambda seen: f"{seen.new_rows:,} new labelled rows, {seen.needed_rows:,} are needed",
    ),
)  # fmt: skip


def first_held(seen: Situation) -> Held | None:
    """Return the first guard that holds a retraining back, or None."""
    return next((Held(code, words(seen)) for code, holds, words in GUARDS if holds(seen)), None)
