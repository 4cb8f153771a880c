"""What the registry, the environments and the endpoints were at a moment that has been, and who had allowed it."""

from typing import Any, NamedTuple
from urllib.parse import quote

from django.db.models import Count, Q

from deployments import gates
from deployments.models import (
    Alias,
    Endpoint,
    EndpointInterval,
    EndpointRevision,
    Environment,
    EnvironmentMove,
    ModelVersion,
    Policy,
    PromotionRequest,
    RegisteredModel,
    Rollout,
    Trial,
)
from deployments.services import past_models
from deployments.services.policies import readable
from mlportal.lib.moments import Span
from projects.models import Event, Project
from projects.services import marks
from projects.services.past import Section, standing, words

# What is large and shown nowhere here: an answer is whole, however many rows it has.
HEAVY = ("reference_grids", "importance", "manifest", "signature", "dataset_version__profile")
STAGES = ("request", "decision", "switch")
Entries = dict[tuple[str, int], list[Any]]


def traffic(project: Project, span: Span, *, version: ModelVersion | None = None, **where: Any) -> list[dict[str, Any]]:
    """Return what answered where, and by whose permission: one row a span of time and variant, oldest first.

    Five queries, three more where an endpoint was divided between versions.
    """
    rows = EndpointInterval.objects.filter(endpoint__project=project, **where).select_related(
        "endpoint__environment", "endpoint__model", "revision__version__model",
        "revision__version__dataset_version__dataset", "revision__rollout", "revision__trial",
        "revision__created_by", "revision__promotion__policy__environment", "revision__promotion__requested_by",
    )  # fmt: skip
    if version is not None:
        rows = rows.filter(
            Q(revision__version=version)
            | Q(revision__rollout__promotion__version=version)
            | Q(revision__trial__promotion__version=version)
        )
    rows = standing(rows, span).prefetch_related(
        "revision__promotion__decisions__user", "revision__promotion__gate_results"
    )
    rows = rows.defer(*(f"revision__version__{name}" for name in HEAVY), "revision__promotion__snapshot")
    found = list(rows.order_by("-endpoint__environment__position", "endpoint__name", "valid_from"))
    beside = _beside(found)
    entries = _entries(project, found, beside, span)
    told = [row for interval in found for row in _answers(project, interval, beside, entries)]
    return (
        told
        if version is None
        else [row for row in told if (row["model"], row["version"]) == (version.model.name, version.number)]
    )


def production(project: Project, span: Span, *, model: RegisteredModel | None = None) -> list[Section]:
    """Tables of what answered and who had allowed it."""
    where: dict[str, Any] = {"endpoint__model": model} if model else {}
    return answers(traffic(project, span, **where))


def answers(rows: list[dict[str, Any]]) -> list[Section]:
    """Return rows of :func:`traffic` as two tables."""
    return [_traffic_section(rows), _allowed_section(rows)]


def models(project: Project, span: Span) -> list[Section]:
    """Return the registry of a project: models with their newest version, and what answered."""
    until = Q(versions__created_at__lte=span.end)
    rows = RegisteredModel.objects.in_project(project).filter(created_at__lte=span.end).order_by("name")
    counted = rows.annotate(versions_then=Count("versions", filter=until))
    found = list(counted.select_related("created_by", "owner"))
    said = past_models.facts(project, found, span)
    lines = [
        {
            "model": row.name, "versions": row.versions_then, "created_by": str(row.created_by),
            "created_at": row.created_at, "href": _model(project, row.name),
            "owner": past_models.words("owner", said[row.pk]["owner"]),
            "risk_class": past_models.words("risk_class", said[row.pk]["risk_class"]),
        }
        for row in found
    ]  # fmt: skip
    columns = {
        "model": "Model", "versions": "Versions", "owner": "Owner", "risk_class": "Risk class",
        "created_by": "Started by", "created_at": "Started",
    }  # fmt: skip
    return [Section("models", "Models", columns, lines, "No model was registered."), *production(project, span)]


def model(project: Project, span: Span, *, model: RegisteredModel) -> list[Section]:
    """Return one model: what answered, who had allowed it, what was said of it, versions and aliases."""
    answered = production(project, span, model=model)
    return [*answered, past_models.section(model, span), *versions(model, span), *aliases(model, span)]


