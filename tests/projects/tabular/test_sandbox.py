"""Foreign SQL: what it may not do, each tried."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from projects.tabular.checks import measure, rules, sandbox

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sql")
    pq.write_table(pa.table({"n": list(range(100)), "w": ["a", "b"] * 50}), folder / "t.parquet")
    (folder / "secret.csv").write_text("secret\nhidden-word\n")
    return folder / "t.parquet"


def run(path, query: str, *, seconds: float = 5, memory_mb: int = 100) -> measure.Result:
    rule = rules.Rule("sql-1", "sql", "gate", values={"query": query}, name="try")
    return measure.of_query(rule, path, memory_mb=memory_mb, seconds=seconds)


def test_no_row_passes_and_rows_fail(path):
    assert run(path, "SELECT * FROM data WHERE n > 1000").outcome == "passed"
    found = run(path, "select n, w from data where n >= 98 order by n; -- the last")
    assert (found.outcome, found.failing, found.shown) == ("failed", 2, "2 rows")
    assert found.sample == {"columns": ["n", "w"], "rows": [[98, "a"], [99, "b"]]}
    assert run(path, "SELECT 'é;' AS é FROM data -- a;b\n LIMIT 1 ; /* ; */").sample["rows"] == [["é;"]]


def test_rows_are_counted_to_a_bound_and_twenty_are_shown(path):
    found = run(path, "SELECT a.n FROM data a, data b")
    assert (found.failing, found.shown, len(found.sample["rows"])) == (1000, "1,000 or more rows", 20)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/etc/passwd')",
        "SELECT * FROM read_json('/etc/passwd')",
        "SELECT * FROM read_parquet('{table}')",
        "SELECT * FROM parquet_metadata('{table}')",
        "SELECT * FROM sniff_csv('{secret}')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_csv('/proc/self/environ')",
        "SELECT * FROM read_csv('https://example.org/a.csv')",
        "SELECT * FROM read_parquet('s3://bucket/a.parquet')",
        "SELECT getenv('HOME')",
        "SELECT * FROM query('COPY (SELECT 1) TO ''{target}''')",
        "SELECT * FROM enable_logging('x', storage='file', storage_path='{target}')",
        "SELECT * FROM (SELECT 1) UNION ALL SELECT * FROM read_csv('{secret}')",
        "WITH x AS (INSERT INTO duckdb_logs VALUES (1)) SELECT 1",
        "COPY (SELECT 1) TO '{target}'",
        "COPY data TO '{target}'",
        "EXPORT DATABASE '{target}'",
        "ATTACH '{target}' AS other",
        "ATTACH ':memory:' AS other",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '100GB'",
        "SET enable_external_access = true",
        "RESET memory_limit",
        "PRAGMA memory_limit = '100GB'",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "CREATE TABLE t AS SELECT 1",
        "CREATE MACRO f() AS 1",
        "CREATE SECRET (TYPE s3, KEY_ID 'x')",
        "INSERT INTO data VALUES (1, 'x')",
        "UPDATE data SET n = 1",
        "DELETE FROM data",
        "DROP VIEW data",
        "EXPLAIN ANALYZE SELECT 1",
        "PREPARE p AS SELECT 1",
        "BEGIN",
        "CHECKPOINT",
        "SELECT 1; SELECT 2",
        "SELECT 1; COPY (SELECT 1) TO '{target}'",
        "SELECT 1) ; COPY (SELECT 1) TO '{target}' ; SELECT * FROM (SELECT 1",
        "SELECT 1 /* ",
        "",
        ";",
        "-- nothing",
        "SELECT no_such_column FROM data",
        "SELECT * FROM no_such_table",
        "this is no SQL",
    ],
)
def test_what_is_no_harmless_select_is_refused(path, query, tmp_path):
    target = tmp_path / "written"
    told = query.format(secret=path.parent / "secret.csv", table=path, target=target)
    found = run(path, told)
    assert (found.outcome, found.sample) == ("error", {}), found
    assert found.message
    assert "hidden-word" not in found.message
    assert "root:" not in found.message
    assert not target.exists()


def run_child(path, query: str, folder) -> tuple[int, list[dict]]:
    """Exit code and results of the process that a worker starts for a foreign query."""
    limits = {"memory_bytes": 700 * 2**20, "file_bytes": 0, "cpu_seconds": 20, "core_bytes": 0}
    rule = {"kind": "sql", "name": "try", "query": query}
    request = {"foreign": True, "rules": [rule], "path": str(path), "seconds": 2, "memory_mb": 50}
    (folder / "request.json").write_text(json.dumps(request | {"kernel_limits": limits}))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "projects.tabular.checks.child", str(folder)]
    done = subprocess.run(command, capture_output=True, env=environment, check=False, timeout=120)
    return done.returncode, json.loads(done.stdout) if done.returncode == 0 else []


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM range(1000000000000)",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r",
        "SELECT list(range) FROM range(100000000)",
        "SELECT repeat('x', 2000000000)",
        "SELECT range, repeat('x', 1000) AS s FROM range(10000000) ORDER BY s, range DESC",
        "SELECT generate_series(1, 1000000000)",
        "SELECT " + "(" * 4_000 + "1" + ")" * 4_000,
    ],
    ids=["endless", "recursive", "list", "text", "sort", "series", "deep"],
)
def test_a_bomb_hurts_its_own_process_only(path, query, tmp_path):
    code, results = run_child(path, query, tmp_path)
    # the engine says no, or the kernel ends the process: both are an error of the check
    assert code != 0 or results[0]["outcome"] == "error"
    assert [file.name for file in tmp_path.iterdir()] == ["request.json"]


def test_names_of_python_are_not_seen(path):
    secret_frame = pa.table({"x": [1]})
    assert run(path, "SELECT * FROM secret_frame").outcome == "error"
    assert secret_frame.num_rows == 1


def test_the_child_of_a_foreign_query_can_write_no_file(path, tmp_path):
    code = (
        "from projects.tabular import child; from pathlib import Path; import sys\n"
        "child.limit({'memory_bytes': 2**30, 'file_bytes': 0, 'cpu_seconds': 20, 'core_bytes': 0})\n"
        "try:\n Path(sys.argv[1]).write_text('x')\nexcept OSError as error:\n print(error.strerror)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "f")], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == "File too large"


def test_the_file_system_is_closed_before_the_query(path):
    with sandbox.opened(path, memory_mb=100) as connection:
        settings = dict(
            connection.execute(
                "SELECT name, value FROM duckdb_settings() WHERE name IN "
                "('enable_external_access', 'lock_configuration', 'autoload_known_extensions')"
            ).fetchall()
        )
    assert settings == {
        "enable_external_access": "false", "lock_configuration": "true", "autoload_known_extensions": "false",
    }  # fmt: skip
