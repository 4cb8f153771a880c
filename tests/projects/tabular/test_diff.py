"""What changed between two versions, from profiles alone: words, distances, guesses, order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from projects.tabular import diff, distance
from projects.tabular.profile import Report, profile_file

pytestmark = pytest.mark.slow


def profiled(folder, content: bytes) -> dict:
    path = folder / "t.csv"
    path.write_bytes(content)
    report: Report = profile_file(path, folder / "t.parquet")
    return {"rows": report.row_count, "schema": report.schema, "columns": report.columns}


def table(**columns) -> bytes:
    rows = zip(*columns.values(), strict=True)
    return "\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]).encode()


def told(found: diff.Difference) -> list[tuple[str, str]]:
    return [(change.kind, change.what) for change in found.changes]


def test_changes_are_told_in_words_worst_first(tmp_path):
    before = profiled(tmp_path, b"a,gone,t\n" + b"1,x,p\n2,x,q\n3,x,p\n")
    after = profiled(tmp_path, b"a,t,new\n" + b"11,p,1\n12,r,2\n,p,3\n13,q,4\n")
    found = diff.compare(before, after)
    assert told(found) == [
        ("bad", "a shifted up by 10"),
        ("bad", "t has a new value “r”"),
        ("warn", "gone is gone"),
        ("warn", "a has more missing values"),
        ("info", "new is new"),
        ("info", "1 more row"),
    ]
    assert found.headline.startswith("1 column added, 1 column removed, 1 more row, a shifted up by 10 (")


def test_same_content_says_so(tmp_path):
    content = table(n=range(100), t=["a", "b"] * 50)
    found = diff.compare(profiled(tmp_path, content), profiled(tmp_path, content))
    assert told(found) == [("ok", "Schema unchanged"), ("ok", "Same number of rows")]
    assert {column.distance.psi for column in found.columns if column.distance} == {0.0}
    assert found.headline == "Nothing notable changed"


def test_a_column_with_another_name_and_the_same_content_is_guessed(tmp_path):
    random = np.random.default_rng(4)
    ages = random.integers(18, 90, 500)
    plans = random.choice(["basic", "plus", "team"], 500)
    before = profiled(tmp_path, table(age=ages, plan=plans, spend=ages * 3.5))
    after = profiled(tmp_path, table(years=ages, tariff=plans, cost=random.normal(0, 1, 500)))
    found = diff.compare(before, after)
    assert {column.name: column.renamed_from for column in found.named("renamed")} == {"years": "age", "tariff": "plan"}
    assert [column.name for column in found.named("removed")] == ["spend"]
    assert [column.name for column in found.named("added")] == ["cost"]


def test_another_type_is_a_change_of_the_schema(tmp_path):
    found = diff.compare(profiled(tmp_path, table(a=[1, 2, 3])), profiled(tmp_path, table(a=["x", "y", "x"])))
    assert [(column.status, column.kinds) for column in found.columns] == [("retyped", ("integer", "categorical"))]


def test_dates_move_by_days(tmp_path):
    old = [f"2024-01-{day:02}" for day in range(1, 31)]
    new = [f"2024-02-{day:02}" for day in range(1, 30)] + ["2024-03-01"]
    found = diff.compare(profiled(tmp_path, table(at=old)), profiled(tmp_path, table(at=new)))
    assert ("bad", "at moved later by 31.0 days") in told(found)


def test_columns_come_by_size_of_change(tmp_path):
    random = np.random.default_rng(1)
    before = table(still=random.normal(0, 1, 400), little=random.normal(0, 1, 400), much=random.normal(0, 1, 400))
    after = table(still=random.normal(0, 1, 400), little=random.normal(0.5, 1, 400), much=random.normal(3, 1, 400))
    found = diff.compare(profiled(tmp_path, before), profiled(tmp_path, after))
    assert [column.name for column in found.columns] == ["much", "little", "still"]


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.3, 1.0), (1.0, 1.0), (0.0, 2.0)])
def test_psi_from_the_profile_is_near_that_of_the_rows(tmp_path, shift, scale):
    random = np.random.default_rng(7)
    old, new = random.normal(0, 1, 5_000), random.normal(shift, scale, 5_000)
    (column,) = diff.compare(profiled(tmp_path, table(x=old)), profiled(tmp_path, table(x=new))).columns
    cuts = [float(label.removeprefix("up to ").split(" to ")[-1]) for label in column.distance.labels[:-1]]
    edges = [-np.inf, *cuts, np.inf]
    true = [np.histogram(values, edges)[0] / len(values) for values in (old, new)]
    assert column.distance.psi == pytest.approx(distance.psi(*true), abs=0.02, rel=0.1)


def test_a_lump_of_zeros_that_shrinks_is_seen(tmp_path):
    old, new = [0] * 90 + [float(n) + 0.5 for n in range(10)], [0] * 60 + [float(n % 10) + 0.5 for n in range(40)]
    (column,) = diff.compare(profiled(tmp_path, table(x=old)), profiled(tmp_path, table(x=new))).columns
    assert column.distance.psi > 0.2


def test_values_that_one_profile_does_not_list_are_no_zeros(tmp_path):
    many = table(t=[f"v{n % 30}" for n in range(300)])
    few = table(t=["v0", "v1"] * 150)
    (column,) = diff.compare(profiled(tmp_path, many), profiled(tmp_path, few)).columns
    assert distance.OTHER in column.distance.labels
    assert sum(column.distance.before) == pytest.approx(1.0)
    assert column.new == ()


shares = st.lists(st.integers(0, 1000), min_size=2, max_size=12).filter(lambda counts: sum(counts) > 0)


@given(shares, st.data())
@settings(deadline=None)
def test_js_is_that_of_scipy_and_both_are_never_negative(before, data):
    counts = st.lists(st.integers(0, 1000), min_size=len(before), max_size=len(before))
    after = data.draw(counts.filter(lambda counts: sum(counts) > 0))
    old, new = (np.array(side) / sum(side) for side in (before, after))
    assert distance.js(old, new) == pytest.approx(float(np.nan_to_num(jensenshannon(old, new, 2))), abs=1e-7)
    assert distance.psi(old, new) >= 0
    assert distance.psi(old, old) == 0
