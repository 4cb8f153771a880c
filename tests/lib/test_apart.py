"""What one of many cannot bear keeps nobody else from being served."""

import pytest
from django.db import OperationalError

from mlportal.lib import apart
from mlportal.lib.errors import Conflict


def raising(error: Exception):
    def act() -> int:
        raise error

    return act


def test_one_that_breaks_or_is_refused_counts_as_nothing_and_is_told(caplog):
    acts = [raising(KeyError("requests")), raising(Conflict("Busy.")), lambda: 2]
    assert sum(apart.do(act, what="thing", row=number) for number, act in enumerate(acts)) == 2
    told = [(record.levelname, record.msg["what"], record.msg["row"]) for record in caplog.records]
    assert told == [("ERROR", "thing", 0), ("WARNING", "thing", 1)]


def test_a_database_that_is_away_is_no_fault_of_a_row():
    with pytest.raises(OperationalError):
        apart.do(raising(OperationalError("gone")), what="thing", row=1)
