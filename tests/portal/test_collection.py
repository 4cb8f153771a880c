"""Files that nothing names are removed after a day, and none that an upload relies on."""

import os
import threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from django.apps import apps
from django.db import connection
from django.utils import timezone

from experiments.models import Artifact
from experiments.services import artifacts
from mlportal import collection
from mlportal.lib import blobs, leftovers
from projects.models import UnnamedFile
from tests.factories.experiments import make_experiment, make_run, writer
from tests.factories.projects import make_project

pytestmark = pytest.mark.django_db
DAY = timedelta(hours=25)


@pytest.fixture(autouse=True)
def own_storage(settings, tmp_path):
    """A storage without the files of other tests."""
    settings.DATA_DIR = tmp_path
    default = settings.STORAGES["default"] | {"OPTIONS": {"location": tmp_path / "blobs"}}
    settings.STORAGES = settings.STORAGES | {"default": default}


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture
def lost(now):
    """An old file that nothing names."""
    return aged(blobs.put_bytes(b"lost"), now)


def aged(blob: blobs.Blob, now) -> blobs.Blob:
    old = (now - DAY).timestamp()
    os.utime(blobs.local_path(blob.sha256), (old, old))
    return blob


def note(now) -> None:
    """A look two days ago, for which everything was old already."""
    for file in list(leftovers.stored()):
        UnnamedFile.objects.create(
            sha256=file.sha256, size_bytes=file.size_bytes, found_at=now - DAY, seen_at=now - DAY
        )


def counts(found: collection.Collected) -> tuple[int, int, int]:
    return found.unnamed.files, found.due.files, found.removed.files


def test_file_goes_at_the_second_look_a_day_later(lost, now):
    assert counts(collection.collect(now=now)) == (1, 0, 0)
    assert counts(collection.collect(now=now + timedelta(hours=23))) == (1, 0, 0)
    assert blobs.exists(lost.sha256)
    last = collection.collect(now=now + DAY)
    assert (counts(last), last.removed.size_bytes) == ((1, 1, 1), 4)
    assert not blobs.exists(lost.sha256)
    assert not UnnamedFile.objects.exists()


def test_dry_run_tells_and_changes_nothing(lost, now):
    note(now)
    found = collection.collect(now=now, dry_run=True)
    assert (counts(found), found.due.size_bytes) == ((1, 1, 0), 4)
    assert blobs.exists(lost.sha256)
    assert UnnamedFile.objects.get().seen_at == now - DAY


def test_file_of_today_is_left_alone(now):
    blob = blobs.put_bytes(b"new")
    note(now)
    assert counts(collection.collect(now=now)) == (0, 0, 0)
    assert blobs.exists(blob.sha256)


def test_named_file_stays_and_its_note_goes(now):
    run = make_run(make_experiment(make_project("churn")))
    for content in (b"artifact", b"twice"):
        artifacts.store(
            writer(run.project), owner=run, path=content.decode(), stream=[content], media_type="text/plain"
        )
    for row in Artifact.objects.all():
        aged(blobs.Blob(row.sha256, row.size_bytes), now)
    note(now)
    assert counts(collection.collect(now=now)) == (0, 0, 0)
    assert not UnnamedFile.objects.exists()
    Artifact.objects.filter(path="twice").delete()
    assert counts(collection.collect(now=now)) == (1, 0, 0)


@pytest.mark.parametrize(("model", "column"), [*collection.COLUMNS, *collection.LISTS])
def test_every_column_that_names_files_is_asked(model, column, lost, now):
    with connection.execute_wrapper(watch := Watch()):
        collection.collect(now=now, dry_run=True)
    table = apps.get_model(model)._meta.db_table
    assert any(f'"{table}"' in text and f'"{column}"' in text for text in watch.texts)


class Watch:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, execute, sql, params, many, context):
        self.texts.append(sql)
        return execute(sql, params, many, context)


def test_upload_that_finds_the_file_stored_keeps_it(lost, now):
    """Its row is not committed yet when the collector looks."""
    note(now)
    assert blobs.put_bytes(b"lost") == lost
    assert counts(collection.collect(now=now)) == (0, 0, 0)
    assert blobs.read_bytes(lost.sha256) == b"lost"


def test_upload_between_the_look_and_the_removal_keeps_the_file(lost, now, monkeypatch):
    note(now)
    remove = leftovers.remove

    def late(sha256: str, *, claimed_before: float) -> bool:
        blobs.put_bytes(b"lost")
        return remove(sha256, claimed_before=claimed_before)

    monkeypatch.setattr(leftovers, "remove", late)
    assert counts(collection.collect(now=now)) == (1, 1, 0)
    assert blobs.read_bytes(lost.sha256) == b"lost"


def test_upload_during_the_removal_waits_and_writes_the_file_again(lost):
    done = threading.Event()

    def upload() -> None:
        blobs.put_bytes(b"lost")
        done.set()

    with blobs.kept(alone=True):
        uploading = threading.Thread(target=upload)
        uploading.start()
        Path(blobs.local_path(lost.sha256)).unlink()
        assert not done.is_set()
    uploading.join()
    assert blobs.read_bytes(lost.sha256) == b"lost"


def test_nothing_is_removed_while_somebody_stores(lost, now, monkeypatch):
    monkeypatch.setattr(collection, "TRIES", 2)
    note(now)
    with blobs.kept():
        assert counts(collection.collect(now=now)) == (1, 1, 0)
    assert counts(collection.collect(now=now)) == (1, 1, 1)


def test_uploads_and_removals_at_once_lose_nothing(lost, now):
    """Removers believe at every moment that nothing names the file; what an upload was told is stored stays so."""
    stop, bound = threading.Event(), (now - timedelta(hours=24)).timestamp()

    def removing() -> None:
        while not stop.is_set():
            with suppress(BlockingIOError):
                leftovers.remove(lost.sha256, claimed_before=bound)

    removers = [threading.Thread(target=removing) for _ in range(2)]
    for thread in removers:
        thread.start()
    try:
        for _ in range(200):
            blobs.put_bytes(b"lost")
            assert blobs.read_bytes(lost.sha256) == b"lost"
            aged(lost, now)
    finally:
        stop.set()
        for thread in removers:
            thread.join()


def test_every_column_called_sha256_is_told_apart():
    """A new column must be put into one of the lists: a file that nothing seems to name is removed."""
    found = {
        (model._meta.label, field.name)
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if "sha256" in field.name
    }
    assert found == {*collection.COLUMNS, *collection.OTHERS}
