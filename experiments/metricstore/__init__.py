"""The store of what runs record, and the one room where raw SQL is the rule.

The ORM would write and read a row per metric point; packed chunks cost 10 to 30 times less, and the
narrow tables answer filters by index. Its face is small: `append`, `fold`, `latest`, `series`, `search`.
"""

from .codec import DamagedChunk
from .folding import count_call, fold, fold_experiment, fold_runs
from .language import parse
from .limits import check_batch, check_keys, check_texts
from .meaning import Condition, FilterError
from .reading import Latest, Series, latest, many_series, series, sparks
from .recording import append, drop_tag
from .turn import writing

__all__ = [
    "Condition",
    "DamagedChunk",
    "FilterError",
    "Latest",
    "Series",
    "append",
    "check_batch",
    "check_keys",
    "check_texts",
    "count_call",
    "drop_tag",
    "fold",
    "fold_experiment",
    "fold_runs",
    "latest",
    "many_series",
    "parse",
    "series",
    "sparks",
    "writing",
]
