"""The model card of a version as a paper."""

from deployments.cards import fields
from deployments.cards.parts import PARTS, parts
from deployments.cards.records import Records
from deployments.cards.writing import Written
from deployments.proof import papers
from deployments.proof.papers import Json, Source, person
from deployments.proof.papers import section as part

WRITER = "Data scientist or project admin: edit the card"


def document(facts: Records, *, number: int | None = None) -> Json:
    """Write the card of a version.

    Parameters
    ----------
    number
        With the texts of this version of the card; None is the newest. The rest is as the records are now.
    """
    version = facts.version
    said = parts(version, number=number)
    by_hand = {name: written(facts, said, name) for name in PARTS}
    sections = [
        part("details", "1", "Model details", fields.identity(facts), fields.owner(facts), fields.description(facts)),
        part(
            "use", "2", "Intended use", by_hand["intended_purpose"], by_hand["intended_users"],
            by_hand["out_of_scope_use"], fields.risk_class(facts),
        ),
        part("data", "3", "Training data", fields.data(facts), fields.data_quality(facts)),
        part("training", "4", "Training", fields.training(facts), fields.environment(facts), fields.inputs(facts)),
        part(
            "evaluation", "5", "Evaluation", fields.metrics(facts), fields.segments(facts), fields.fairness(facts),
            fields.calibration(facts), fields.threshold(facts), fields.cost(facts), fields.explanations(facts),
        ),
        part(
            "limits", "6", "Limits and ethics", by_hand["limitations"], by_hand["ethical_considerations"],
            by_hand["caveats"], by_hand["human_oversight"],
        ),
        part("approvals", "7", "Approvals and use", fields.approvals(facts), fields.live(facts)),
        part("maintenance", "8", "Maintenance", by_hand["maintenance"]),
    ]  # fmt: skip
    return {
        "format": papers.FORMAT, "kind": "model-card", "title": f"Model card of {version}",
        "about": {
            "project": version.model.project.slug, "model": version.model.name, "version": version.number,
            "card": said.number,
        },
        "sections": sections,
    }  # fmt: skip


def written(facts: Records, said: Written, name: str) -> Json:
    """Write one hand-written part as a field, or as a gap."""
    label = PARTS[name].label
    found = said.parts.get(name)
    if found is None:
        return papers.text(name, label, "", hand_written=True, gap=f"Nobody has written: {label}.", who=WRITER)
    where = str(facts.version) if found.level == "version" else f"model {facts.version.model.name}"
    card = f"Card {found.number} of {where}" if found.number else f"Page of {where}"
    source = Source(card, f"{facts.page}card/" if found.number else facts.model_page, found.at)
    return papers.text(name, label, found.text, source, hand_written=True, by=person(found.by))
