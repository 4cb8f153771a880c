"""A log of four entries, its second place for anchors, and somebody who can write past its triggers."""

import importlib
from dataclasses import replace
from pathlib import Path

import pytest
from django.db import connection

from projects.models import Event, User
from projects.services import anchors, members
from tests.factories.projects import actor, make_user

append_only = importlib.import_module("projects.migrations.0002_append_only_events")


@pytest.fixture
def root(churn):
    return actor(User.objects.get(username="root"))


@pytest.fixture
def log(churn, ana):
    """Four entries."""
    for number in range(4):
        user = make_user(f"user{number}")
        members.add(replace(actor(ana), address="10.0.0.7"), project=churn, user=user, role="viewer")
    return list(Event.objects.order_by("seq"))


@pytest.fixture
def intruder(log):
    """Somebody who can take the triggers away."""
    connection.check_constraints()  # PostgreSQL drops no trigger while checks are pending
    append_only.remove(None, connection.schema_editor())


@pytest.fixture
def second_place(settings, tmp_path):
    settings.AUDIT_ANCHOR_FILE = str(tmp_path / "elsewhere" / "audit.jsonl")
    return Path(settings.AUDIT_ANCHOR_FILE)


@pytest.fixture
def anchored(log, second_place):
    anchors.drop(cause="hour")
    return second_place
