"""Fields of papers that are filled from the records alone; the card and the technical file share them."""

from typing import Any

from deployments.cards.parts import risk
from deployments.cards.records import Records, stamp
from deployments.proof import certificate, papers
from deployments.proof.papers import Json, person
from experiments.training.catalogue import METRICS

MOST_ROWS = 30
MOST_NAMES = 10
NO_EVALUATION = "No evaluation of this version is on record. A request for a promotion makes one."
ASKER = "Data scientist: request a promotion"


def identity(facts: Records) -> Json:
    """Name, number, owner, origin, hashes."""
    version = facts.version
    rows = [
        ("Model", version.model.name), ("Version", version.number), ("Task", version.task),
        ("Algorithm", version.algorithm), ("Registered by", person(version.created_by_id)),
        ("Registered at", stamp(version.created_at)), ("Size in bytes", version.size_bytes),
        ("Run", version.run_id or version.run_uuid), ("Manifest sha256", version.manifest_sha256),
        ("Signed with key", version.signed_by), ("State", version.get_state_display()),
    ]  # fmt: skip
    return papers.pairs("identity", "Identity", rows, facts.of_version)


def owner(facts: Records) -> Json:
    """Who answers for the model."""
    rows = [("Owner", person(facts.version.model.owner_id))]
    return papers.pairs(
        "owner", "Owner", rows, facts.of_model, gap="The model has no owner.", who="Data scientist or project admin"
    )


def risk_class(facts: Records) -> Json:
    """Return the risk class that was stated."""
    return papers.text(
        "risk", "Risk class", risk(facts.version), facts.of_model,
        gap="Nobody has stated the risk class.", who="Owner of the model",
    )  # fmt: skip


def description(facts: Records) -> Json:
    """Texts of the version and of the model."""
    said = [text.strip() for text in (facts.version.model.description, facts.version.description) if text.strip()]
    return papers.text("description", "Description", "\n\n".join(said), facts.of_words)


def data(facts: Records) -> Json:
    """The dataset version: size, hash, licence, owner, marks."""
    version = facts.version.dataset_version
    if version is None:
        gap = "The version names no dataset of the portal."
        return papers.pairs("data", "Training data", [], facts.of_data, gap=gap, who="Data scientist")
    dataset = version.dataset
    marked = ", ".join(f"{name} ({mark})" for name, mark in sorted(dataset.marks.items()))
    rows = [
        ("Dataset", str(version)), ("Rows", version.row_count), ("Columns", version.column_count),
        ("Source", version.get_source_kind_display()), ("sha256", version.sha256), ("Licence", dataset.licence),
        ("Owner", person(dataset.owner_id or dataset.created_by_id)), ("Marked columns", marked or "none marked"),
        ("Tags", ", ".join(dataset.tags)), ("About", dataset.description[:2000]),
        ("Added at", stamp(version.created_at)),
    ]  # fmt: skip
    return papers.pairs("data", "Training data", rows, facts.of_data)


def data_quality(facts: Records) -> Json:
    """Checks of the dataset version and warnings of its profile."""
    version, run = facts.version.dataset_version, facts.checks
    if version is None or (run is None and not version.warnings):
        gap = "The dataset has not been checked."
        return papers.pairs("data_quality", "Data checks", [], facts.of_data, gap=gap, who="Owner of the dataset")
    warnings = [str(row.get("message") or row.get("text") or row) for row in version.warnings if isinstance(row, dict)]
    rows: list[tuple[str, Any]] = [("Warnings of the profile", "; ".join(warnings[:10]))]
    if run is not None:
        rows = [
            ("Checks", run.get_verdict_display()),
            ("Passed", run.passed_count),
            ("Failed", run.failed_count),
            *rows,
        ]
    return papers.pairs("data_quality", "Data checks", rows, facts.of_data)


def training(facts: Records) -> Json:
    """How it was trained: target, split, seed, hyper-parameters."""
    spec = facts.job.spec if facts.job else {}
    more = spec.get("hyper_parameters") or {}
    rows = [
        ("Algorithm", facts.version.algorithm), ("Target", spec.get("target")),
        ("Features", ", ".join(spec.get("features") or []) or ("all but the target" if spec else "")),
        ("Held-out share", spec.get("test_share")), ("Seed", spec.get("seed")), ("Folds", spec.get("folds")),
        *((f"Hyper-parameter {name}", value if _plain(value) else str(value)) for name, value in sorted(more.items())),
    ]  # fmt: skip
    gap = "Nothing is recorded of the training."
    return papers.pairs("training", "Training", rows, facts.of_run, gap=gap, who="Data scientist")


