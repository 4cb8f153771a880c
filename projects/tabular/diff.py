"""What changed between two versions of a dataset, in words first, from their stored profiles alone."""

from dataclasses import dataclass, field

from . import distance
from .distance import Distance, Facts, number

SHIFT, MISSING_POINTS = 0.1, 0.05
NOTABLE, LARGE = 0.1, 0.2  # of PSI: the usual bounds, also those of monitoring
ALIKE, MOST_GUESSED = 0.9, 100
WORST = 1e9
DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class Change:
    """One change.

    Parameters
    ----------
    kind : str
        ``bad`` and ``warn`` for what may hurt a model, ``ok`` for reassurance, ``info`` for the rest.
    what, detail : str
        A short sentence and its numbers.
    size : float
        How much, to sort by.
    """

    kind: str
    what: str
    detail: str = ""
    size: float = 0.0


@dataclass(frozen=True)
class ColumnChange:
    """One column in both versions, or in one of them.

    Parameters
    ----------
    name : str
        The column.
    status : str
        ``same``, ``changed``, ``added``, ``removed``, ``retyped`` or ``renamed``.
    kinds : tuple of str
        Kind before and after, empty where it is not there.
    nulls : tuple of float or None
        Share of missing values before and after.
    distance : Distance or None
        How far the values lie apart.
    new, gone : tuple of str
        Values that came and went; only where both profiles list all of them.
    renamed_from : str
        The column it seems to have been.
    words : tuple of Change
        What is worth saying about it.
    """

    name: str
    status: str
    kinds: tuple[str, str]
    nulls: tuple[float | None, float | None]
    distance: Distance | None = None
    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    renamed_from: str = ""
    words: tuple[Change, ...] = field(default=())

    @property
    def size(self) -> float:
        """Size of the change, to sort by: schema first, then PSI of values or of missing values."""
        if self.status in ("added", "removed", "retyped", "renamed"):
            return WORST
        before, after = ((share or 0.0) for share in self.nulls)
        missing = distance.psi((before, 1 - before), (after, 1 - after))
        return max(missing, self.distance.psi if self.distance else 0.0)

    @property
    def before_name(self) -> str:
        """What it was called in the earlier version."""
        return self.renamed_from or self.name


@dataclass(frozen=True)
class Difference:
    """Everything that differs, columns by size of change."""

    rows: tuple[int, int]
    columns: tuple[ColumnChange, ...]
    changes: tuple[Change, ...]

    def named(self, status: str) -> list[ColumnChange]:
        """Columns of one status."""
        return [column for column in self.columns if column.status == status]

    @property
    def headline(self) -> str:
        """One sentence: the schema, the rows, the worst move of a column."""
        parts = [
            f"{_counted(len(self.named(status)), 'column')} {word}"
            for status, word in (
                ("added", "added"), ("removed", "removed"), ("retyped", "changed type"), ("renamed", "renamed"),
            )
            if self.named(status)
        ]  # fmt: skip
        before, after = self.rows
        if before != after:
            parts.append(
                f"{abs(after - before):,} {'more' if after > before else 'fewer'} {_rows(abs(after - before))}"
            )
        moved = [change for column in self.columns for change in column.words if change.kind in ("bad", "warn")]
        if moved:
            most = max(moved, key=lambda change: (change.kind == "bad", change.size))
            parts.append(most.what + (f" ({most.detail})" if most.detail else ""))
        return ", ".join(parts) or "Nothing notable changed"


