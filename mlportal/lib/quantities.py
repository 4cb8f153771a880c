"""Counts, metrics, shares, sizes and stretches of time as people read them."""

import math
from datetime import timedelta

MISSING = "–"
MINUS = "−"


def number_of(value: object) -> float | None:
    """Return a finite number, or None for what is missing, a truth value, or no number."""
    if value is None or isinstance(value, bool) or value == "":
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _sign(text: str) -> str:
    return text.replace("-", MINUS)


def num(value: object) -> str:
    """A count: ``10,214``; from a million on ``4.82 M``; missing is an en dash."""
    number = number_of(value)
    if number is None:
        return MISSING
    for size, unit in ((1e9, "G"), (1e6, "M")):
        if abs(number) >= size:
            return _sign(f"{number / size:,.2f} {unit}")
    return _sign(f"{number:,.0f}" if number == int(number) else f"{number:,.2f}")


def metric(value: object) -> str:
    """A metric value with four decimals, or four significant digits when it is large or tiny.

    What is no number is named: ``NaN``, ``∞``, ``−∞``; only what is missing is an en dash.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else f"{MINUS}∞"
    number = number_of(value)
    if number is None:
        return MISSING
    if number == 0 or 0.0001 <= abs(number) < 1000:
        return _sign(f"{number:.4f}")
    return _sign(f"{number:,.4g}" if abs(number) < 0.0001 or abs(number) >= 1e7 else f"{number:,.1f}")


def percent(value: object, digits: int = 0) -> str:
    """A share from 0 to 1 as ``62%``."""
    number = number_of(value)
    return MISSING if number is None else _sign(f"{number * 100:.{digits}f}%")


def signed(value: object) -> str:
    """A difference with its sign: ``+0.0081``, ``−0.0040``."""
    number = number_of(value)
    if number is None:
        return MISSING
    return ("+" if number > 0 else "") + metric(number)


def filesize(value: object) -> str:
    """Bytes as ``12 B``, ``3.4 KB``, ``1.2 GB`` (steps of 1,000)."""
    number = number_of(value)
    if number is None:
        return MISSING
    for unit in ("B", "KB", "MB", "GB"):
        if abs(number) < 1000:
            return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def duration(value: object) -> str:
    """Seconds or a timedelta as ``71 ms``, ``4.2 s``, ``9:30`` or ``2:05:10``."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else number_of(value)
    if seconds is None:
        return MISSING
    if seconds < 0.9995:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def span(seconds: float, *, ahead: bool = False) -> str:
    """A stretch of time: what is past in whole units, what is ahead to the nearest one."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{round(seconds / size) if ahead else int(seconds // size)} {unit}"
    return ""
