"""REST routes of the deployments app, below ``/api/v1/projects/<project>/``."""

from django.urls import URLPattern, URLResolver, path

from deployments.api import (
    cards,
    compared,
    conversions,
    delegations,
    endpoints,
    environments,
    evidence,
    models,
    past,
    policies,
    predict,
    promotions,
    reproductions,
    retrainings,
    technical_files,
    thresholds,
)

model = "models/<str:name>/"
version = f"{model}versions/<int:number>/"
issue = f"{model}technical-files/<int:number>/"
promotion = "promotions/<int:number>/"
endpoint = "endpoints/<str:endpoint>/"
again = f"{version}reproductions/"
place = "environments/<str:name>/policy/"
rules = "environments/<str:name>/policies/"
version_of_rules = f"{rules}<int:number>/"
urlpatterns: list[URLPattern | URLResolver] = [
    path("models/", models.Models.as_view(), name="api-models"),
    path(model, models.ModelDetail.as_view(), name="api-model"),
    path(f"{model}serving/", compared.ModelServing.as_view(), name="api-model-serving"),
    path("model-comparison/", compared.ModelComparison.as_view(), name="api-model-comparison"),
    path(f"{model}versions/", models.Versions.as_view(), name="api-versions"),
    path(version, models.VersionDetail.as_view(), name="api-version"),
    path(f"{version}verify/", models.VersionVerify.as_view(), name="api-version-verify"),
    path(f"{version}export/", models.VersionExport.as_view(), name="api-version-export"),
    path(f"{version}explanation/", models.VersionExplanation.as_view(), name="api-version-explanation"),
    path(again, reproductions.VersionReproductions.as_view(), name="api-reproductions"),
    path(f"{again}<int:reproduction>/", reproductions.VersionReproduction.as_view(), name="api-reproduction"),
    path(f"{again}<int:reproduction>/certificate/", reproductions.VersionCertificate.as_view(), name="api-certificate"),
    path(f"{version}technical-file/", technical_files.VersionTechnicalFile.as_view(), name="api-technical-file"),
    path(f"{version}technical-file/issues/", technical_files.TechnicalFiles.as_view(), name="api-technical-files"),
    path(issue, technical_files.TechnicalFileDetail.as_view(), name="api-technical-file-issue"),
    path(f"{issue}download/", technical_files.TechnicalFileDownload.as_view(), name="api-technical-file-download"),
    path(
        f"{issue}difference/", technical_files.TechnicalFileDifference.as_view(), name="api-technical-file-difference"
    ),
    path(f"{version}card/", cards.VersionCard.as_view(), name="api-version-card"),
    path(f"{version}card/versions/", cards.VersionCards.as_view(), name="api-version-cards"),
    path(f"{version}card/difference/", cards.VersionCardDifference.as_view(), name="api-version-card-difference"),
    path(f"{version}card/files/<slug:form>/", cards.VersionCardFile.as_view(), name="api-version-card-file"),
    path(f"{model}aliases/", models.Aliases.as_view(), name="api-aliases"),
    path(f"{model}aliases/<str:alias>/", models.AliasDetail.as_view(), name="api-alias"),
    path("promotions/", promotions.Promotions.as_view(), name="api-promotions"),
    path("promotions/break-glass/", promotions.BreakGlass.as_view(), name="api-break-glass"),
    path("delegations/", delegations.Delegations.as_view(), name="api-delegations"),
    path("delegations/<int:number>/revoke/", delegations.DelegationRevoke.as_view(), name="api-delegation-revoke"),
    path(f"{version}conversion/", conversions.VersionConversion.as_view(), name="api-version-conversion"),
    path(promotion, promotions.PromotionDetail.as_view(), name="api-promotion"),
    path(f"{promotion}card/", cards.PromotionCard.as_view(), name="api-promotion-card"),
    path(f"{promotion}decide/", promotions.PromotionDecide.as_view(), name="api-promotion-decide"),
    path(f"{promotion}withdraw/", promotions.PromotionWithdraw.as_view(), name="api-promotion-withdraw"),
    path(f"{promotion}override/", promotions.PromotionOverride.as_view(), name="api-promotion-override"),
    path(f"{promotion}evidence/", evidence.PromotionEvidence.as_view(), name="api-promotion-evidence"),
    path(f"{promotion}threshold/", thresholds.PromotionThreshold.as_view(), name="api-promotion-threshold"),
    path(f"{promotion}retry/", evidence.PromotionRetry.as_view(), name="api-promotion-retry"),
    path(f"{promotion}switch/", promotions.PromotionSwitch.as_view(), name="api-promotion-switch"),
    path("production/", past.Production.as_view(), name="api-production"),
    path("production/evidence/", past.ProductionEvidence.as_view(), name="api-production-evidence"),
    path("environments/", environments.Environments.as_view(), name="api-environments"),
    path("environment-moves/", environments.EnvironmentMoves.as_view(), name="api-environment-moves"),
    path("environment-order/", environments.EnvironmentOrder.as_view(), name="api-environment-order"),
    path("environments/<str:name>/", environments.EnvironmentDetail.as_view(), name="api-environment"),
    path("environments/<str:name>/archive/", environments.EnvironmentArchive.as_view(), name="api-environment-archive"),
    path("environments/<str:name>/restore/", environments.EnvironmentRestore.as_view(), name="api-environment-restore"),
    path("gate-kinds/", policies.GateKinds.as_view(), name="api-gate-kinds"),
    path(place, policies.EnvironmentPolicy.as_view(), name="api-policy"),
    path(f"{place}<int:number>/confirm/", policies.PolicyConfirm.as_view(), name="api-policy-confirm"),
    path(rules, policies.Policies.as_view(), name="api-policies"),
    path(version_of_rules, policies.PolicyDetail.as_view(), name="api-policy-version"),
    path(f"{version_of_rules}activate/", policies.PolicyActivate.as_view(), name="api-policy-activate"),
    path(f"{version_of_rules}drop/", policies.PolicyDrop.as_view(), name="api-policy-drop"),
    path(f"{version_of_rules}backtest/", policies.PolicyBacktest.as_view(), name="api-policy-backtest"),
    path("endpoints/", endpoints.Endpoints.as_view(), name="api-endpoints"),
    path(endpoint, endpoints.EndpointDetail.as_view(), name="api-endpoint"),
    path(f"{endpoint}openapi/", endpoints.EndpointOpenapi.as_view(), name="api-endpoint-openapi"),
    path(f"{endpoint}revisions/", endpoints.EndpointRevisions.as_view(), name="api-endpoint-revisions"),
    path(f"{endpoint}rollback/", endpoints.EndpointRollback.as_view(), name="api-endpoint-rollback"),
    path(f"{endpoint}reviews/<int:number>/close/", endpoints.ReviewClose.as_view(), name="api-review-close"),
    path(f"{endpoint}disable/", endpoints.EndpointDisable.as_view(), name="api-endpoint-disable"),
    path(f"{endpoint}enable/", endpoints.EndpointEnable.as_view(), name="api-endpoint-enable"),
    path(f"{endpoint}automations/", endpoints.EndpointAutomations.as_view(), name="api-endpoint-automations"),
    path(f"{endpoint}retrainings/", retrainings.EndpointRetrainings.as_view(), name="api-endpoint-retrainings"),
    path(f"{endpoint}predict/", predict.Predict.as_view(), name="api-endpoint-predict"),
]
