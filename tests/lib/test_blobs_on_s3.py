"""Files on S3: stored once, read back, copied once to this machine, told when damaged, collected."""

import time
from contextlib import suppress

import pytest
from django.core.files.storage import storages

from mlportal.lib import blobs, leftovers
from mlportal.lib.errors import Missing, TooLarge
from projects import pipeline
from tests.factories.datasets import CHURN, upload
from tests.factories.projects import make_project
from tests.own_s3 import REGION, Store, store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running():
    with store() as made:
        yield made


@pytest.fixture
def bucket(running: Store, settings, tmp_path):
    """The default storage of the portal, in a bucket of its own; copies lie in a folder of the test."""
    client, name = running.client(), f"files-{time.monotonic_ns()}"
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    settings.DATA_DIR = tmp_path
    settings.STORAGES = settings.STORAGES | {
        "default": {
            "BACKEND": "storages.backends.s3.S3Storage",
            "OPTIONS": {
                "bucket_name": name, "endpoint_url": running.endpoint, "default_acl": None, "file_overwrite": True,
                "access_key": running.access_key, "secret_key": running.secret, "region_name": REGION,
            },
        }
    }  # fmt: skip
    yield client, name
    with suppress(AttributeError):
        storages["default"].connection.meta.client.close()
    client.close()


def listed(bucket) -> dict[str, int]:
    client, name = bucket
    return {item["Key"]: item["Size"] for item in client.list_objects_v2(Bucket=name).get("Contents", [])}


def test_a_content_is_stored_once_under_its_digest_and_read_back(bucket):
    first = blobs.put([b"some ", b"bytes"], limit_bytes=100)
    assert blobs.put_bytes(b"some bytes") == first
    assert listed(bucket) == {blobs.place(first.sha256): 10}
    assert blobs.exists(first.sha256)
    assert blobs.read_bytes(first.sha256) == b"some bytes"
    assert blobs.at_hand(first.sha256) is None
    with pytest.raises(TooLarge):
        blobs.put([b"too ", b"much"], limit_bytes=5)
    assert len(listed(bucket)) == 1


def test_a_copy_on_this_machine_is_fetched_once(bucket):
    blob = blobs.put_bytes(b"kept near")
    path = blobs.local_path(blob.sha256)
    assert path.read_bytes() == b"kept near"
    client, name = bucket
    client.delete_object(Bucket=name, Key=blobs.place(blob.sha256))
    assert blobs.local_path(blob.sha256) == path
    for read in (blobs.open_blob, blobs.verify):
        with pytest.raises(Missing):
            read(blob.sha256)


def test_damage_is_noticed(bucket):
    blob = blobs.put_bytes(b"as it was")
    blobs.verify(blob.sha256)
    client, name = bucket
    client.put_object(Bucket=name, Key=blobs.place(blob.sha256), Body=b"as it is!")
    with pytest.raises(blobs.BlobCorrupt):
        blobs.verify(blob.sha256)


def test_what_nothing_names_is_listed_and_removed_unless_it_was_claimed_since(bucket):
    blob = blobs.put_bytes(b"left over")
    [found] = leftovers.stored()
    assert (found.sha256, found.size_bytes) == (blob.sha256, 9)
    assert leftovers.remove(blob.sha256, claimed_before=found.claimed_at) is False
    assert leftovers.remove(blob.sha256, claimed_before=time.time() + 60) is True
    assert listed(bucket) == {}


@pytest.mark.django_db
def test_a_dataset_is_uploaded_and_profiled_on_s3(bucket):
    version = upload(make_project())
    assert pipeline.profile_version(version.pk, worker="test") == "succeeded"
    version.refresh_from_db()
    assert set(listed(bucket)) == {blobs.place(version.sha256), blobs.place(version.parquet_sha256)}
    assert (blobs.read_bytes(version.sha256), version.row_count) == (CHURN, 3)