def versions(model: RegisteredModel, span: Span, **where: Any) -> list[Section]:
    """Return the versions that were registered."""
    rows = ModelVersion.objects.filter(model=model, created_at__lte=span.end, **where)
    lines = [
        {
            "version": row.label, "number": row.number, "run": row.run_id, "dataset": words(row.dataset_version),
            "manifest_sha256": row.manifest_sha256, "created_by": str(row.created_by), "created_at": row.created_at,
            "href": f"{_model(model.project, model.name)}v/{row.number}/",
        }
        for row in rows.select_related("created_by", "dataset_version__dataset").defer(*HEAVY).order_by("-number")
    ]  # fmt: skip
    columns = {
        "version": "Version", "run": "Run", "dataset": "Data", "created_by": "Registered by",
        "created_at": "Registered", "manifest_sha256": "Manifest",
    }  # fmt: skip
    return [Section("versions", "Versions", columns, lines, "No version was registered.")]


def aliases(model: RegisteredModel, span: Span) -> list[Section]:
    """Return the names that pointed at versions."""
    rows = standing(Alias.objects.filter(model=model), span).select_related("version__model", "set_by")
    lines = [
        {
            "alias": row.name, "version": row.version.label, "set_by": str(row.set_by), "since": row.valid_from,
            "until": row.valid_to,
        }
        for row in rows.order_by("name", "valid_from")
    ]  # fmt: skip
    columns = {"alias": "Alias", "version": "Version", "set_by": "Set by", "since": "Since", "until": "Until"}
    return [Section("aliases", "Aliases", columns, lines, "No alias was set.")]


def environments(project: Project, span: Span) -> list[Section]:
    """Return the environments there were, and which moves led into them; three queries."""
    rows = Environment.objects.in_project(project).filter(created_at__lte=span.end).order_by("-position", "pk")
    found, told = list(rows), _told(project)
    lines = [
        {"environment": _named(told, row, span), "state": _standing_of(told, row, span), "created_at": row.created_at}
        for row in found
    ]
    columns = {"environment": "Environment", "state": "State", "created_at": "Made"}
    names = {row.pk: str(line["environment"]) for row, line in zip(found, lines, strict=True)}
    return [Section("environments", "Environments", columns, lines, "There was none."), _moves(project, span, names)]


def _told(project: Project) -> dict[int, list[Event]]:
    """What the audit log says of each environment's name and use, oldest first."""
    verbs = [f"environment.{word}" for word in ("renamed", "archived", "restored")]
    kept: dict[int, list[Event]] = {}
    for event in Event.objects.filter(project=project, target_type="environment", verb__in=verbs).order_by("seq"):
        kept.setdefault(event.target_id or 0, []).append(event)
    return kept


def _named(told: dict[int, list[Event]], place: Environment, span: Span) -> str:
    """Return the name then: what the next renaming replaced, or the name it has."""
    renamed = [event for event in told.get(place.pk, []) if event.verb == "environment.renamed"]
    return next((str(event.data.get("from")) for event in renamed if event.at > span.end), place.name)


def _standing_of(told: dict[int, list[Event]], place: Environment, span: Span) -> str:
    turns = [event for event in told.get(place.pk, []) if event.at <= span.end and event.verb != "environment.renamed"]
    return "archived" if turns and turns[-1].verb == "environment.archived" else "in use"


def _moves(project: Project, span: Span, names: dict[int, str]) -> Section:
    rows = standing(EnvironmentMove.objects.filter(project=project), span).select_related("set_by")
    lines = [
        {
            "environment": names.get(row.environment_to_id, ""),
            "start": names.get(row.environment_from_id or 0) or row.get_origin_display(),
            "set_by": words(row.set_by), "since": row.valid_from, "until": row.valid_to,
        }
        for row in rows.order_by("-environment_to__position", "valid_from", "pk")
    ]  # fmt: skip
    columns = {"start": "From", "environment": "To", "set_by": "Set by", "since": "Since", "until": "Until"}
    return Section("moves", "Allowed moves", columns, lines, "No move was allowed.")


