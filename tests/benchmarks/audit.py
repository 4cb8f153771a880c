"""The audit log at size: how long a check takes, and what an entry costs the request that causes it.

Run it on a quiet machine: ``scripts/test --sqlite tests/benchmarks/audit.py -s`` (or ``--postgres``). Prints each
number and its ratio to the bar of the reliability paper: 100,000 entries in 30 s, 20 % a request.
"""

import resource
import statistics
import time

import pytest
from django.db import connection, transaction

from projects.models import ChainHead, Event
from projects.services import events, members, verification
from tests.factories.projects import actor, make_project, make_user

ENTRIES, LIMIT_SECONDS, LIMIT_SHARE = 100_000, 30.0, 0.20


def filled(count: int) -> None:
    """Entries in one transaction, made as the service makes them."""
    project, by = make_project(), actor(make_user())
    with transaction.atomic():
        for number in range(count):
            data = {"n": number, "metric": 0.5, "note": "a fact of ordinary length, as services write them"}
            events.record(by, "thing.done", project=project, data=data, reason="because")


@pytest.mark.django_db(transaction=True)
def test_a_check_of_100_000_entries():
    began = time.perf_counter()
    filled(ENTRIES)
    print(f"\n{connection.vendor}: {ENTRIES:,} entries written in {time.perf_counter() - began:.1f} s")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    verdict = verification.verify()
    took = time.perf_counter() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(
        f"checked in {took:.1f} s = {took / LIMIT_SECONDS:.2f} of the limit of {LIMIT_SECONDS:.0f} s; +{grown:.0f} MB"
    )
    assert (verdict.code, verdict.checked) == (verification.INTACT, ENTRIES)
    assert took <= LIMIT_SECONDS
    assert grown < 64


@pytest.mark.django_db(transaction=True)
def test_what_an_entry_costs_the_request_that_causes_it(client, monkeypatch):
    """A page request that gives a person a role, with and without its entry, taken in turns."""
    project = make_project()
    ana = make_user("ana", role="admin", project=project)
    client.force_login(ana)
    people = [make_user(f"p{number}") for number in range(240)]
    original, spent = events.record, {True: [], False: []}

    def none(*_: object, **__: object) -> Event:
        return Event()

    for number, person in enumerate(people):
        logged = number % 2 == 0
        monkeypatch.setattr(members.events, "record", original if logged else none)
        began = time.process_time()
        wall = time.perf_counter()
        client.post(f"/p/{project.slug}/settings/members/", {"user": person.username, "role": "viewer"})
        spent[logged].append((time.perf_counter() - wall, time.process_time() - began))
    with_entry, without = (statistics.median(wall for wall, _ in spent[kind][20:]) for kind in (True, False))
    share = with_entry / without - 1
    print(
        f"\n{connection.vendor}: {without * 1e3:.2f} ms without, {with_entry * 1e3:.2f} ms with the entry: {share:+.1%}"
    )
    print(f"{share / LIMIT_SHARE:.2f} of the limit of {LIMIT_SHARE:.0%}")
    assert ChainHead.objects.get().seq == len(people) // 2
    assert share <= LIMIT_SHARE
