"""What a worker runs for the deployments app."""

from deployments.pipeline.conversion import convert_version, sweep_conversions
from deployments.pipeline.evaluation import evaluate_request, portal, sweep_evaluations
from deployments.pipeline.explanation import explain_prediction, explain_version, sweep_explanations, sweep_told
from deployments.pipeline.person import search_person
from deployments.pipeline.reproduction import certify_reproduction
from deployments.pipeline.scoring import score_batch, sweep_batches

__all__ = [
    "certify_reproduction",
    "convert_version",
    "evaluate_request",
    "explain_prediction",
    "explain_version",
    "portal",
    "score_batch",
    "search_person",
    "sweep_batches",
    "sweep_conversions",
    "sweep_evaluations",
    "sweep_explanations",
    "sweep_told",
]
