"""The parts of a model card that people write, and which of them a version lacks.

The names follow Mitchell et al., Model Cards for Model Reporting (2019), section 4, and the card of Hugging Face.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deployments.cards.writing import Part, Written, written
from deployments.models import ModelVersion

MIN_LENGTH = 20  # shorter texts say nothing a reader could use


@dataclass(frozen=True)
class Section:
    """One part: its name for people, what belongs there, and whether it is written in the card itself."""

    label: str
    about: str
    in_card: bool = True


PARTS: Mapping[str, Section] = {
    "intended_purpose": Section("Intended use", "What it decides or supports, for whom, in which process."),
    "intended_users": Section("Intended users", "Who works with the output, and what they have to know."),
    "out_of_scope_use": Section("Out-of-scope use", "Uses it was not built or tested for."),
    "limitations": Section("Limitations", "Where it is weak: groups, ranges, times, inputs."),
    "ethical_considerations": Section("Ethical considerations", "Whom it can harm and what was done about it."),
    "caveats": Section("Caveats and recommendations", "What to heed when it is used, and what to check further."),
    "human_oversight": Section("Human oversight", "Who can overrule it, and how."),
    "maintenance": Section(
        "Maintenance and contact", "Who looks after it, how often it is reviewed, whom to write to."
    ),
}
# Parts kept elsewhere: texts and facts of the version and of the model.
RECORDED: Mapping[str, Section] = {
    "description": Section("What the version is", "Text about the version.", in_card=False),
    "model_description": Section("What the model is for", "Text about the model.", in_card=False),
    "risk": Section("Risk class", "Of the model, in the words of the EU AI Act.", in_card=False),
    "owner": Section("Owner", "Who answers for the model.", in_card=False),
}
_ORDER = ("description", "model_description", "intended_purpose", "risk", "owner", *list(PARTS)[1:])
SECTIONS: Mapping[str, str] = {name: {**PARTS, **RECORDED}[name].label for name in _ORDER}
_TAGGED = ("intended_purpose", "risk")
# Fields of the model that say the same as a part, so that either page fills both.
OF_MODEL = ("intended_purpose", "out_of_scope_use")


def card_gaps(version: ModelVersion, sections: Iterable[str]) -> list[str]:
    """Name the parts that nobody has written yet.

    Parameters
    ----------
    version
        The version; its card, its texts and its tags, then those of its model, are looked at.
    sections
        Keys of :data:`SECTIONS`.

    Returns
    -------
    list of str
        Keys of the parts that are missing, in the given order.
    """
    asked = list(sections)
    tags = _tags(version) if any(name in _TAGGED for name in asked) else {}
    card = written(version, "card") if any(name in PARTS for name in asked) else Written()
    return [name for name in asked if not _filled(version, card, tags, name)]


def parts(version: ModelVersion, *, number: int | None = None) -> Written:
    """Return what people wrote for a version, with the model's own texts where the card says nothing.

    Parameters
    ----------
    number
        Version of the card; None is the newest. An old card is shown without the texts of the model as it is today.
    """
    found = written(version, "card", number=number)
    if number is not None:
        return found
    more = {name: getattr(version.model, name) for name in OF_MODEL}
    said = {
        name: Part(text, None, version.model.updated_at.isoformat(), 0, "model")
        for name, text in more.items()
        if text and (name not in found.parts or (found.parts[name].level == "model" and found.parts[name].text != text))
    }
    return Written(found.number, {**found.parts, **said})


def sealed(version: ModelVersion) -> dict[str, int | str]:
    """Return what the seal of a request holds of the card: its number and the hash of what people wrote."""
    said = parts(version)
    return {"number": said.number, "texts_sha256": said.sha256()}


def risk(version: ModelVersion) -> str:
    """Return the risk class of a version's model, or what a tag says."""
    return version.model.get_risk_class_display() if version.model.risk_class else _tags(version).get("risk", "")


def _filled(version: ModelVersion, card: Written, tags: Mapping[str, str], name: str) -> bool:
    model = version.model
    if name in card.parts and len(card.parts[name].text.strip()) >= MIN_LENGTH:
        return True
    if name in OF_MODEL and len(getattr(model, name).strip()) >= MIN_LENGTH:
        return True
    if name in _TAGGED and tags.get(name, "").strip():
        return True
    if name == "owner":
        return model.owner_id is not None
    if name == "risk":
        return bool(model.risk_class)
    texts = {"description": version.description, "model_description": model.description}
    return len(texts.get(name, "").strip()) >= MIN_LENGTH


def _tags(version: ModelVersion) -> dict[str, str]:
    of_model = version.model.tag_rows.filter(key__in=_TAGGED).values_list("key", "value")
    return {**dict(of_model), **dict(version.tag_rows.filter(key__in=_TAGGED).values_list("key", "value"))}
