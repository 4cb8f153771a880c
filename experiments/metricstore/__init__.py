"""The store of what runs record, and the one room where raw SQL is the rule.

The ORM would write and read a row per metric point; packed chunks cost 10 to 30 times less, and the
narrow tables answer filters by index. Its face is small: `append`, `fold`, `latest`, `series`, `search`.
"""

from .asking import Question
from .best import Asked as BestAsked
from .best import best_each, newest_each
from .bundles import Window, bundle
from .codec import DamagedChunk
from .finding import COUNT_CAP, Found, count, first, known_keys, numbers, search
from .folding import count_call, fold, fold_experiment, fold_runs
from .groups import Grouping, Measure, RunGroup, Sorted, Stat, grouped
from .kept import Reading
from .kept import forget as forget_steps
from .language import clauses, parse, pieces
from .leaders import Top, tops
from .leaders import read_on as read_on_for_tops
from .limits import check_batch, check_keys, check_new, check_texts
from .many import key_names, keys_used, move_many, retag_many
from .meaning import Condition, FilterError, Group, Node
from .names import VALUES_COUNTED, have, names_of, ranges, some, value_counts
from .names import search as search_names
from .narrowing import narrowed
from .orders import AGGREGATES, NEWEST_FIRST, Order, parse_order, step_of
from .packing import packed
from .predicates import Context
from .reading import Latest, at_step, latest, many_series, sampled, series, sparks
from .recording import append, begin, drop_tag
from .scope import Scope
from .sorting import Key, Sort, Source
from .thinning import Series
from .turn import retried, writing
from .walking import Hit, find

__all__ = [
    "AGGREGATES",
    "COUNT_CAP",
    "NEWEST_FIRST",
    "VALUES_COUNTED",
    "BestAsked",
    "Condition",
    "Context",
    "DamagedChunk",
    "FilterError",
    "Found",
    "Group",
    "Grouping",
    "Hit",
    "Key",
    "Latest",
    "Measure",
    "Node",
    "Order",
    "Question",
    "Reading",
    "RunGroup",
    "Scope",
    "Series",
    "Sort",
    "Sorted",
    "Source",
    "Stat",
    "Top",
    "Window",
    "append",
    "at_step",
    "begin",
    "best_each",
    "bundle",
    "check_batch",
    "check_keys",
    "check_new",
    "check_texts",
    "clauses",
    "count",
    "count_call",
    "drop_tag",
    "find",
    "first",
    "fold",
    "fold_experiment",
    "fold_runs",
    "forget_steps",
    "grouped",
    "have",
    "key_names",
    "keys_used",
    "known_keys",
    "latest",
    "many_series",
    "move_many",
    "names_of",
    "narrowed",
    "newest_each",
    "numbers",
    "packed",
    "parse",
    "parse_order",
    "pieces",
    "ranges",
    "read_on_for_tops",
    "retag_many",
    "retried",
    "sampled",
    "search",
    "search_names",
    "series",
    "some",
    "sparks",
    "step_of",
    "tops",
    "value_counts",
    "writing",
]
