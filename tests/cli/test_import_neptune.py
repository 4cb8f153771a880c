"""An export as neptune-exporter writes it: its Parquet schema, its folders, its files."""

from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlportal.cli.errors import Failure
from mlportal.cli.importing.neptune_source import Neptune
from mlportal.cli.importing.things import Trouble
from tests.cli.imports import as_pairs, target

SCHEMA = pa.schema(
    [
        ("project_id", pa.string()),
        ("run_id", pa.string()),
        ("attribute_path", pa.string()),
        ("attribute_type", pa.string()),
        ("step", pa.decimal128(18, 6)),
        ("timestamp", pa.timestamp("ms", tz="UTC")),
        ("int_value", pa.int64()),
        ("float_value", pa.float64()),
        ("string_value", pa.string()),
        ("bool_value", pa.bool_()),
        ("datetime_value", pa.timestamp("ms", tz="UTC")),
        ("string_set_value", pa.list_(pa.string())),
        ("file_value", pa.struct([("path", pa.string())])),
        (
            "histogram_value",
            pa.struct([("type", pa.string()), ("edges", pa.list_(pa.float64())), ("values", pa.list_(pa.float64()))]),
        ),
    ]
)
WHEN = datetime(2025, 3, 4, 5, 6, 7, 250_000, tzinfo=UTC)
MS = int(WHEN.timestamp() * 1000)
BINS = {"type": "COUNTING", "edges": [0.0, 1.0], "values": [3.0]}


def row(path, kind, *, run="RUN-1", step=None, **values):
    always = {"project_id": "acme/wheels", "run_id": run, "attribute_path": path, "attribute_type": kind}
    when = {"timestamp": WHEN, "step": Decimal(str(step))} if step is not None else {}
    return always | when | values


ROWS = [
    row("sys/name", "string", string_value="roller"),
    row("sys/creation_time", "datetime", datetime_value=WHEN),
    row("sys/owner", "string", string_value="ann"),
    row("sys/failed", "bool", bool_value=True),
    row("sys/description", "string", string_value="Round."),
    row("sys/tags", "string_set", string_set_value=["a", "b"]),
    row("config/lr", "float", float_value=0.1),
    row("config/depth", "int", int_value=3),
    row("config/on?", "bool", bool_value=False),
    *(row("train/loss", "float_series", step=i, float_value=1 / (i + 1)) for i in range(1500)),
    row("log", "string_series", step=0, string_value="first\nline"),
    row("log", "string_series", step=1, string_value="zweite"),
    row("spread", "histogram_series", step=2, histogram_value=BINS),
    row("plots/roc", "file", file_value={"path": "RUN-1/plots/roc.png"}),
    row("images", "file_series", step=7, file_value={"path": "RUN-1/images/7.png"}),
    row("source_code", "file_set", file_value={"path": "RUN-1/source_code"}),
    row("stolen", "file", file_value={"path": "../../secret"}),
    row("lost", "file", file_value={"path": "RUN-1/lost.bin"}),
]
LATER = [row("train/loss", "float_series", step=1500, float_value=9.0)]
OTHER = [row("config/lr", "float", run="RUN-2", float_value=0.5)]


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path, compression="snappy")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("neptune")
    data = folder / "exports" / "data" / "acme_wheels-0123456789abcdef"
    write(data / "RUN-1-77_part_0.parquet", ROWS)
    write(data / "RUN-1-77_part_1.parquet", LATER)
    write(data / "RUN-2-88_part_0.parquet", OTHER)
    write(data / "RUN-3-99_part_1.parquet", OTHER)  # its first part is missing: the export of it did not end
    (folder / "secret").write_text("not yours")
    files = folder / "exports" / "files" / data.name / "RUN-1"
    for name, content in {"plots/roc.png": b"roc", "images/7.png": b"seven", "source_code/a/b.py": b"print()"}.items():
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).write_bytes(content)
    return folder / "exports"


@pytest.fixture(scope="module")
def runs(import_portal, exported):
    here = target(import_portal, "neptune")
    said = here.agrees("neptune", str(exported))
    return here, said, {run["info"]["run_name"]: run for run in here.runs("acme/wheels")}


@pytest.mark.slow
def test_attributes_become_parameters_and_tags(runs):
    _here, _said, found = runs
    assert set(found) == {"roller", "RUN-2"}
    run = found["roller"]
    assert as_pairs(run["data"]["params"]) == {"config/lr": "0.1", "config/depth": "3", "config/on_": "False"}
    tags = as_pairs(run["data"]["tags"])
    assert (tags["neptune.tags"], tags["neptune.owner"], tags["neptune.run_id"]) == ("a, b", "ann", "RUN-1")
    assert tags["mlflow.note.content"] == "Round."
    assert (run["info"]["status"], run["info"]["start_time"]) == ("FAILED", MS)
    assert as_pairs(found["RUN-2"]["data"]["params"]) == {"config/lr": "0.5"}


@pytest.mark.slow
def test_series_of_all_parts_are_whole(runs):
    here, said, found = runs
    assert said["experiments"][0]["target"]["points"] == 1501
    points = here.history(found["roller"], "train/loss")
    assert sorted(points, key=lambda one: one[1])[-2:] == [(MS, 1499, 1 / 1500), (MS, 1500, 9.0)]


@pytest.mark.slow
def test_files_and_series_that_are_no_numbers_are_files(runs):
    here, said, found = runs
    sizes = here.files(found["roller"])
    assert set(sizes) == {"plots/roc.png", "images/step_7.png", "source_code/a/b.py", "log.jsonl", "spread.jsonl"}
    assert sizes["images/step_7.png"] == 5
    assert any("leads out of its folder" in note for note in said["notes"])
    assert any("RUN-1/lost.bin" in note for note in said["notes"])


@pytest.mark.slow
def test_second_import_copies_nothing(runs, exported):
    here, _said, found = runs
    assert here.agrees("neptune", str(exported))["copied"] == {"points": 0, "bytes": 0}
    assert len(here.runs("acme/wheels")) == len(found)


def first(folder, **options):
    source = Neptune(folder, **options)
    page = next(source.pages(source.experiments()[0]))
    return source, page[0]


def test_texts_keep_step_time_and_value(exported):
    source, run = first(exported)
    (file,) = [file for file in source.files(run.root) if file.path == "log.jsonl"]
    with source.fetched(run.root, file) as path:
        lines = path.read_text().splitlines()
    assert lines[0] == '{"step": 0.0, "time": "2025-03-04T05:06:07.250000+00:00", "value": "first\\nline"}'
    assert len(lines) == 2


def test_decimal_steps_need_a_multiplier(tmp_path):
    write(tmp_path / "p" / "r_part_0.parquet", [row("m", "float_series", step=0.25, float_value=1.0)])
    source, run = first(tmp_path)
    with pytest.raises(Trouble, match=r"step 0\.25 is no whole number: give --step-multiplier"):
        list(source.points(run))
    source, run = first(tmp_path, multiplier=1000)
    assert [point[3] for piece in source.points(run) for point in piece] == [250]


def test_parquet_of_something_else_is_refused(tmp_path):
    (tmp_path / "p").mkdir()
    pq.write_table(pa.table({"a": [1]}), tmp_path / "p" / "r_part_0.parquet")
    with pytest.raises(Failure, match="is no file of neptune-exporter: it has no attribute_path"):
        Neptune(tmp_path)
