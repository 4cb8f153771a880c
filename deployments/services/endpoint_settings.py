"""Values that the settings of an endpoint may have: what the log keeps, and how many requests are taken."""

from typing import Any

from deployments.models import Endpoint
from mlportal.lib.errors import Invalid

MOST_A_MINUTE = 10_000_000
MOST_DAYS = 36_500
# Numbers that change nothing an approver was shown; 0 is no limit, or what the installation says.
LIMITS = {"requests_per_minute": MOST_A_MINUTE, "caller_requests_per_minute": MOST_A_MINUTE, "log_days": MOST_DAYS}
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
        most = LIMITS[name]
        if type(value) is not int or not 0 <= value <= most:
            raise Invalid(
                f"{name} must be 0, for no limit of its own, to {most:,}.", field=name, limit=most, got=str(value)[:50]
            )
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
