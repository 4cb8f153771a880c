"""Addresses of files that clients keep elsewhere: texts that nobody here opens, but other clients will."""

from __future__ import annotations

from urllib.parse import urlsplit

from mlportal.lib.errors import Invalid

# Under these a client of MLflow sends the credentials of its tracking server to whatever host is named.
_SEND_CREDENTIALS = ("http", "https", "mlflow-artifacts")


def check_host(address: str, field: str) -> None:
    """Refuse an address at which clients would show their token to a host of somebody's choice.

    Raises
    ------
    Invalid
    """
    try:
        parts = urlsplit(address)
    except ValueError as fault:
        raise Invalid(f"{field} {address[:200]!r} is no address.", field=field) from fault
    if parts.scheme.lower() in _SEND_CREDENTIALS and parts.netloc:
        raise Invalid(
            f"{field} cannot use the {parts.scheme!r} scheme: clients would show their token to {parts.netloc[:99]!r}.",
            field=field,
        )


def check_root(address: str, field: str) -> None:
    """Refuse an address below which no paths can be appended, and one of `check_host`.

    Raises
    ------
    Invalid
    """
    check_host(address, field)
    parts = urlsplit(address)
    if parts.fragment or ";" in parts.path:
        raise Invalid(f"{field} {address[:200]!r} can't include fragments or params.", field=field)