def policies(project: Project, span: Span, **where: Any) -> list[Section]:
    """Return the rules that were in force, a line an environment."""
    rows = standing(Policy.objects.in_project(project).filter(valid_from__isnull=False, **where), span)
    hidden = marks.anywhere(project)  # of everybody: it is also written into files
    lines = [
        {
            "environment": row.environment.name, "policy": f"{row.environment.name} {row.number}", "number": row.number,
            "approvals": row.min_approvals, "four_eyes": "on" if row.four_eyes else "off", "gate_count": len(row.gates),
            "gates": readable(row, hidden).gates, "rules": row.plain(), "proposed_by": words(row.proposed_by),
            "confirmed_by": words(row.confirmed_by), "since": row.valid_from, "until": row.valid_to,
        }
        for row in rows.select_related("environment", "proposed_by", "confirmed_by").order_by(
            "-environment__position", "valid_from"
        )
    ]  # fmt: skip
    columns = {
        "policy": "Rules", "approvals": "Approvals", "four_eyes": "Four eyes", "gate_count": "Gates",
        "proposed_by": "Proposed by", "confirmed_by": "Confirmed by", "since": "In force since", "until": "Until",
    }  # fmt: skip
    return [Section("policies", "Rules of environments", columns, lines, "No rules were in force.")]


def _traffic_section(rows: list[dict[str, Any]]) -> Section:
    columns = {
        "environment": "Environment", "answering": "Version", "endpoint": "Endpoint", "share": "Share",
        "state": "State", "since": "Since", "until": "Until", "switched_by": "Switched by", "kind": "By",
    }  # fmt: skip
    return Section("production", "What answered", columns, rows, "Nothing answered anywhere.")


def _allowed_section(rows: list[dict[str, Any]]) -> Section:
    lines: list[dict[str, Any]] = []
    for row in rows:
        asked = row["promotion"]
        if asked is None or any(line["number"] == asked["number"] for line in lines):
            continue
        agreed = [f"{each['by']} {each['verdict']} at {each['at']:%Y-%m-%d %H:%M}" for each in asked["decisions"]]
        lines.append(
            asked | {
                "promotion": f"Promotion {asked['number']}", "answering": row["answering"],
                "decided": "; ".join(agreed), "rules": asked["policy"]["name"],
                "gates_passed": f"{sum(g['passed'] for g in asked['gates'])} of {len(asked['gates'])}",
            }
        )  # fmt: skip
    columns = {
        "promotion": "Promotion", "answering": "Version", "requested_by": "Asked by", "requested_at": "Asked",
        "reason": "Why", "decided": "Decided", "rules": "Rules", "gates_passed": "Gates passed",
    }  # fmt: skip
    return Section("allowed_by", "Who allowed it", columns, lines, "Nothing had to be allowed.")


def _beside(found: list[EndpointInterval]) -> dict[int, PromotionRequest]:
    """Promotions of the versions that were tried beside what was live, by the revision that divided the requests."""
    asked = {row.revision_id: _divider(row.revision).promotion_id for row in found if row.revision.routes}
    rows = PromotionRequest.objects.filter(pk__in=set(asked.values())).select_related(
        "version__model", "version__dataset_version__dataset", "policy__environment", "requested_by"
    )
    known = {row.pk: row for row in rows.prefetch_related("decisions__user", "gate_results")} if asked else {}
    return {revision: known[number] for revision, number in asked.items()}


def _divider(revision: EndpointRevision) -> Rollout | Trial:
    found = revision.rollout or revision.trial
    assert found is not None  # nothing else divides requests
    return found


class _Part(NamedTuple):
    """Who answered a share of the requests, and by which promotion."""

    version: ModelVersion
    asked: PromotionRequest | None
    share: str


def _answers(
    project: Project, interval: EndpointInterval, beside: dict[int, PromotionRequest], entries: Entries
) -> list[dict[str, Any]]:
    """One row, or one a variant while the requests were divided."""
    parts = _parts(interval.revision, beside.get(interval.revision_id))
    return [_answer(project, interval, part, entries) for part in parts]


def _parts(revision: EndpointRevision, other: PromotionRequest | None) -> list[_Part]:
    stable = revision.version, revision.promotion
    if other is None:
        return [_Part(*stable, "100 %")]
    return [
        _Part(
            *((other.version, other) if route["version_id"] == other.version_id else stable),
            share="shadow" if route["mode"] == "shadow" else f"{100 * route['weight']:g} %",
        )
        for route in revision.routes
    ]


