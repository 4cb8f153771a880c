"""A disk is full when nothing is left for us, whatever else lies free on it."""

import os

import pytest

from mlportal.lib import disks


def test_what_is_kept_from_us_is_not_counted_as_free(tmp_path):
    assert (disks.Room(90, 0).share, disks.Room(90, 10).share, disks.Room(0, 0).share) == (1.0, 0.9, 1.0)
    told, found = os.statvfs(tmp_path), disks.room(tmp_path)
    taken = told.f_blocks - told.f_bfree
    assert found.share == pytest.approx(taken / (taken + told.f_bavail), rel=0.05)
    assert found.total == pytest.approx((taken + told.f_bavail) * told.f_frsize, rel=0.05)
