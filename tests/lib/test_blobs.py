import errno
import hashlib
import io
import os
import time
import tracemalloc

import pytest
from django.core.files.storage import default_storage

from mlportal.lib import blobs, leftovers
from mlportal.lib.errors import Missing, StorageFull, TooLarge


def folder_of_parts(settings):
    return settings.DATA_DIR / "blobs" / "incoming"


def test_put_files_content_under_its_sha256():
    content = b"a,b\n1,2\n"
    blob = blobs.put(io.BytesIO(content), limit_bytes=100)
    assert blob == blobs.Blob(sha256=hashlib.sha256(content).hexdigest(), size_bytes=8)
    assert blobs.read_bytes(blob.sha256) == content
    assert blobs.exists(blob.sha256)


def test_put_over_the_limit_keeps_nothing(settings):
    with pytest.raises(TooLarge) as caught:
        blobs.put([b"x" * 60, b"y" * 60], limit_bytes=100, field="upload")
    assert (caught.value.field, caught.value.limit) == ("upload", 100)
    assert list(folder_of_parts(settings).iterdir()) == []


def test_put_streams_with_bounded_memory():
    tracemalloc.start()
    blobs.put((b"z" * 2**20 for _ in range(64)), limit_bytes=2**30)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 2**20


def test_put_on_a_full_disk_says_so_and_keeps_nothing(settings):
    class Full(io.BytesIO):
        def read(self, size=-1):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        blobs.put(Full(b"x"), limit_bytes=10)
    assert list(folder_of_parts(settings).iterdir()) == []


def test_room_turns_enospc_into_storage_full():
    with pytest.raises(StorageFull), blobs._room():
        raise OSError(errno.ENOSPC, "No space left on device")


def test_verify_finds_a_flipped_bit():
    blob = blobs.put_bytes(b"model bytes")
    path = blobs.local_path(blob.sha256)
    blobs.verify(blob.sha256)
    path.chmod(0o640)
    path.write_bytes(b"model bytez")
    with pytest.raises(blobs.BlobCorrupt):
        blobs.verify(blob.sha256)
    path.unlink()


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "/etc/passwd", "0" * 63])
def test_a_name_that_is_no_digest_reaches_no_file(name):
    with pytest.raises(Missing):
        blobs.open_blob(name)


def test_a_missing_blob_is_missing():
    with pytest.raises(Missing):
        blobs.open_blob("0" * 64)
    assert not default_storage.exists("00/00/" + "0" * 64)


def test_parts_of_killed_uploads_are_swept_and_young_ones_stay(settings):
    kept = blobs.put_bytes(b"whole")
    folder = folder_of_parts(settings)
    old, young = folder / "part-old", folder / "part-young"
    for path in (old, young):
        path.write_bytes(b"half")
    long_ago = time.time() - 3 * 86_400
    os.utime(old, (long_ago, long_ago))
    os.utime(blobs.local_path(kept.sha256), (long_ago, long_ago))
    assert leftovers.sweep_parts() == 1
    assert (old.exists(), young.exists(), blobs.exists(kept.sha256)) == (False, True, True)
    young.unlink()


def test_the_same_content_again_is_checked_by_its_size():
    blob = blobs.put_bytes(b"some content")
    path = blobs.local_path(blob.sha256)
    path.chmod(0o640)
    path.write_bytes(b"cut")
    assert blobs.put_bytes(b"some content") == blob
    assert blobs.read_bytes(blob.sha256) == b"some content"
