"""Named checks of a promotion: gather the facts from the database and the files, judge them, seal the verdicts."""

import functools
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils import timezone

from deployments.cards import annex, card_gaps, sealed
from deployments.models import Endpoint, GateResult, ModelVersion, Policy, PromotionRequest, Reproduction
from deployments.proof import canonical, certificate, manifest, measured, rules, seal, signing, veil
from deployments.proof import told as saying
from deployments.proof.rules import Facts, Outcome
from experiments.training.catalogue import TASK_METRICS
from mlportal.lib import blobs
from mlportal.lib.errors import Conflict, Missing
from projects.services import marks

if TYPE_CHECKING:
    from projects.models import DatasetVersion

MODEL_FILE = "model/model.skops"
REFERENCE_FILE = "model/reference.parquet"
SIGNATURE_FILE = "model/signature.json"
ENVIRONMENT_FILE = "model/environment.json"
IMPORTANCE_FILE = "importance.json"
# Where MLflow's sklearn flavor keeps a model in the safe format, and rows to try it on.
CLIENT_MODEL_FILE = "model.skops"
CLIENT_EXAMPLE_FILE = "serving_input_example.json"
CLIENT_REFERENCE_FILE = "reference.parquet"
MAX_CERTIFICATES = 20  # of the newest good ones, checked until one holds


@functools.cache
def keyring() -> signing.Keyring:
    """Return the keys of this installation, read once a process."""
    return signing.keyring(settings.SIGNING_KEY_SEED, settings.DATA_DIR / "secrets" / "signing-keys")


def damage(version: ModelVersion) -> tuple[str, ...]:
    """Check a version against its files: manifest hash, signature of the server, sha256 of every file.

    Reads every byte, so call it before a transaction, not inside one that holds locks.

    Returns
    -------
    tuple of str
        One sentence per damage; empty when the version is whole.
    """
    found = []
    if manifest.digest(version.manifest, version.provenance) != version.manifest_sha256:
        found.append("The manifest was changed after it was signed.")
    if not signed(version):
        found.append("The signature over the manifest does not verify.")
    return (*found, *(text for row in version.manifest if (text := _file_damage(row))))


def signed(version: ModelVersion) -> bool:
    """Tell whether a key of this installation signed the manifest of a version."""
    return signing.verify(
        keyring(),
        manifest_sha256=version.manifest_sha256,
        signature=version.manifest_signature,
        signed_by=version.signed_by,
    )


def model_file(version: ModelVersion) -> str | None:
    """Return the path of the version's file in the safe format, None when it has none."""
    wanted = CLIENT_MODEL_FILE if version.is_of_client else MODEL_FILE
    return wanted if version.file(wanted) else None


def reference_file(version: ModelVersion) -> str:
    """Return where the held-out rows of a version are, if it has any."""
    return CLIENT_REFERENCE_FILE if version.is_of_client else REFERENCE_FILE


def cargo(version: ModelVersion) -> str:
    """Say why a version can never be served as it is, or return an empty text.

    What clients upload is stored, hashed and handed out, but nothing of ours ever unpickles it.
    """
    if not version.is_of_client:
        return ""
    if not version.manifest:
        return f"{version} has no files in the portal, so nothing can be checked or served."
    if model_file(version) is None:
        return (
            f"{version} needs a safe format to be served: it holds no {CLIENT_MODEL_FILE}, and pickles are never "
            'loaded here. Log it with mlflow.sklearn.log_model(..., serialization_format="skops") and register that.'
        )
    if not version.signature.get("inputs"):
        return f"{version} has no schema of named input columns. Log it with a signature made from a data frame."
    if version.file(CLIENT_EXAMPLE_FILE) is None:
        return f"{version} has no rows to try it on. Log it with an input_example."
    return ""


def facts(
    request: PromotionRequest, *, policy: Policy, damaged: tuple[str, ...] = (), at: datetime | None = None
) -> Facts:
    """Gather what the rules judge about a request: run, signature, dataset, evaluation.

    Parameters
    ----------
    policy
        Whose rules will be judged: its card sections and kinds of gates decide what has to be looked up.
    damaged
        What :func:`damage` found.
    at
        The moment of judging, by default now.
    """
    result, trouble = evaluation(request)
    return facts_of(request.version, result, trouble, policy=policy, damaged=damaged, at=at)


