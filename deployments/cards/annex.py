"""The technical file of a version along Annex IV of the EU AI Act: nine sections, each item with its source.

The items are named in short words of our own, with the numbers of the Annex (Regulation (EU) 2024/1689). What no
record can tell is written by hand, in :data:`HAND`.
"""

from collections.abc import Mapping
from typing import Any

from deployments.cards import fields
from deployments.cards.card import written as from_card
from deployments.cards.parts import PARTS, parts
from deployments.cards.records import Records, stamp, told_of
from deployments.cards.writing import Written, written
from deployments.models import ModelVersion
from deployments.proof import papers
from deployments.proof.papers import Json, Source, person
from deployments.proof.papers import section as part
from experiments.training.catalogue import METRICS

WRITER = "Data scientist or project admin: edit the technical file"
# Name: number in the Annex, label, what belongs there.
HAND: Mapping[str, tuple[str, str, str]] = {
    "provider": ("1(a)", "Provider", "Name and address of who answers for the system."),
    "interaction": ("1(b)", "Interaction with other systems", "Hardware, software and other AI it works with."),
    "updates": ("1(c)", "Update requirements", "What has to be kept up to date, and how."),
    "delivery": ("1(d)", "Forms of delivery", "How it is handed over: package, download, service."),
    "hardware": ("1(e)", "Hardware", "What it is meant to run on."),
    "product": ("1(f)", "Part of a product", "Pictures, markings and layout; or that it is no part of one."),
    "user_interface": ("1(g)", "User interface", "What the people who use it see."),
    "instructions": ("1(h)", "Instructions for use", "Where the deployer finds them."),
    "development": ("2(a)", "Development steps", "Methods, and what came from third parties."),
    "design": ("2(b)", "Design choices", "Logic, assumptions, what is optimised, trade-offs."),
    "architecture": ("2(c)", "Architecture", "How the parts build on each other."),
    "data_preparation": ("2(d)", "Data preparation", "How data was obtained, selected, labelled and cleaned."),
    "oversight_assessment": ("2(e)", "Oversight needed", "Which human oversight was found necessary, and why."),
    "planned_changes": ("2(f)", "Changes decided beforehand", "Changes that belong to the design, such as retraining."),
    "cybersecurity": ("2(h)", "Cybersecurity", "Measures against manipulation of data, model and service."),
    "unintended_outcomes": ("3", "Foreseeable harm", "Unintended outcomes; risks to health, safety and rights."),
    "metric_choice": ("4", "Why these metrics", "Why they fit this purpose."),
    "risk_management": ("5", "Risk management", "How risks are found, judged and treated."),
    "standards": ("7", "Standards applied", "Harmonised standards, or how the requirements are met without."),
    "declaration": ("8", "Declaration of conformity", "A copy, or where it is kept."),
    "post_market_plan": ("9", "Post-market plan", "How performance is followed in use, by whom, how often."),
}  # fmt: skip


TAKEN = ("intended_purpose", "limitations", "human_oversight")  # what the model card says already


def unwritten(version: ModelVersion) -> list[str]:
    """Name the parts that people have to write and nobody has: those of the file, and those it takes from the card.

    What records fill is not asked for: approvals and use come after the decision that may ask for a whole file.
    """
    said, card = written(version, "file").parts, parts(version).parts
    of_file = [f"{number} {label}" for name, (number, label, _) in HAND.items() if name not in said]
    return [*of_file, *(PARTS[name].label for name in TAKEN if name not in card)]


def document(facts: Records) -> Json:
    """Write the technical file of a version from the records as they are now."""
    said, card = written(facts.version, "file"), parts(facts.version)
    hand = {name: _hand(facts, said, name) for name in HAND}
    note = {name: from_card(facts, card, name) for name in TAKEN}
    sections = [
        part(
            "general", "1", "General description", hand["provider"], note["intended_purpose"], fields.identity(facts),
            fields.owner(facts), fields.risk_class(facts), hand["interaction"], fields.environment(facts),
            hand["updates"], hand["delivery"], fields.live(facts), hand["hardware"], hand["product"],
            hand["user_interface"], hand["instructions"],
        ),
        part(
            "development", "2", "Elements and development", hand["development"], fields.training(facts),
            fields.reproductions(facts),
            hand["design"], hand["architecture"], _resources(facts), hand["data_preparation"], fields.data(facts),
            fields.data_quality(facts), hand["oversight_assessment"], fields.explanations(facts),
            hand["planned_changes"], fields.metrics(facts), fields.calibration(facts), _gates(facts),
            hand["cybersecurity"], _integrity(facts),
        ),
        part(
            "control", "3", "Monitoring, functioning and control", note["limitations"], fields.segments(facts),
            fields.fairness(facts), hand["unintended_outcomes"], note["human_oversight"], fields.approvals(facts),
            fields.inputs(facts),
        ),
        part("metrics", "4", "Choice of metrics", _primary(facts), fields.threshold(facts), hand["metric_choice"]),
        part("risks", "5", "Risk management", hand["risk_management"]),
        part("changes", "6", "Changes over the lifecycle", _versions(facts)),
        part("standards", "7", "Standards", hand["standards"]),
        part("declaration", "8", "Declaration of conformity", hand["declaration"]),
        part("post_market", "9", "After it is in use", hand["post_market_plan"], _rules(facts)),
    ]  # fmt: skip
    version = facts.version
    return {
        "format": papers.FORMAT, "kind": "technical-file", "title": f"Technical file of {version}",
        "about": {
            "project": version.model.project.slug, "model": version.model.name, "version": version.number,
            "written": said.number, "card": card.number, "facts": _facts(facts, card),
        },
        "sections": sections,
    }  # fmt: skip


