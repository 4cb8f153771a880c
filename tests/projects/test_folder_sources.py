"""Imports of folders by reference: listed, never copied, checked when used."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlportal.lib.errors import Conflict, Invalid, Missing
from projects.models import DatasetImport
from projects.pipeline import split_rows
from projects.services import imports, splits, tables
from tests.projects.importing import run

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


@pytest.fixture
def lake(settings, tmp_path):
    folder = tmp_path / "lake" / "sales" / "2026"
    folder.mkdir(parents=True)
    for month in (1, 2):
        pq.write_table(pa.table({"n": [month, month + 10], "w": ["a", "b"]}), folder / f"{month:02}.parquet")
    settings.DATA_ROOTS = [f"lake={tmp_path / 'lake'}"]
    return folder


def by_reference(scientist, lab, folder: str = "sales/2026") -> DatasetImport:
    spec = {"root": "lake", "folder": folder}
    return run(imports.start(scientist, project=lab, name="sales", kind="folder", spec=spec))


def test_a_folder_is_listed_profiled_and_not_copied(scientist, lab, lake):
    version = by_reference(scientist, lab).version
    assert (version.state, version.row_count, version.parquet_sha256, version.sha256) == ("succeeded", 4, "", "")
    assert [file["name"] for file in version.manifest] == ["01.parquet", "02.parquet"]
    assert tables.paths(version, whole=True) == [lake / "01.parquet", lake / "02.parquet"]
    merged = tables.one_file(version, lake.parent / "merged")
    assert pq.read_table(merged).column("n").to_pylist() == [1, 11, 2, 12]
    assert run(imports.refresh(scientist, version=version)).outcome == "unchanged"


def test_rows_of_a_folder_are_shown_sorted_over_all_files(scientist, lab, lake):
    from projects.services import grid

    version = by_reference(scientist, lab).version
    page = grid.rows(scientist, version=version, asked=grid.Asked(sort="-n", columns=("n",)))
    assert page.rows == [[12], [11], [2], [1]]
    grid.pool().close()


def test_a_folder_can_be_split(scientist, lab, lake):
    version = by_reference(scientist, lab).version
    split = splits.save(scientist, version=version, name="half", recipe={"kind": "random", "test_share": 0.5})
    assert split_rows.cut_split(split.pk, worker="test") == "succeeded"


def test_a_file_that_changed_is_noticed_at_use_and_refresh_makes_the_next_version(scientist, lab, lake):
    version = by_reference(scientist, lab).version
    facts = (lake / "01.parquet").stat()
    pq.write_table(pa.table({"n": [9, 9], "w": ["c", "d"]}), lake / "01.parquet")
    with pytest.raises(Conflict, match="a version never changes"):
        tables.paths(version)
    os.utime(lake / "01.parquet", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    with pytest.raises(Conflict):
        tables.paths(version, whole=True)
    following = run(imports.refresh(scientist, version=version))
    assert (following.outcome, following.version.number) == ("created", 2)
    (lake / "02.parquet").unlink()
    with pytest.raises(Conflict, match="is gone"):
        tables.paths(following.version)


@pytest.mark.parametrize("folder", ["../lake", "/etc", "sales/../../etc", "", "nowhere", "sales\\2026"])
def test_folders_outside_the_root_are_refused(scientist, lab, lake, folder):
    with pytest.raises((Invalid, Missing)):
        imports.start(scientist, project=lab, name="sales", kind="folder", spec={"root": "lake", "folder": folder})


def test_links_are_refused_and_files_of_other_columns_fail(scientist, lab, lake):
    (lake.parent / "link").symlink_to(lake)
    with pytest.raises(Invalid, match="symbolic link"):
        imports.start(scientist, project=lab, name="a", kind="folder", spec={"root": "lake", "folder": "sales/link"})
    (lake / "03.parquet").symlink_to("/etc/passwd")
    assert "symbolic link" in by_reference(scientist, lab).failure
    (lake / "03.parquet").unlink()
    pq.write_table(pa.table({"other": [1]}), lake / "03.parquet")
    version = by_reference(scientist, lab).version
    assert (version.state, "has other columns" in version.failure) == ("failed", True)


def test_without_a_root_there_is_none(scientist, lab):
    with pytest.raises(Missing, match="MLPORTAL_DATA_ROOTS"):
        imports.start(scientist, project=lab, name="a", kind="folder", spec={"root": "etc", "folder": "a"})
