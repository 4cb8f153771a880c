"""Folders that the real wandb package wrote offline (`wandb/`, made for this test), and damaged ones."""

import shutil
import struct
import zlib
from pathlib import Path

import pytest

from mlportal.cli.importing import wandb_log as log
from mlportal.cli.importing.wandb_source import WandB
from tests.cli.imports import as_pairs, target

FOLDER = Path(__file__).parent / "wandb"
LOG = next(FOLDER.glob("*aaaa1111/*.wandb"))


@pytest.fixture(scope="module")
def runs(import_portal):
    here = target(import_portal, "wandb")
    said = here.agrees("wandb", str(FOLDER))
    assert [(one["name"], one["source"]["runs"]) for one in said["experiments"]] == [("tiny", 2)]
    return here, {run["info"]["run_name"]: run for run in here.runs("tiny")}


@pytest.mark.slow
def test_config_becomes_parameters(runs):
    _here, found = runs
    assert as_pairs(found["first"]["data"]["params"]) == {
        "lr": "0.1", "layers": "[1, 2]", "nested.x": "1", "odd_": "a", "odd__2": "b", "late": "True",
    }  # fmt: skip


@pytest.mark.slow
def test_history_becomes_metrics_with_steps_and_times(runs):
    here, found = runs
    points = here.history(found["first"], "acc")
    assert [(step, value) for _time, step, value in points] == [(0, 0.0), (1, 0.2), (2, "NaN"), (3, 0.6), (4, 0.8)]
    assert len({time for time, _step, _value in points}) > 1
    assert [value for *_when, value in here.history(found["first"], "deep.b.c")] == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert [(step, value) for _time, step, value in here.history(found["second"], "loss")] == [(10, 3.0), (20, 2.0)]


@pytest.mark.slow
def test_summary_is_kept_where_the_history_lacks_it(runs):
    here, found = runs
    assert [value for *_when, value in here.history(found["first"], "best")] == [0.9]
    assert [value for *_when, value in here.history(found["first"], "summary/loss")] == [0.125]
    assert len(here.history(found["first"], "loss")) == 5
    latest = as_pairs(found["first"]["data"]["metrics"])
    assert not [key for key in latest if key.startswith(("image", "hist", "_"))]


@pytest.mark.slow
def test_notes_labels_and_outcome(runs):
    _here, found = runs
    tags = as_pairs(found["first"]["data"]["tags"])
    assert tags["mlflow.note.content"] == "A *note*."
    assert (tags["wandb.tags"], tags["wandb.group"], tags["wandb.job_type"]) == ("a, b", "folds", "train")
    assert tags["wandb.summary.verdict"] == "good"
    assert (found["first"]["info"]["status"], found["second"]["info"]["status"]) == ("FINISHED", "FAILED")
    assert found["first"]["info"]["end_time"] >= found["first"]["info"]["start_time"] > 1.7e12


@pytest.mark.slow
def test_media_and_the_log_itself_are_files(runs):
    here, found = runs
    image = next((FOLDER / LOG.parent.name / "files").rglob("*.png"))
    assert here.files(found["first"]) == {
        f"media/images/{image.name}": image.stat().st_size,
        f"wandb/{LOG.name}": LOG.stat().st_size,
    }


@pytest.mark.slow
def test_second_import_copies_nothing(runs):
    here, found = runs
    assert here.agrees("wandb", str(FOLDER))["copied"] == {"points": 0, "bytes": 0}
    assert len(here.runs("tiny")) == len(found)


@pytest.mark.parametrize("folder", [FOLDER, FOLDER.parent, LOG.parent])
def test_folder_may_be_named_at_any_level(folder):
    source = WandB(folder)
    assert "first" in {run.name for page in source.pages(source.experiments()[0]) for run in page}


def copied(tmp_path):
    place = tmp_path / LOG.parent.name
    shutil.copytree(LOG.parent, place)
    return place, place / LOG.name


def only(folder):
    source = WandB(folder)
    (run,) = [run for page in source.pages(source.experiments()[0]) for run in page]
    return source, run


