"""Write the latest points of the runs there are as one text each."""

import math
from itertools import groupby

import orjson
from django.db import migrations

RUNS = 1000
ROWS = """
    SELECT m.run_id, k.name, m.value, m.is_nan, m.step, m.stamp_ms
    FROM experiments_runmetric m JOIN experiments_key k ON k.id = m.key_id
    WHERE m.run_id > %s AND m.run_id <= %s ORDER BY m.run_id
"""


def pack(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT max(id) FROM experiments_run")
        last = cursor.fetchone()[0] or 0
        for start in range(0, last, RUNS):
            cursor.execute(ROWS, [start, start + RUNS])
            runs = [(text_of(rows), run) for run, rows in groupby(cursor.fetchall(), key=lambda row: row[0])]
            cursor.executemany("UPDATE experiments_run SET latest = %s WHERE id = %s", runs)


def text_of(rows):
    return orjson.dumps(
        [
            {"key": name, "value": "NaN" if is_nan else number(value), "timestamp": stamp, "step": step}
            for _, name, value, is_nan, step, stamp in rows
        ]
    ).decode()


def number(value):
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


class Migration(migrations.Migration):
    dependencies = [("experiments", "0007_latest_points")]
    operations = [migrations.RunPython(pack, migrations.RunPython.noop)]
