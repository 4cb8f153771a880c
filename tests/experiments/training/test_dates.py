"""Dates become six numbers; what is no date becomes NaN."""

import numpy as np
import pandas as pd

from experiments.training.dates import DateParts


def test_parts_of_a_moment() -> None:
    frame = pd.DataFrame({"at": ["1970-01-02T12:00:00Z", "2024-02-29T23:30:00+02:00", "soon", None]})
    found = DateParts().fit(frame).transform(frame)
    assert found[0].tolist() == [1.5, 1970, 1, 2, 4, 12]
    assert found[1, 1:].tolist() == [2024, 2, 29, 3, 21]
    assert np.isnan(found[2:]).all()


def test_names_of_the_parts() -> None:
    fitted = DateParts().fit(pd.DataFrame({"at": pd.to_datetime(["2024-01-01"])}))
    assert list(fitted.get_feature_names_out())[:2] == ["at_days", "at_year"]