def compare(before: Facts, after: Facts) -> Difference:
    """Compare two profiles.

    Parameters
    ----------
    before, after : dict
        ``rows``, ``schema`` (list of fields) and ``columns`` (profile by name) of each version.

    Returns
    -------
    Difference
        Columns sorted by size of change, then by their place in the later version.
    """
    old, new = _kinds(before), _kinds(after)
    renamed = _renamed(before, after)
    columns = [_column(name, renamed.get(name, name), before, after) for name in new]
    lost = [name for name in old if name not in new and name not in renamed.values()]
    columns += [ColumnChange(name, "removed", (old[name], ""), (_nulls(before, name), None)) for name in lost]
    columns.sort(key=lambda column: -column.size)
    found = [*_schema(columns), *(change for column in columns for change in column.words)]
    if not any(column.status not in ("same", "changed") for column in columns):
        found.append(Change("ok", "Schema unchanged", f"{len(new):,} columns, same types"))
    found.append(_row_change(before["rows"], after["rows"]))
    order = {"bad": 0, "warn": 1, "info": 2, "ok": 3}
    found.sort(key=lambda change: (order[change.kind], -change.size))
    return Difference((before["rows"], after["rows"]), tuple(columns), tuple(found))


def _kinds(side: Facts) -> dict[str, str]:
    return {entry["name"]: entry["kind"] for entry in side["schema"]}


@dataclass(frozen=True)
class _Both:
    """One column of the same kind in both versions."""

    name: str
    kind: str
    then: Facts
    now: Facts
    rows: tuple[int, int]

    @property
    def nulls(self) -> tuple[float, float]:
        return self.then["nulls"] / max(1, self.rows[0]), self.now["nulls"] / max(1, self.rows[1])

    @property
    def apart(self) -> Distance | None:
        return distance.between(self.kind, self.then, self.now, self.rows)


def _column(name: str, earlier: str, before: Facts, after: Facts) -> ColumnChange:
    """``earlier`` is what the column was called before; a column that is new was called nothing."""
    kinds = (_kinds(before).get(earlier, ""), _kinds(after)[name])
    if not kinds[0]:
        return ColumnChange(name, "added", kinds, (None, _nulls(after, name)))
    if kinds[0] != kinds[1]:
        return ColumnChange(name, "retyped", kinds, (_nulls(before, earlier), _nulls(after, name)))
    rows = (before["rows"], after["rows"])
    both = _Both(name, kinds[0], before["columns"][earlier], after["columns"][name], rows)
    apart = both.apart
    came, went = _values(both)
    words = (*_missing(both), *_moved(both, apart, came, went))
    status = "renamed" if earlier != name else "changed" if words else "same"
    renamed_from = earlier if earlier != name else ""
    return ColumnChange(name, status, kinds, both.nulls, apart, tuple(came), tuple(went), renamed_from, words)


def _nulls(side: Facts, name: str) -> float:
    return float(side["columns"][name]["nulls"] / max(1, side["rows"]))


# ---------------------------------------------------------------- schema and rows


def _schema(columns: list[ColumnChange]) -> list[Change]:
    found = []
    for column in columns:
        before, after = column.kinds
        match column.status:
            case "removed":
                found.append(Change("warn", f"{column.name} is gone", f"was {before}", WORST))
            case "added":
                found.append(Change("info", f"{column.name} is new", after, WORST))
            case "retyped":
                found.append(Change("warn", f"{column.name} changed its type", f"{before} to {after}", WORST))
            case "renamed":
                what = f"{column.renamed_from} seems to be called {column.name} now"
                found.append(Change("warn", what, f"same type and alike content ({before})", WORST))
    return found


def _renamed(before: Facts, after: Facts) -> dict[str, str]:
    """Guess new names by content: later name -> earlier name, the most alike first, each used once."""
    old, new = _kinds(before), _kinds(after)
    gone = [name for name in old if name not in new][:MOST_GUESSED]
    came = [name for name in new if name not in old][:MOST_GUESSED]
    rows = (before["rows"], after["rows"])
    pairs = [
        (_likeness(_Both(later, new[later], before["columns"][name], after["columns"][later], rows)), name, later)
        for name in gone
        for later in came
        if old[name] == new[later]
    ]
    found: dict[str, str] = {}
    for likeness, name, later in sorted(pairs, key=lambda pair: -pair[0]):
        if likeness >= ALIKE and later not in found and name not in found.values():
            found[later] = name
    return found