def _facts(facts: Records, card: Written) -> Json:
    """Keep as plain values what makes a change substantial."""
    data = facts.version.dataset_version
    rows = facts.result.get("metrics", [])
    measured = {
        row["metric"]: {
            "value": row["candidate"], "low": row.get("candidate_low"), "high": row.get("candidate_high"),
        } for row in rows
    }  # fmt: skip
    recorded = {key: {"value": value, "low": None, "high": None} for key, value in facts.version.metrics.items()}
    return {
        "purpose": card.text("intended_purpose"), "dataset": str(data) if data else "",
        "dataset_sha256": data.sha256 if data else "", "algorithm": facts.version.algorithm,
        "metrics": measured or recorded,
    }  # fmt: skip


def _hand(facts: Records, said: Written, name: str) -> Json:
    number, words, about = HAND[name]
    label = f"{number} {words}"
    found = said.parts.get(name)
    if found is None:
        return papers.text(name, label, "", hand_written=True, gap=f"Nobody has written this: {about}", who=WRITER)
    where = str(facts.version) if found.level == "version" else f"model {facts.version.model.name}"
    source = Source(f"Written for {where}", f"{facts.page}technical-file/edit/", found.at)
    return papers.text(name, label, found.text, source, hand_written=True, by=person(found.by))


def _resources(facts: Records) -> Json:
    job = facts.job
    usage = {name: value for name, value in (job.usage if job else {}).items() if isinstance(value, int | float | str)}
    phases = [(f"Seconds: {row['name']}", row.get("seconds")) for row in (job.phases if job else []) if "name" in row]
    rows = [*((name.replace("_", " ").capitalize(), value) for name, value in sorted(usage.items())), *phases]
    gap = "The training left no record of time and memory."
    return papers.pairs("resources", "2(c) Computing resources", rows, facts.of_run, gap=gap, who="Data scientist")


def _gates(facts: Records) -> Json:
    newest = facts.requests[-1] if facts.requests else None
    rows = [[row.title, row.level, row.passed, row.found] for row in told_of(facts)]
    source = facts.of_evaluation if newest else Source("Gates")
    heads = ("Gate", "Level", "Passed", "Found")
    gap = "No gate has judged this version."
    return papers.table("gates", "2(g) Tests before release", heads, rows, source, gap=gap, who=fields.ASKER)


def _integrity(facts: Records) -> Json:
    version = facts.version
    rows: list[tuple[str, Any]] = [
        ("Files under the signature", len(version.manifest)), ("Manifest sha256", version.manifest_sha256),
        ("Ed25519 key", version.signed_by), ("Last verified", stamp(version.verified_at)),
        ("State", version.get_state_display()),
    ]  # fmt: skip
    return papers.pairs("integrity", "2(h) Integrity of the model", rows, facts.of_version)


def _primary(facts: Records) -> Json:
    run = facts.version.run
    key = run.primary_metric if run else ""
    known = METRICS.get(key)
    rows = [("Judged first by", known["label"] if known else key), ("Better is", known["better"] if known else "")]
    gap = "The run names no primary metric."
    return papers.pairs("primary", "4 Primary metric", rows, facts.of_run, gap=gap, who="Data scientist")


def _versions(facts: Records) -> Json:
    rows = [
        [
            row.label, stamp(row.created_at), person(row.created_by_id), row.algorithm,
            str(row.dataset_version) if row.dataset_version else None, row.description[:200],
        ]
        for row in facts.siblings
    ]  # fmt: skip
    heads = ("Version", "Registered", "By", "Algorithm", "Data", "What changed")
    source = Source(f"Model {facts.version.model.name}", facts.model_page, stamp(facts.version.created_at))
    return papers.table("versions", "6 Versions", heads, rows, source)


def _rules(facts: Records) -> Json:
    rows = [
        [rule.name, rule.endpoint or "every endpoint", rule.get_metric_display(), rule.get_op_display(), rule.warn,
         rule.critical]
        for rule in facts.rules
    ]  # fmt: skip
    heads = ("Alert rule", "Endpoint", "Measures", "Fires", "Warning", "Critical")
    gap = "No alert rule watches this model."
    return papers.table("alert_rules", "9 Alert rules", heads, rows, facts.of_rules, gap=gap, who="Ops")
