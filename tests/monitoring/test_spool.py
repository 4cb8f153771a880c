"""Segments survive whatever happens to their writer."""

import resource
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring import spool

HEADER = {"kind": "header", "source": 7, "endpoint": "churn-production"}


def record(number, source=7):
    return {"kind": "prediction", "source": source, "n": number}


def numbers(folder):
    found = []
    for path in spool.closed_segments(folder):
        found += [entry["n"] for entry in spool.read(path).records]
    return found


def test_line_has_checksum_and_json():
    # zlib.crc32(b'{"n":1}') == 0x1DF91A65
    assert spool.encode({"n": 1}) == b'%08x {"n":1}\n' % __import__("zlib").crc32(b'{"n":1}')
    assert spool.decode(spool.encode({"n": 1})[:-1]) == {"n": 1}


@given(st.binary(max_size=40))
def test_arbitrary_bytes_are_never_a_record(line):
    assert spool.decode(line) is None


@given(st.dictionaries(st.text(max_size=5), st.integers(-(2**53), 2**53)), st.integers(0, 300), st.integers(1, 255))
def test_a_flipped_byte_is_noticed(value, place, change):
    line = bytearray(spool.encode(value)[:-1])
    line[place % len(line)] ^= change
    assert spool.decode(bytes(line)) in (None, value)
    if place % len(line) > 8:
        assert spool.decode(bytes(line)) is None


def test_header_is_written_once_a_segment_and_source(tmp_path):
    writer = spool.Writer(tmp_path)
    other = {**HEADER, "source": 8}
    for number in range(3):
        writer.append(record(number), header=HEADER)
        writer.append(record(number, source=8), header=other)
    writer.close()
    writer.append(record(9), header=HEADER)
    writer.close()
    first, second = (spool.read(path) for path in spool.closed_segments(tmp_path))
    assert (first.headers, len(first.records), first.damaged) == ({7: HEADER, 8: other}, 6, 0)
    assert (second.headers, second.records) == ({7: HEADER}, [record(9)])


def test_segment_rotates_by_size_and_by_age(tmp_path):
    now = [0.0]
    writer = spool.Writer(tmp_path, max_bytes=200, max_seconds=5, clock=lambda: now[0])
    for number in range(10):
        writer.append(record(number), header=HEADER)
    by_size = len(spool.closed_segments(tmp_path))
    now[0] = 4.9
    writer.tick()
    assert len(spool.closed_segments(tmp_path)) == by_size
    now[0] = 5.0
    writer.tick()
    assert len(spool.closed_segments(tmp_path)) == by_size + 1
    assert numbers(tmp_path) == list(range(10))
    assert by_size >= 2


def test_open_segment_of_a_living_writer_is_left_alone(tmp_path):
    writer = spool.Writer(tmp_path)
    writer.append(record(1), header=HEADER)
    assert spool.closed_segments(tmp_path) == []
    writer.close()
    assert numbers(tmp_path) == [1]


KILLED = """
import sys
from pathlib import Path
from monitoring import spool
writer = spool.Writer(Path(sys.argv[1]))
for number in range(10**9):
    writer.append({"kind": "prediction", "source": 7, "n": number}, header={"kind": "header", "source": 7})
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


@pytest.mark.faults
@pytest.mark.slow
def test_killed_writer_loses_nothing_it_acknowledged(tmp_path):
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        child = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, cwd=Path.cwd())
        for _ in range(2000):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        rest = child.communicate()[0].splitlines()
        acknowledged = 2000 + sum(line.isdigit() for line in rest[:-1])
        found = numbers(folder)
        assert found == list(range(len(found)))
        assert len(found) >= acknowledged


def test_torn_last_line_is_dropped_and_counted(tmp_path):
    writer = spool.Writer(tmp_path)
    for number in range(3):
        writer.append(record(number), header=HEADER)
    writer.close()
    (path,) = spool.closed_segments(tmp_path)
    whole = path.read_bytes()
    for cut in range(1, len(spool.encode(record(2)))):
        path.write_bytes(whole[:-cut])
        reading = spool.read(path)
        assert ([entry["n"] for entry in reading.records], reading.damaged) == ([0, 1], 1)


def test_damaged_line_in_the_middle_costs_only_itself(tmp_path):
    path = tmp_path / "x.jsonl"
    lines = [spool.encode(HEADER), *(spool.encode(record(number)) for number in range(4))]
    lines[2] = lines[2].replace(b"prediction", b"predictiom")
    path.write_bytes(b"".join(lines))
    reading = spool.read(path)
    assert ([entry["n"] for entry in reading.records], reading.damaged) == ([0, 2, 3], 1)


def test_record_without_its_header_is_counted_as_damaged(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(spool.encode(record(1)))
    assert (spool.read(path).records, spool.read(path).damaged) == ([], 1)


def test_quota_refuses_and_recovers(tmp_path):
    writer = spool.Writer(tmp_path, quota_bytes=400)
    number = 0
    while writer.used_bytes < 350:
        writer.append(record(number), header=HEADER)
        number += 1
    with pytest.raises(spool.SpoolFailed) as caught:
        writer.append({**record(number), "text": "x" * 100}, header=HEADER)
    assert (caught.value.code, caught.value.limit) == ("log_unavailable", 400)
    assert numbers(tmp_path) == list(range(number))
    for path in spool.closed_segments(tmp_path):
        path.unlink()
    writer.append(record(100), header=HEADER)
    writer.close()
    assert numbers(tmp_path) == [100]


def test_unusable_folder_is_an_error_and_no_crash(tmp_path):
    blocker = tmp_path / "spool"
    blocker.write_text("a file where the folder should be")
    writer = spool.Writer(blocker)
    with pytest.raises(spool.SpoolFailed):
        writer.append(record(1), header=HEADER)
    blocker.unlink()
    writer.append(record(2), header=HEADER)
    writer.close()
    assert numbers(blocker) == [2]


FULL = """
import resource, signal, sys
from pathlib import Path
from monitoring import spool
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
writer = spool.Writer(Path(sys.argv[1]))
kept = 0
for number in range(60):
    try:
        writer.append({"kind": "prediction", "source": 7, "n": number}, header={"kind": "header", "source": 7})
        kept += 1
    except spool.SpoolFailed:
        pass
writer.close()
print(kept)
"""


def test_write_cut_short_by_a_full_device_leaves_only_whole_lines(tmp_path):
    # -B: bytecode stored under such a limit would be cut short too, and met by every other process
    command = [sys.executable, "-B", "-c", FULL, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path.cwd())
    readings = [spool.read(path) for path in spool.closed_segments(tmp_path)]
    assert sum(len(reading.records) for reading in readings) == int(done.stdout)
    assert [reading.damaged for reading in readings] == [0] * len(readings)
    assert 0 < int(done.stdout) < 60
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_ids_are_uuid7_and_sort_by_time():
    ids = [spool.new_id() for _ in range(200)]
    assert {uuid.UUID(text).version for text in ids} == {7}
    assert {uuid.UUID(text).variant for text in ids} == {uuid.RFC_4122}
    assert len(set(ids)) == 200
    assert [text[:13] for text in ids] == sorted(text[:13] for text in ids)


def test_files_are_private(tmp_path):
    writer = spool.Writer(tmp_path / "spool")
    writer.append(record(1), header=HEADER)
    (path,) = (tmp_path / "spool").iterdir()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    writer.close()