def facts_of(
    version: ModelVersion,
    result: Mapping[str, Any],
    trouble: str,
    *,
    policy: Policy,
    damaged: tuple[str, ...] = (),
    at: datetime | None = None,
) -> Facts:
    """Gather what the rules judge about a version and what an evaluation of it stored.

    Parameters
    ----------
    result, trouble
        The stored result, and in words why there is no comparison.
    """
    dataset = version.dataset_version
    # Verdicts are read by everybody, also in mails and exports: groups of marked columns have no names in them.
    # Places, not codes: verdicts are sealed, and a seal must not hang on the key of the installation.
    columns = list(result.get("marked") or ())
    result, called = veil.result(result, columns), veil.names(result, columns)
    path = model_file(version)
    model = next((row for row in version.manifest if row["path"] == path), None)
    kinds = {row["kind"] for row in policy.gates}
    moment = at or timezone.now()
    return Facts(
        run_state=str(version.run.state) if version.run else "",
        damaged=damaged,
        inputs=len(version.signature.get("inputs", [])),
        outputs=len(version.signature.get("outputs", [])),
        dataset_state=str(dataset.state) if dataset else None,
        dataset_warnings=tuple(text for _, text in _remarks(dataset)),
        check_state=str(dataset.check_state) if dataset else None,
        dataset_made=dataset.created_at if dataset else None,
        metrics=measured.metrics(result),
        segments=measured.segments(result),
        groups=measured.groups(result),
        called=called,
        primary=primary(version),
        evaluation=trouble,
        decisions=measured.decisions(result),
        missing=measured.missing(result),
        latency_ms=measured.latency(result),
        size_bytes=model["size_bytes"] if model else None,
        card_gaps=tuple(card_gaps(version, policy.card_sections)) if "card_complete" in kinds else None,
        file_gaps=tuple(annex.unwritten(version)) if "technical_file_complete" in kinds else None,
        reproduced=reproduced(version, before=moment) if "reproduced_within" in kinds else None,
        now=moment,
    )


def run_all(
    request: PromotionRequest,
    *,
    damaged: tuple[str, ...] = (),
    policy: Policy | None = None,
    at: datetime | None = None,
) -> list[Outcome]:
    """Judge the rules of a policy, the request's own by default; the worst come first, then the order of the policy.

    Writes nothing: the same call serves the request, the decision, the switch and the dry run of a back-test.
    """
    policy = policy or request.policy
    return ranked(policy, facts(request, policy=policy, damaged=damaged, at=at))


def ranked(policy: Policy, found: Facts) -> list[Outcome]:
    """Judge facts by the gates of a policy, the worst first."""
    outcomes = rules.judge(rules.parse(policy.gates), found)
    return sorted(outcomes, key=lambda item: (item.passed, item.level == "advisory"))


def reproduced(version: ModelVersion, *, before: datetime) -> datetime | None:
    """Return when a certificate last said that the version came out again.

    Only a certificate counts that a key of this installation signed, over the very files the version has now.
    """
    good = (Reproduction.Verdict.REPRODUCED, Reproduction.Verdict.WITHIN)
    rows = Reproduction.objects.filter(version=version, verdict__in=good, ended_at__lte=before)
    return next(
        (row.ended_at for row in rows.order_by("-ended_at")[:MAX_CERTIFICATES] if certified(row, version)), None
    )


def certified(row: Reproduction, version: ModelVersion) -> bool:
    """Tell whether a certificate is signed, says what its row says, and belongs to the version's files."""
    document = row.document or {}
    fits = document.get("verdict") == row.verdict and document.get("manifest_sha256") == version.manifest_sha256
    return fits and certificate.is_signed(keyring(), document, signature=row.signature, signed_by=row.signed_by)


def store(request: PromotionRequest, outcomes: list[Outcome], phase: str) -> None:
    """Keep the verdicts of one phase."""
    GateResult.objects.bulk_create(
        GateResult(
            request=request,
            phase=phase,
            position=position,
            name=item.name,
            title=item.title[:200],
            level=item.level,
            passed=item.passed,
            rule=item.rule,
            found=item.found,
            metric=item.metric,
            detail=item.detail,
            evidence=item.evidence,
        )
        for position, item in enumerate(outcomes)
    )