def _answer(project: Project, interval: EndpointInterval, part: _Part, entries: Entries) -> dict[str, Any]:
    revision, endpoint, version, asked = interval.revision, interval.endpoint, part.version, part.asked
    told = entries.get(("endpoint", endpoint.pk), []) + (
        entries.get(("promotionrequest", asked.pk), []) if asked else []
    )
    return {
        "environment": endpoint.environment.name, "endpoint": endpoint.name, "model": version.model.name,
        "version": version.number, "answering": str(version), "share": part.share, "revision": revision.number,
        "state": "on" if interval.enabled else "switched off", "enabled": interval.enabled,
        "since": interval.valid_from, "until": interval.valid_to, "kind": revision.get_kind_display(),
        "switched_by": str(revision.created_by), "reason": revision.reason, "run": version.run_id,
        "dataset": words(version.dataset_version), "manifest_sha256": version.manifest_sha256,
        "promotion": _promotion(project, asked, version) if asked else None, "entries": told,
        "href": f"/p/{project.slug}/deployments/{quote(endpoint.name, safe='')}/",
    }  # fmt: skip


def _promotion(project: Project, asked: PromotionRequest, version: ModelVersion) -> dict[str, Any]:
    results = list(asked.gate_results.all())
    marked = gates.marked(version)  # of everybody: it is also written into files
    told, shown = gates.told(asked, marked), readable(asked.policy, dict.fromkeys(marked, marked))
    newest = next((phase for phase in reversed(STAGES) if any(gate.phase == phase for gate in results)), "")
    return {
        "number": asked.pk, "requested_by": str(asked.requested_by), "requested_at": asked.requested_at,
        "reason": asked.reason, "seal": asked.seal, "single_person": asked.single_person,
        "policy": asked.policy.plain() | {"name": str(asked.policy), "gates": shown.gates},
        "decisions": [
            {
                "by": str(each.user), "verdict": each.get_verdict_display(), "at": each.created_at,
                "comment": each.comment, "token": each.token_id,
            }
            for each in asked.decisions.all()
        ],
        "gates": [
            {"name": said.title, "passed": gate.passed, "level": gate.level, "rule": said.rule, "found": said.found}
            for gate in results if gate.phase == newest for said in [told.get(gate.name, gate)]
        ],
        "href": f"/p/{project.slug}/promotions/{asked.pk}/",
    }  # fmt: skip


def _entries(
    project: Project, found: list[EndpointInterval], beside: dict[int, PromotionRequest], span: Span
) -> Entries:
    """Lines of the audit log about what is shown: what moved the endpoint, what was decided."""
    moved = {interval.endpoint_id for interval in found}
    asked = {interval.revision.promotion_id for interval in found} - {None} | {row.pk for row in beside.values()}
    about = Q(target_type="endpoint", target_id__in=moved, verb__startswith="endpoint.") | Q(
        target_type="promotionrequest", target_id__in=asked
    )
    kept: Entries = {}
    for event in Event.objects.filter(about, project=project, at__lte=span.end).order_by("seq"):
        line = {"entry": event.seq, "at": event.at, "verb": event.verb, "by": event.actor_name, "hash": event.hash}
        kept.setdefault((event.target_type, event.target_id or 0), []).append(line)
    return kept


def _model(project: Project, name: str) -> str:
    return f"/p/{project.slug}/models/{quote(name, safe='')}/"


def revisions_until(endpoint: Endpoint, span: Span) -> list[Section]:
    """Return the revisions an endpoint had had until then, newest first."""
    rows = EndpointRevision.objects.filter(endpoint=endpoint, created_at__lte=span.end)
    lines = [
        {
            "revision": row.number, "version": str(row.version), "kind": row.get_kind_display(), "reason": row.reason,
            "created_by": str(row.created_by), "created_at": row.created_at,
        }
        for row in rows.select_related("version__model", "created_by").order_by("-number")
    ]  # fmt: skip
    columns = {
        "revision": "Revision", "version": "Version", "kind": "By", "reason": "Why", "created_by": "Switched by",
        "created_at": "Time",
    }  # fmt: skip
    return [Section("revisions", "Revisions until then", columns, lines, "It had no revision.")]
