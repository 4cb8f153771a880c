"""Values that the settings of an endpoint may have: what the log keeps, and how many requests are taken."""

from typing import Any

from deployments.models import Endpoint
from mlportal.lib.errors import Invalid

LIMITS = frozenset({"requests_per_minute", "caller_requests_per_minute"})
MOST_A_MINUTE = 10_000_000
MOST_COLUMNS = 1_000
MAX_NAME = 500
_CHOICES = {
    "log_mode": Endpoint.LogMode.values,
    "logging": Endpoint.Logging.values,
    "on_log_failure": Endpoint.OnLogFailure.values,
}


def checked(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the settings to change, each with a value of its field.

    Raises
    ------
    Invalid
        Naming the field, what came and what is allowed.
    """
    for name in wanted:
        if name not in {*_CHOICES, *LIMITS, "sample_share", "masked_columns"}:
            raise Invalid(f"There is no setting {name!r}.", field=name)
    return {name: _value(name, value) for name, value in wanted.items() if value is not None}


def changed(endpoint: Endpoint, values: dict[str, Any]) -> dict[str, list[Any]]:
    """Return what differs, as before and after."""
    now = {name: getattr(endpoint, name) for name in values}
    return {name: [now[name], value] for name, value in values.items() if now[name] != value}


def _value(name: str, value: Any) -> Any:
    if name in _CHOICES:
        return _choice(name, value)
    if name in LIMITS:
        if type(value) is not int or not 0 <= value <= MOST_A_MINUTE:
            raise Invalid(
                f"{name} must be 0, for no limit, to {MOST_A_MINUTE:,}.", field=name, limit=MOST_A_MINUTE,
                got=str(value)[:50],
            )  # fmt: skip
        return value
    return _share(value) if name == "sample_share" else _columns(value)


def _choice(name: str, value: Any) -> str:
    if value not in _CHOICES[name]:
        raise Invalid(
            f"{name} must be one of {', '.join(_CHOICES[name])}.", field=name, limit=_CHOICES[name],
            got=str(value)[:50],
        )  # fmt: skip
    return str(value)


def _share(value: Any) -> float:
    if type(value) not in (int, float) or not 0 < value <= 1:
        raise Invalid("sample_share must be over 0 and at most 1.", field="sample_share", limit=1, got=str(value)[:50])
    return float(value)


def _columns(value: Any) -> list[str]:
    plain = isinstance(value, list) and len(value) <= MOST_COLUMNS
    if not plain or not all(isinstance(name, str) and 0 < len(name) <= MAX_NAME for name in value):
        raise Invalid(f"masked_columns must be a list of at most {MOST_COLUMNS} names.", field="masked_columns")
    return sorted(set(value))