def test_link_out_of_the_folder_is_left_out_unless_asked_for(tmp_path):
    place, _log = copied(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("not yours")
    (place / "files" / "link").symlink_to(secret)
    source, run = only(place)
    assert "link" not in {file.path for file in source.files(run.root)}
    assert "links out of the run's folder" in source.notes[0]
    followed = WandB(place, follow=True)
    assert "link" in {file.path for file in followed.files(run.root)}


@pytest.mark.parametrize("cut", [1, 8, 40, 400])
def test_log_that_a_crash_cut_off_is_read_up_to_there(tmp_path, cut):
    place, path = copied(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    source, run = only(place)
    assert run.status == "KILLED"
    assert sum(len(piece) for piece in source.points(run)) > 0


def test_damaged_log_is_named_and_left_out(tmp_path):
    _place, path = copied(tmp_path)
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    shutil.copytree(next(FOLDER.glob("*bbbb2222")), tmp_path / "offline-run-other")
    source = WandB(tmp_path)
    assert [run.name for page in source.pages(source.experiments()[0]) for run in page] == ["second"]
    assert "wrong checksum" in source.notes[0]


def test_resumed_run_has_several_logs(tmp_path):
    """Two folders with one run's id are one run."""
    place, path = copied(tmp_path)
    shutil.copytree(place, tmp_path / "offline-run-again")
    source, run = only(tmp_path)
    single = sum(len(piece) for piece in WandB(place).points(run))
    assert sum(len(piece) for piece in source.points(run)) > single
    assert path.exists()


def piece(kind, data):
    return struct.pack("<IHB", zlib.crc32(data, zlib.crc32(bytes([kind]))), len(data), kind) + data


def message(number, value):
    """A field of bytes as protobuf writes it; short ones only."""
    tag = number << 3 | 2
    head = bytes([tag]) if tag < 128 else bytes([tag & 127 | 128, tag >> 7])
    return head + bytes([len(value)]) + value


def test_repository_and_program_come_from_what_the_package_saw(tmp_path):
    """wandb 0.31 writes them to records of the environment: field 26, and in them 2, 6, 9, and what the machine has."""
    place, path = copied(tmp_path)
    assert "mlflow.source.name" not in only(place)[1].tags
    git = message(1, b"https://git.example/a.git") + message(2, b"c0ffee")
    seen = message(26, message(2, b"3.12.1") + message(6, b"train.py") + message(9, git))
    machine = message(26, message(18, b"none"))
    run = next(record for record in log.records(path) if any(number == 17 for number, _ in log.fields(record)))
    path.write_bytes(log.MAGIC + b"\xe1\xbe\x00" + piece(1, run) + piece(1, seen) + piece(1, machine))
    tags = only(place)[1].tags
    assert (tags["mlflow.source.name"], tags["wandb.python"]) == ("train.py", "3.12.1")
    assert (tags["mlflow.source.git.repoURL"], tags["mlflow.source.git.commit"]) == (
        "https://git.example/a.git", "c0ffee",
    )  # fmt: skip


def test_records_longer_than_a_block_are_joined(tmp_path):
    """The first block holds seven bytes less; six bytes that are left at its end are no head."""
    head = log.MAGIC + b"\xe1\xbe\x00"
    first = b"a" * (log.BLOCK - 14 - 6)
    long = b"b" * 70_000
    room = log.BLOCK - 7
    pieces = piece(1, first) + bytes(6) + piece(2, long[:room]) + piece(3, long[room : 2 * room])
    path = tmp_path / "x.wandb"
    path.write_bytes(head + pieces + piece(4, long[2 * room :]) + piece(1, b"end"))
    assert list(log.records(path)) == [first, long, b"end"]


def test_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "x.wandb"
    path.write_bytes(b"something else altogether")
    with pytest.raises(log.Damaged, match="does not begin like"):
        list(log.records(path))


@pytest.mark.parametrize("data", [b"\x80" * 12, b"\x0b\x00", b"\x08"])
def test_message_that_is_none_is_damage(data):
    with pytest.raises(log.Damaged):
        list(log.fields(data))
