"""What the model card of a version lacks of what a policy asks for."""

from collections.abc import Callable, Iterable, Mapping

from deployments.models import ModelVersion

MIN_LENGTH = 20  # shorter texts say nothing a reader could use
SECTIONS: Mapping[str, str] = {
    "description": "What the version is",
    "model_description": "What the model is for",
    "intended_purpose": "Intended purpose",
    "risk": "Risk class",
}


def card_gaps(version: ModelVersion, sections: Iterable[str]) -> list[str]:
    """Name the parts that nobody has written yet.

    Parameters
    ----------
    version
        The version; its texts and its tags, then those of its model, are looked at.
    sections
        Keys of :data:`SECTIONS`.

    Returns
    -------
    list of str
        Keys of the parts that are missing, in the given order.
    """
    asked = list(sections)
    tags = _tags(version) if any(name in _TAGGED for name in asked) else {}
    return [name for name in asked if not _written(version, tags, name)]


def _written(version: ModelVersion, tags: Mapping[str, str], name: str) -> bool:
    if name in _TAGGED:
        return bool(tags.get(name, "").strip())
    text = _TEXTS[name](version) if name in _TEXTS else ""
    return len(text.strip()) >= MIN_LENGTH


def _tags(version: ModelVersion) -> dict[str, str]:
    of_model = version.model.tag_rows.filter(key__in=_TAGGED).values_list("key", "value")
    return {**dict(of_model), **dict(version.tag_rows.filter(key__in=_TAGGED).values_list("key", "value"))}


_TAGGED = ("intended_purpose", "risk")
_TEXTS: Mapping[str, Callable[[ModelVersion], str]] = {
    "description": lambda version: version.description,
    "model_description": lambda version: version.model.description,
}
