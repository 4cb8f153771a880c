"""Metrics as columns are the sequence of tuples that they were made of."""

import pytest

from experiments.metricstore.limits import Batch

ROWS = [("loss", 0.5, 3, 1), ("auc", float("inf"), 4, 2), ("loss", 1, 5, 3)]


def test_columns_read_as_the_rows_they_came_from():
    batch = Batch.of(ROWS)
    assert (batch.names, batch.steps) == (("loss", "auc", "loss"), (1, 2, 3))
    assert [*batch] == ROWS
    assert (len(batch), batch[-1], [*batch[1:]]) == (3, ROWS[-1], ROWS[1:])
    assert Batch.of(batch) is batch


def test_no_rows_are_an_empty_batch():
    assert not Batch.of([])
    assert [*Batch.of([])] == []


def test_rows_of_different_lengths_are_refused():
    with pytest.raises((ValueError, TypeError)):
        Batch.of([("loss", 0.5, 3, 1), ("auc", 0.5)])
