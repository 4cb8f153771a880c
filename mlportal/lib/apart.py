"""Do many things one by one, so that what one of them cannot bear does not keep the others from being done."""

from collections.abc import Callable

import structlog
from django.db import InterfaceError, OperationalError

from mlportal.lib.errors import DomainError

log = structlog.get_logger(__name__)


def do(act: Callable[[], int], *, what: str, row: int) -> int:
    """Do one of many things.

    Parameters
    ----------
    act
        Holds a transaction of its own, so nothing half done stays; gives how much it did.
    what, row
        For the log: which kind of thing, and its number.

    Returns
    -------
    int
        What ``act`` gave; 0 when it failed, which the log tells. A database that is away is no fault of the row and is
        raised: the others would fare no better.
    """
    try:
        return act()
    except DomainError as error:
        log.warning("one of many was refused", what=what, row=row, error=error.message)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("one of many broke, the others go on", what=what, row=row)
    return 0
