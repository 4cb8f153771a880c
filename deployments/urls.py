"""Pages of the deployments app, below ``/p/<project>/``."""

from django.urls import URLPattern, URLResolver, path

from deployments.views import (
    batches,
    cards,
    endpoints,
    environments,
    ledger,
    model_facts,
    models,
    past,
    persons,
    promotions,
    reproductions,
    rollouts,
    rules,
    technical_files,
    thresholds,
    told,
    trials,
    tries,
    version_compare,
)

app_name = "deployments"
model = "models/<str:name>/"
version = f"{model}v/<int:number>/"
promotion = "promotions/<int:number>/"
batch = "batches/<int:batch>/"
endpoint = "deployments/<str:name>/"
rollout = f"{endpoint}rollouts/<int:number>/"
trial = f"{endpoint}trials/<int:number>/"
policy = "settings/policies/"
places = "settings/environments/"
place = f"{places}<str:environment>/"
urlpatterns: list[URLPattern | URLResolver] = [
    path("settings/persons/", persons.PersonSearchList.as_view(), name="person-search-list"),
    path("settings/persons/<int:number>/", persons.PersonSearchDetail.as_view(), name="person-search"),
    path("settings/persons/<int:number>/report/", persons.PersonReport.as_view(), name="person-report"),
    path("models/", models.ModelList.as_view(), name="model-list"),
    # Two words deep, so that a model may be called "register".
    path("models/register/run/", models.ModelRegister.as_view(), name="model-register"),
    path("models/compare/versions/", version_compare.VersionCompare.as_view(), name="version-compare"),
    path(model, models.ModelDetail.as_view(), name="model-detail"),
    path(f"{model}retrainings/", ledger.ModelLedger.as_view(), name="model-ledger"),
    path(f"{model}edit/", model_facts.ModelEdit.as_view(), name="model-edit"),
    path(f"{model}tags/", model_facts.ModelTags.as_view(), name="model-tags"),
    path(version, models.VersionDetail.as_view(), name="version-detail"),
    path(f"{version}verify/", models.VersionVerify.as_view(), name="version-verify"),
    path(f"{version}export/", models.VersionExport.as_view(), name="version-export"),
    path(f"{version}explain/", models.VersionExplain.as_view(), name="version-explain"),
    path(f"{version}reproduce/", reproductions.VersionReproduce.as_view(), name="version-reproduce"),
    path(
        f"{version}reproductions/<int:reproduction>/",
        reproductions.VersionCertificate.as_view(),
        name="version-certificate",
    ),
    path(f"{version}convert/", models.VersionConvert.as_view(), name="version-convert"),
    path(f"{version}request/", models.VersionRequest.as_view(), name="version-request"),
    path(f"{version}break-glass/", models.VersionBreakGlass.as_view(), name="version-break-glass"),
    path(f"{version}technical-file/", technical_files.VersionTechnicalFile.as_view(), name="technical-file"),
    path(f"{version}technical-file/edit/", technical_files.TechnicalFileEdit.as_view(), name="technical-file-edit"),
    path(
        f"{version}technical-file/issues/", technical_files.TechnicalFileIssues.as_view(), name="technical-file-issues"
    ),
    path(
        f"{model}technical-files/<int:number>/",
        technical_files.TechnicalFileIssue.as_view(),
        name="technical-file-issue",
    ),
    path(
        f"{model}technical-files/<int:number>/download/",
        technical_files.TechnicalFileDownload.as_view(),
        name="technical-file-download",
    ),
    path(f"{version}card/", cards.VersionCard.as_view(), name="version-card"),
    path(f"{version}card/edit/", cards.VersionCardEdit.as_view(), name="version-card-edit"),
    path(f"{version}card/files/<slug:form>/", cards.VersionCardFile.as_view(), name="version-card-file"),
    path("promotions/", promotions.PromotionList.as_view(), name="promotion-list"),
    path(promotion, promotions.PromotionDetail.as_view(), name="promotion-detail"),
    path(f"{promotion}card/", cards.PromotionCard.as_view(), name="promotion-card"),
    path(f"{promotion}progress/", promotions.PromotionProgress.as_view(), name="promotion-progress"),
    path(f"{promotion}decide/", promotions.PromotionDecide.as_view(), name="promotion-decide"),
    path(f"{promotion}withdraw/", promotions.PromotionWithdraw.as_view(), name="promotion-withdraw"),
    path(f"{promotion}override/", promotions.PromotionOverride.as_view(), name="promotion-override"),
    path(f"{promotion}threshold/", thresholds.PromotionThreshold.as_view(), name="promotion-threshold"),
    path(f"{promotion}retry/", promotions.PromotionRetry.as_view(), name="promotion-retry"),
    path(f"{promotion}switch/", promotions.PromotionSwitch.as_view(), name="promotion-switch"),
    path(f"{promotion}trial/", trials.PromotionTrial.as_view(), name="promotion-trial"),
    path(f"{promotion}rollout/", rollouts.PromotionRollout.as_view(), name="promotion-rollout"),
    path("predictions/<uuid:prediction>/explanation/", told.PredictionExplain.as_view(), name="prediction-explain"),
    path("batches/", batches.BatchList.as_view(), name="batch-list"),
    path("batches/start/", batches.BatchNew.as_view(), name="batch-new"),
    path(batch, batches.BatchDetail.as_view(), name="batch-detail"),
    path(f"{batch}progress/", batches.BatchProgress.as_view(), name="batch-progress"),
    path(f"{batch}cancel/", batches.BatchCancel.as_view(), name="batch-cancel"),
    path(f"{batch}retry/", batches.BatchRetry.as_view(), name="batch-retry"),
    path("deployments/", endpoints.EndpointList.as_view(), name="endpoint-list"),
    path(endpoint, endpoints.EndpointDetail.as_view(), name="endpoint-detail"),
    path(f"{endpoint}rollback/", endpoints.EndpointRollback.as_view(), name="endpoint-rollback"),
    path(trial, trials.TrialDetail.as_view(), name="trial-detail"),
    path(f"{trial}start/", trials.TrialStart.as_view(), name="trial-start"),
    path(f"{trial}stop/", trials.TrialStop.as_view(), name="trial-stop"),
    path(f"{rollout}start/", rollouts.RolloutStart.as_view(), name="rollout-start"),
    path(f"{rollout}pause/", rollouts.RolloutPause.as_view(), name="rollout-pause"),
    path(f"{rollout}resume/", rollouts.RolloutResume.as_view(), name="rollout-resume"),
    path(f"{rollout}advance/", rollouts.RolloutAdvance.as_view(), name="rollout-advance"),
    path(f"{rollout}promote/", rollouts.RolloutPromote.as_view(), name="rollout-promote"),
    path(f"{rollout}abort/", rollouts.RolloutAbort.as_view(), name="rollout-abort"),
    path(f"{endpoint}disable/", endpoints.EndpointDisable.as_view(), name="endpoint-disable"),
    path(f"{endpoint}enable/", endpoints.EndpointEnable.as_view(), name="endpoint-enable"),
    path(f"{endpoint}configure/", endpoints.EndpointConfigure.as_view(), name="endpoint-configure"),
    path(f"{endpoint}automation/", endpoints.AutomationConfigure.as_view(), name="automation-configure"),
    path(f"{endpoint}reviews/<int:number>/close/", endpoints.ReviewClose.as_view(), name="review-close"),
    path("endpoints/<str:endpoint>/try/", tries.EndpointTry.as_view(), name="endpoint-try"),
    path("settings/audit/production/", past.PastProduction.as_view(), name="past-production"),
    path("settings/audit/production/evidence/", past.PastEvidence.as_view(), name="past-evidence"),
    path(places, environments.EnvironmentList.as_view(), name="environment-list"),
    path(f"{places}moves/", environments.EnvironmentMoves.as_view(), name="environment-moves"),
    path(f"{place}rename/", environments.EnvironmentRename.as_view(), name="environment-rename"),
    path(f"{place}archive/", environments.EnvironmentArchive.as_view(), name="environment-archive"),
    path(f"{place}restore/", environments.EnvironmentRestore.as_view(), name="environment-restore"),
    path(f"{place}shift/", environments.EnvironmentShift.as_view(), name="environment-shift"),
    path(policy, rules.PolicyList.as_view(), name="policy-list"),
    path(f"{policy}<str:environment>/", rules.PolicyHistory.as_view(), name="policy-history"),
    path(f"{policy}<str:environment>/edit/", rules.PolicyEdit.as_view(), name="policy-edit"),
    path(f"{policy}<str:environment>/<int:number>/", rules.PolicyVersion.as_view(), name="policy-version"),
    path(f"{policy}<str:environment>/<int:number>/backtest/", rules.PolicyBacktest.as_view(), name="policy-backtest"),
    path(f"{policy}<str:environment>/<int:number>/activate/", rules.PolicyActivate.as_view(), name="policy-activate"),
    path(f"{policy}<str:environment>/<int:number>/confirm/", rules.PolicyConfirm.as_view(), name="policy-confirm"),
    path(f"{policy}<str:environment>/<int:number>/drop/", rules.PolicyDrop.as_view(), name="policy-drop"),
]