def reproductions(facts: Records) -> Json:
    """Certificates that say whether the version came out again from its recipe."""
    rows = []
    for row in facts.reproductions:
        found = row.document or {}
        names = [str(each["part"]) for each in found.get("differences", [])]
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        answers = found.get("predictions") or {}
        rows.append([
            row.get_verdict_display(), stamp(row.ended_at), answers.get("max_difference"),
            ", ".join(names[:MOST_NAMES]) + more or "none", certificate.digest(found), row.signed_by,
        ])  # fmt: skip
    newest = stamp(facts.reproductions[0].ended_at) if facts.reproductions else ""
    source = papers.Source("Certificates of reproduction", f"{facts.page}#reproduce", newest)
    heads = ("Verdict", "At", "Largest difference of a prediction", "What differed", "Certificate sha256", "Key")
    gap = "Nobody has trained the version again to see whether it comes out the same."
    return papers.table("reproduction", "Reproduction", heads, rows, source, gap=gap, who="Data scientist: reproduce")


def environment(facts: Records) -> Json:
    """Packages of the training."""
    found = facts.version.environment
    packages = found.get("packages") if isinstance(found.get("packages"), dict) else {}
    flat = {name: value for name, value in found.items() if not isinstance(value, dict | list)} | packages
    rows = [(str(name), str(value)) for name, value in sorted(flat.items())]
    gap = "The versions of the packages were not recorded."
    return papers.pairs("environment", "Software", rows, facts.of_run, gap=gap, who="Data scientist")


def inputs(facts: Records) -> Json:
    """What a request has to hold, and what is answered."""
    columns = facts.version.signature.get("inputs", [])
    rows = [
        [column["name"], column.get("kind", ""), bool(column.get("nullable")), _values(column)]
        for column in columns[:200]
    ]
    heads = ("Column", "Kind", "May be empty", "Values")
    return papers.table("inputs", "Inputs", heads, rows, facts.of_version, gap="The version has no schema of inputs.")


def metrics(facts: Records) -> Json:
    """Metrics of the newest evaluation with their intervals; without one those of the run."""
    found = facts.result.get("metrics", [])
    if not found:
        rows = [[_label(key), value, None, None, None] for key, value in sorted(facts.version.metrics.items())]
        heads = ("Metric", "Value", "95% interval", "In production", "95% interval of the difference")
        return papers.table("metrics", "Metrics", heads, rows, facts.of_run, gap="No metric is recorded.", who=ASKER)
    rows = [
        [
            _label(row["metric"]), row["candidate"], between(row.get("candidate_low"), row.get("candidate_high")),
            row.get("production"), between(row.get("low"), row.get("high")),
        ]
        for row in found
    ]  # fmt: skip
    heads = ("Metric", "Value", "95% interval", "In production", "95% interval of the difference")
    label = f"Metrics on {facts.result.get('rows', 0):,} held-out rows"
    return papers.table("metrics", label, heads, rows, facts.of_evaluation)


def segments(facts: Records) -> Json:
    """Read the first metric in each segment."""
    rows = []
    for row in (facts.result.get("segments") or [])[:MOST_ROWS]:
        for key, found in list(row["metrics"].items())[:1]:
            rows.append(
                [
                    f"{row['column']} = {row['value']}", row["rows"], _label(key), found.get("candidate"),
                    found.get("baseline"), between(found.get("low"), found.get("high")),
                ]
            )  # fmt: skip
    heads = ("Segment", "Rows", "Metric", "Value", "In production", "95% interval of the difference")
    return papers.table("segments", "By segment", heads, rows, facts.of_evaluation, gap=_missing(facts, "segments"))


def fairness(facts: Records) -> Json:
    """Rates per group with intervals, and the ratio of selection rates."""
    rows = []
    for column in facts.result.get("fairness") or []:
        ratio = (column.get("selection_ratio") or {}).get("candidate")
        for group in column["groups"][:MOST_ROWS]:
            rates = group["candidate"]
            named = [_rate(rates.get(name)) for name in ("selection_rate", "tpr", "fpr", "accuracy")]
            rows.append([f"{column['column']} = {group['value']}", group["rows"], *named, ratio])
    heads = (
        "Group", "Rows", "Selection rate", "True positive rate", "False positive rate", "Accuracy", "Selection ratio",
    )  # fmt: skip
    gap = _missing(facts, "fairness")
    return papers.table("fairness", "Fairness by group", heads, rows, facts.of_evaluation, gap=gap)


def calibration(facts: Records) -> Json:
    """Calibration error and Brier score."""
    ours = (facts.result.get("calibration") or {}).get("candidate") or {}
    rows = [("Expected calibration error", ours.get("ece")), ("Brier score", ours.get("brier"))]
    gap = _missing(facts, "calibration")
    return papers.pairs("calibration", "Calibration", rows, facts.of_evaluation, gap=gap)


