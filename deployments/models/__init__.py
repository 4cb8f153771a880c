"""Models of the deployments app."""

from deployments.models.approvals import Condition, Delegation
from deployments.models.automations import Automation, RetrainTrigger
from deployments.models.backtests import Backtest
from deployments.models.batches import Batch, BatchChunk
from deployments.models.conversions import Conversion
from deployments.models.endpoints import Endpoint, EndpointInterval, EndpointRevision, RollbackReview
from deployments.models.environments import Environment, EnvironmentMove
from deployments.models.explanations import Explanation, PredictionExplanation
from deployments.models.gaps import VersionGap
from deployments.models.persons import PersonSearch
from deployments.models.policies import Policy
from deployments.models.promotions import Decision, Evaluation, GateOverride, GateResult, PromotionRequest
from deployments.models.records import DrawnPaper, KeptCard, PaperVersion, TechnicalFile
from deployments.models.registry import Alias, ModelVersion, ModelVersionTag, RegisteredModel, RegisteredModelTag
from deployments.models.releases import PaperRelease
from deployments.models.reproductions import Reproduction
from deployments.models.rollouts import Rollout, RolloutCheck
from deployments.models.thresholds import ThresholdChoice
from deployments.models.trials import Trial, TrialJudgement, TrialLook

__all__ = [
    "Alias",
    "Automation",
    "Backtest",
    "Batch",
    "BatchChunk",
    "Condition",
    "Conversion",
    "Decision",
    "Delegation",
    "DrawnPaper",
    "Endpoint",
    "EndpointInterval",
    "EndpointRevision",
    "Environment",
    "EnvironmentMove",
    "Evaluation",
    "Explanation",
    "GateOverride",
    "GateResult",
    "KeptCard",
    "ModelVersion",
    "ModelVersionTag",
    "PaperRelease",
    "PaperVersion",
    "PersonSearch",
    "Policy",
    "PredictionExplanation",
    "PromotionRequest",
    "RegisteredModel",
    "RegisteredModelTag",
    "Reproduction",
    "RetrainTrigger",
    "RollbackReview",
    "Rollout",
    "RolloutCheck",
    "TechnicalFile",
    "ThresholdChoice",
    "Trial",
    "TrialJudgement",
    "TrialLook",
    "VersionGap",
]
