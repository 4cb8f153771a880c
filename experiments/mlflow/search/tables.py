"""The names that each kind of object knows in filters and orders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

NUMBERS = ("=", "!=", ">", ">=", "<", "<=")
TEXTS = ("=", "!=", "LIKE", "ILIKE")
LISTS = (*TEXTS, "IN", "NOT IN")
NULLS = ("IS NULL", "IS NOT NULL")


@dataclass(frozen=True, slots=True)
class Field:
    """What one name can be asked: its operators, whether its values are numbers, where it may stand."""

    name: str
    operators: tuple[str, ...] = TEXTS
    is_number: bool = False
    is_whole: bool = False
    is_quoted: bool = False  # whether a number may stand in quotes
    filters: bool = True
    orders: bool = True


@dataclass(frozen=True, slots=True)
class Entity:
    """A group of names: a fixed set, or any name at all (``anything``)."""

    name: str
    fields: Mapping[str, Field] = field(default_factory=dict)
    anything: Field | None = None

    def find(self, key: str) -> Field | None:
        """Return the field of a key, None when there is none."""
        return self.fields.get(key) or self.anything


@dataclass(frozen=True, slots=True)
class Table:
    """The groups of one kind of object by the words that may stand before the dot."""

    name: str
    entities: Mapping[str, Entity]

    @property
    def attributes(self) -> Entity:
        """The group that needs no word in front."""
        return next(e for e in self.entities.values() if e.name == "attribute")


def _number(name: str, *, is_whole: bool = False, filters: bool = True) -> Field:
    return Field(name, NUMBERS, is_number=True, is_whole=is_whole, filters=filters)


def _attributes(words: tuple[str, ...], *fields: Field, **aliases: str) -> dict[str, Entity]:
    """One group of attributes under its words; an alias writes a space as two underscores."""
    by_name = {f.name: f for f in fields}
    other = {alias.replace("__", " "): by_name[name] for alias, name in aliases.items()}
    return dict.fromkeys(words, Entity("attribute", {**by_name, **other}))


_METRICS = ("metric", "metrics")
_PARAMS = ("param", "params", "parameter", "parameters")
_TAGS = ("tag", "tags")
_ATTRIBUTES = ("attribute", "attributes", "attr")
_metric = Field("metric", NUMBERS, is_number=True)
_nullable = Field("text", (*TEXTS, *NULLS))
_label = Field("text", TEXTS, orders=False)
_any_text = Field("text", LISTS, orders=False)

RUNS = Table(
    "run",
    {
        **dict.fromkeys(_METRICS, Entity("metric", anything=_metric)),
        **dict.fromkeys(_PARAMS, Entity("param", anything=_nullable)),
        **dict.fromkeys(_TAGS, Entity("tag", anything=_nullable)),
        **_attributes(
            (*_ATTRIBUTES, "run"),
            Field("run_id", LISTS),
            *(Field(name) for name in ("run_name", "user_id", "status", "artifact_uri")),
            _number("start_time"),
            _number("end_time"),
            run__name="run_name",
            Run__name="run_name",
            Run__Name="run_name",
            created="start_time",
            Created="start_time",
        ),
        **dict.fromkeys(
            ("dataset", "datasets"),
            Entity("dataset", {key: Field(key, LISTS, orders=False) for key in ("name", "digest", "context")}),
        ),
    },
)
EXPERIMENTS = Table(
    "experiment",
    {
        **dict.fromkeys(_TAGS, Entity("tag", anything=Field("text", (*TEXTS, *NULLS), orders=False))),
        **_attributes(
            _ATTRIBUTES,
            Field("name"),
            Field("experiment_id", ("=", "!=", "IN", "NOT IN")),
            _number("creation_time", is_whole=True),
            _number("last_update_time", is_whole=True),
        ),
    },
)
REGISTERED_MODELS = Table(
    "registered model",
    {
        **dict.fromkeys(_TAGS, Entity("tag", anything=_label)),
        **_attributes(
            _ATTRIBUTES,
            Field("name", LISTS),
            _number("creation_timestamp", filters=False),
            _number("last_updated_timestamp", filters=False),
            timestamp="last_updated_timestamp",
        ),
    },
)
MODEL_VERSIONS = Table(
    "model version",
    {
        **dict.fromkeys(_TAGS, Entity("tag", anything=_label)),
        **_attributes(
            _ATTRIBUTES,
            Field("name", LISTS),
            Field("run_id", LISTS, orders=False),
            Field("source_path", orders=False),
            Field("version_number", NUMBERS, is_number=True, is_whole=True, is_quoted=True),
            _number("creation_timestamp", filters=False),
            _number("last_updated_timestamp", filters=False),
        ),
    },
)
LOGGED_MODELS = Table(
    "logged model",
    {
        **dict.fromkeys(_METRICS, Entity("metric", anything=_metric)),
        **dict.fromkeys(_PARAMS, Entity("param", anything=_any_text)),
        **dict.fromkeys(_TAGS, Entity("tag", anything=_any_text)),
        **_attributes(
            _ATTRIBUTES,
            *(Field(name, LISTS) for name in ("name", "model_id", "model_type", "status", "source_run_id")),
            _number("creation_timestamp"),
            _number("last_updated_timestamp"),
            creation_time="creation_timestamp",
            creation_timestamp_ms="creation_timestamp",
            last_updated_time="last_updated_timestamp",
            last_updated_timestamp_ms="last_updated_timestamp",
        ),
    },
)
