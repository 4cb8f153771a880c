"""Imports from S3: a store that speaks its protocol and checks signatures, reached through the guarded door."""

import json

import pytest

from mlportal.lib.errors import Invalid
from projects.models import Connection, DatasetImport, DatasetVersion, Event
from projects.services import connections, imports
from tests.factories.datasets import CHURN
from tests.own_s3 import REGION, Store, store
from tests.projects.importing import run

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
MORE = CHURN + b"c-4,plus,50,1,2024-04-01,true\n"


@pytest.fixture(scope="module")
def lake():
    with store() as running:
        running.client().create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": REGION})
        yield running


def put(lake: Store, key: str, content: bytes = CHURN) -> None:
    lake.client().put_object(Bucket="lake", Key=key, Body=content)


def connect(by, lab, lake: Store, *, secret: str = "") -> Connection:
    return connections.create(by, project=lab, name="lake", kind="s3", facts=lake.facts, secret=secret or lake.secret)


def fetch(by, lab, key: str, *, bucket: str = "lake") -> DatasetImport:
    spec = {"bucket": bucket, "key": key}
    return run(imports.start(by, project=lab, name="churn", kind="s3", spec=spec, connection="lake"))


def test_an_object_becomes_a_version_and_refresh_asks_by_etag(scientist, lab_admin, lab, allowed, lake):
    put(lake, "exports/churn.csv")
    connect(lab_admin, lab, lake)
    found = fetch(scientist, lab, "exports/churn.csv")
    assert (found.outcome, found.fetched_bytes, found.version.row_count) == ("created", len(CHURN), 3)
    assert (found.version.source_kind, found.version.source["connection"]) == ("s3", "lake")
    assert found.version.source["etag"]
    again = run(imports.refresh(scientist, version=found.version))
    assert (again.outcome, again.fetched_bytes) == ("unchanged", 0)
    put(lake, "exports/churn.csv", MORE)
    following = run(imports.refresh(scientist, version=found.version)).version
    assert (following.number, following.row_count) == (2, 4)


def test_any_name_of_an_object_is_signed_right(scientist, lab_admin, lab, allowed, lake):
    connect(lab_admin, lab, lake)
    keys = ["año 1+2/churn (neu)~x.csv", "a//b.csv", "p%20q&r=s.csv"]
    for at, key in enumerate(keys):
        put(lake, key, CHURN + b"c-%d,plus,50,1,2024-04-01,true\n" % at)
        assert fetch(scientist, lab, key).outcome == "created"
    assert DatasetVersion.objects.count() == len(keys)


def test_what_the_store_refuses_is_told_and_makes_no_version(scientist, lab_admin, lab, allowed, lake):
    put(lake, "there.csv")
    connection = connect(lab_admin, lab, lake)
    refusals = [fetch(scientist, lab, "nowhere.csv"), fetch(scientist, lab, "there.csv", bucket="no-such-bucket")]
    connections.update(lab_admin, connection=connection, facts=lake.facts, secret="not the secret")
    refusals.append(fetch(scientist, lab, "there.csv"))
    assert [(found.state, found.version) for found in refusals] == [("failed", None)] * 3
    for found, words in zip(refusals, ["404", "404", "403"], strict=True):
        assert words in found.failure
        assert lake.secret not in found.failure


def test_a_store_inside_is_refused_by_the_door_when_it_is_named_and_when_it_is_asked(
    scientist, lab_admin, lab, settings, lake
):
    with pytest.raises(Invalid) as caught:
        connect(lab_admin, lab, lake)
    assert caught.value.field == "endpoint"
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]
    connect(lab_admin, lab, lake)
    put(lake, "there.csv")
    settings.OUTBOUND_ALLOW = []  # the operator took it back
    found = fetch(scientist, lab, "there.csv")
    assert (found.state, found.version) == ("failed", None)
    assert "allowed are 80, 443" in found.failure


def test_the_secret_stays_sealed(scientist, lab_admin, lab, allowed, lake):
    put(lake, "there.csv")
    connect(lab_admin, lab, lake)
    fetch(scientist, lab, "there.csv")
    rows = [list(model.objects.values()) for model in (Event, DatasetImport, Connection, DatasetVersion)]
    assert lake.secret not in json.dumps(rows, default=str)
