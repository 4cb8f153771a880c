"""What a worker runs for the deployments app."""

from deployments.pipeline.evaluation import evaluate_request, portal, sweep_evaluations
from deployments.pipeline.explanation import explain_version, sweep_explanations

__all__ = ["evaluate_request", "explain_version", "portal", "sweep_evaluations", "sweep_explanations"]