def snapshot(request: PromotionRequest, *, policy: Policy, endpoint: Endpoint | None) -> str:
    """Write everything an approver is shown as one canonical text, from the rows as they are now.

    Parameters
    ----------
    policy
        The policy in force now.
    endpoint
        The endpoint as it is now, None before the first promotion.
    """
    version = request.version
    dataset = version.dataset_version
    result, trouble = evaluation(request)
    return seal.snapshot(
        {
            "model": {"id": version.model_id, "name": version.model.name},
            "version": {"id": version.pk, "number": version.number, "state": version.state},
            "manifest_sha256": manifest.digest(version.manifest, version.provenance),
            "dataset_sha256": dataset.sha256 if dataset else None,
            "metrics": {"recorded": version.metrics, "compared": result, "trouble": trouble},
            "gates": policy.gates,
            "results": [item.plain() for item in run_all(request)],
            "policy": policy.plain(),
            "card": sealed(version),  # type: ignore[dict-item]
            "environment": request.environment.name,
            "endpoint": _endpoint(request.endpoint_name, endpoint),
            "use": {
                "risk_class": version.model.risk_class,
                "intended_purpose": version.model.intended_purpose,
                "out_of_scope_use": version.model.out_of_scope_use,
            },
        }
    )


def inputs_sha256(request: PromotionRequest) -> str:
    """Return a hash of what an evaluation depends on: both manifests and the metrics compared."""
    return canonical.digest(
        {
            "candidate": request.version.manifest_sha256,
            "production": request.baseline.manifest_sha256 if request.baseline else None,
            "metrics": metric_keys(request.version),  # type: ignore[dict-item]
        }
    )


def metric_keys(version: ModelVersion) -> list[str]:
    """List the metrics of the version's task, the primary one first."""
    keys = list(TASK_METRICS.get(version.task, ()))
    first = primary(version)
    return sorted(keys, key=lambda key: key != first)


def primary(version: ModelVersion) -> str:
    """Return the metric the version is judged by first."""
    return measured.primary(version.run.primary_metric if version.run else "", version.task)


def _file_damage(row: dict[str, Any]) -> str:
    try:
        blobs.verify(row["sha256"])
    except blobs.BlobCorrupt:
        return f"The file {row['path']} has changed on disk."
    except Missing:
        return f"The file {row['path']} is missing."
    return ""


def evaluation(request: PromotionRequest) -> tuple[dict[str, Any], str]:
    """Return the stored result and, in words, why there is no comparison."""
    work = getattr(request, "evaluation", None)
    if work is None or not work.is_terminal:
        return {}, "the evaluation has not finished"
    if work.result is None:
        return {}, f"the evaluation failed: {(work.failure or work.get_state_display()).rstrip('.')}"
    return work.result, str(work.result.get("note", ""))


def told(request: PromotionRequest, hidden: Collection[str]) -> dict[str, Outcome]:
    """Return the verdicts about columns whose values are hidden from a reader, as told to them, by sealed name."""
    return saying.verdicts(request.policy.gates, seen_of(request), hidden) if hidden else {}


def seen_of(request: PromotionRequest) -> saying.Evidence:
    """Return what was measured for a request, to tell verdicts about it anew."""
    result, trouble = evaluation(request)
    dataset = request.version.dataset_version
    return saying.Evidence(
        result, trouble, primary(request.version), str(dataset.state) if dataset else None, _remarks(dataset)
    )


def refusal(request: PromotionRequest, red: Sequence[Outcome]) -> Conflict:
    """Return what is answered when gates stop a request; it quotes no value of a marked column, whoever reads it."""
    said = told(request, marked(request.version))
    shown = [said.get(item.name, item) for item in red]
    words = "; ".join(f"{item.title}: {item.found}" for item in shown)
    return Conflict(f"Blocked by {words}.", code="gates_failed", got=[item.name for item in shown])


def marked(version: ModelVersion) -> marks.Hidden:
    """Return the columns whose values not everybody may see, for what is written once for all."""
    dataset = version.dataset_version
    return marks.from_everybody(dataset.dataset) if dataset else marks.Hidden()


def _remarks(dataset: "DatasetVersion | None") -> list[saying.Remark]:
    return saying.remarks(dataset.warnings) if dataset else []


def _endpoint(name: str, endpoint: Endpoint | None) -> dict[str, canonical.Plain]:
    if endpoint is None:
        return {"name": name, "revision": None, "version": None, "enabled": True, "log_mode": "all"}
    revision = endpoint.current_revision
    return {
        "name": endpoint.name,
        "revision": revision.put_live if revision else None,
        "version": revision.version_id if revision else None,
        "enabled": endpoint.enabled,
        "log_mode": endpoint.log_mode,
    }