def _likeness(both: _Both) -> float:
    """How alike two columns are, 0 to 1: their values, and how many are missing and different."""
    missing = 1 - abs(both.nulls[0] - both.nulls[1])
    shares = [
        facts["distinct"] / max(1, count - facts["nulls"])
        for facts, count in zip((both.then, both.now), both.rows, strict=True)
    ]
    same = missing * (1 - abs(shares[0] - shares[1]))
    if (apart := both.apart) is not None:
        return same * (1 - apart.js) if _overlap(apart) else 0.0
    lengths = [float(facts.get("mean_length") or 0.0) for facts in (both.then, both.now)]
    return same * min(lengths) / max(lengths) if all(lengths) else 0.0


def _overlap(apart: Distance) -> bool:
    """Whether named values meet; two columns of other values alone say nothing."""
    bins = zip(apart.labels, apart.before, apart.after, strict=True)
    return any(label != distance.OTHER and old > 0 and new > 0 for label, old, new in bins)


def _row_change(before: int, after: int) -> Change:
    if before == after:
        return Change("ok", "Same number of rows", f"{after:,} rows")
    word, count = ("more" if after > before else "fewer"), abs(after - before)
    share = count / max(1, before)
    return Change("info", f"{count:,} {word} {_rows(count)}", f"{before:,} to {after:,} ({share:.1%})", share)


# ---------------------------------------------------------------- values


def _missing(both: _Both) -> list[Change]:
    before, after = both.nulls
    if abs(after - before) < MISSING_POINTS:
        return []
    word = "more" if after > before else "fewer"
    size = distance.psi((before, 1 - before), (after, 1 - after))
    return [Change("warn", f"{both.name} has {word} missing values", f"{before:.1%} to {after:.1%}", size)]


def _values(both: _Both) -> tuple[list[str], list[str]]:
    """Values that came and that went, where the other profile lists all of its values."""
    then, now = both.then, both.now
    if both.kind not in distance.LEVELS or not (then["top"] and now["top"]):
        return [], []
    old, new = ([str(entry["value"]) for entry in facts["top"]] for facts in (then, now))
    came = [value for value in new if value not in old] if len(old) == then["distinct"] else []
    went = [value for value in old if value not in new] if len(new) == now["distinct"] else []
    return came, went


def _moved(both: _Both, apart: Distance | None, came: list[str], went: list[str]) -> list[Change]:
    size = apart.psi if apart else 0.0
    level = "bad" if size >= LARGE else "warn"
    told = f"PSI {size:.2f}" if apart else ""
    found = [Change(level, *_new_value(both, value, told), size) for value in came]
    found += [Change("info", f"{both.name} has lost the value “{value}”", told, size) for value in went]
    if shift := _shift(both):
        found.append(Change(level, shift[0], ", ".join(part for part in (shift[1], told) if part), size))
    elif size >= NOTABLE and not found:
        found.append(Change(level, f"{both.name} is spread differently", told, size))
    return found


def _new_value(both: _Both, value: str, told: str) -> tuple[str, str]:
    count = next(entry["count"] for entry in both.now["top"] if str(entry["value"]) == value)
    share = count / max(1, both.rows[1])
    words = f"{count:,} {_rows(count)}, {share:.1%}"
    return f"{both.name} has a new value “{value}”", f"{words}, {told}" if told else words


def _shift(both: _Both) -> tuple[str, str] | None:
    """Words for a mean that moved by a tenth of the earlier spread or more."""
    then, now = both.then, both.now
    if then["mean"] is None or now["mean"] is None or not then["std"] or both.kind not in distance.NUMBERS:
        return None
    moved = number(now["mean"]) - number(then["mean"])
    if abs(moved) < SHIFT * then["std"]:
        return None
    if both.kind == "datetime":
        word = "later" if moved > 0 else "earlier"
        what = f"{both.name} moved {word} by {abs(moved) / DAY_SECONDS:,.1f} days"
        return what, f"mean {then['mean'][:10]} to {now['mean'][:10]}"
    word = "up" if moved > 0 else "down"
    return f"{both.name} shifted {word} by {abs(moved):,.4g}", f"mean {then['mean']:.4g} to {now['mean']:.4g}"


def _rows(count: int) -> str:
    return "row" if count == 1 else "rows"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