def cost(facts: Records) -> Json:
    """Time of one prediction and size of the model file."""
    took = (facts.result.get("latency") or {}).get("candidate") or {}
    rows = [
        ("Prediction, median (ms)", took.get("p50_ms")), ("Prediction, p95 (ms)", took.get("p95_ms")),
        ("Prediction, p99 (ms)", took.get("p99_ms", facts.result.get("latency_ms"))),
        ("Model file in bytes", (facts.result.get("size") or {}).get("candidate_bytes")),
    ]  # fmt: skip
    return papers.pairs("cost", "Latency and size", rows, facts.of_evaluation, gap=NO_EVALUATION, who=ASKER)


def threshold(facts: Records) -> Json:
    """Tell which decision threshold was kept with the evidence, by which costs, and what it costs."""
    row, gap = facts.threshold, "No decision threshold was kept with a promotion."
    rows: list[tuple[str, Any]] = []
    if row:
        found = row.found["candidate"]
        rows = [
            ("Threshold", row.threshold), ("Cost of a false positive", row.false_positive),
            ("Cost of a false negative", row.false_negative), ("Expected cost of a row", found["value"]),
            ("95% interval, from", found["low"]), ("95% interval, to", found["high"]),
            ("False positives", found["false_positives"]), ("False negatives", found["false_negatives"]),
            ("Chosen by", person(row.chosen_by_id)),
        ]  # fmt: skip
    elif facts.evaluation and not facts.result.get("threshold"):
        rows = [("Threshold", "none: the evaluation was not of a binary classifier with probabilities")]
    return papers.pairs("threshold", "Decision threshold", rows, facts.of_threshold, gap=gap, who="Approver")


def explanations(facts: Records) -> Json:
    """Read what the model goes by: permutation importance, the strongest columns first."""
    found = (facts.result.get("explanations") or {}).get("importance") or facts.version.importance
    known = [row for row in found if isinstance(row, dict) and "feature" in row]
    known.sort(key=lambda row: -(row.get("mean") or 0.0))
    rows = [[row["feature"], row.get("mean"), row.get("std")] for row in known[:15]]
    source = facts.of_evaluation if facts.result.get("explanations") else facts.of_run
    heads = ("Column", "Permutation importance", "Standard deviation")
    return papers.table("explanations", "What it goes by", heads, rows, source, gap="No importance is recorded.")


def approvals(facts: Records) -> Json:
    """Who asked, who decided, and how it ended."""
    rows = []
    for asked in facts.requests:
        common = [asked.pk, asked.environment.name, asked.get_state_display(), person(asked.requested_by_id)]
        said = list(asked.decisions.all())
        rows += [[*common, person(one.user_id), one.get_verdict_display(), stamp(one.created_at)] for one in said]
        rows += [] if said else [[*common, None, None, stamp(asked.requested_at)]]
    heads = ("Promotion", "Environment", "State", "Asked by", "Decided by", "Verdict", "At")
    gap = "Nobody has asked for a promotion of this version."
    return papers.table("approvals", "Approvals", heads, rows, facts.of_requests, gap=gap, who="Data scientist")


def live(facts: Records) -> Json:
    """Where the version answered, and when."""
    rows = [
        [each.endpoint.name, each.endpoint.environment.name, stamp(each.valid_from), stamp(each.valid_to) or "now"]
        for each in facts.intervals
    ]
    source = papers.Source("Endpoints", f"{facts.base}/deployments/", rows[-1][2] if rows else "")
    heads = ("Endpoint", "Environment", "From", "Until")
    gap = "The version has not answered anywhere."
    return papers.table("live", "Where it answered", heads, rows, source, gap=gap, who="Ops")


def between(low: float | None, high: float | None) -> str | None:
    """Write an interval."""
    return None if low is None or high is None else f"{papers.cell(float(low))} to {papers.cell(float(high))}"


def _rate(found: Any) -> str | None:
    if not isinstance(found, dict) or found.get("value") is None:
        return None
    bounds = between(found.get("low"), found.get("high"))
    return papers.cell(float(found["value"])) + (f" ({bounds})" if bounds else "")


def _missing(facts: Records, part: str) -> str:
    """Say why the evaluation has no such part."""
    if not facts.result:
        return NO_EVALUATION
    whys = [row["why"] for row in facts.result.get("missing") or [] if row["part"].split(":")[0] == part]
    return f"Not measured: {'; '.join(whys[:3])}." if whys else "Not measured."


def _values(column: Json) -> str:
    if column.get("categories"):
        return ", ".join(str(item) for item in column["categories"])[:300]
    return f"{column['min']} to {column['max']}" if column.get("min") is not None else ""


def _label(key: str) -> str:
    return METRICS[key]["label"] if key in METRICS else key


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)
