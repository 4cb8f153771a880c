"""REST routes of the experiments app, below ``/api/v1/projects/<project>/``."""

from django.urls import URLPattern, URLResolver, path

from experiments.api import artifacts, bulk, compare, folder_roles, jobs, organising, reports, run_export, runs, saved

urlpatterns: list[URLPattern | URLResolver] = [
    path("experiments/", runs.Experiments.as_view(), name="api-experiments"),
    path("experiments/<str:experiment>/", runs.ExperimentDetail.as_view(), name="api-experiment"),
    path("views/", saved.Views.as_view(), name="api-views"),
    path("views/<int:view>/", saved.ViewDetail.as_view(), name="api-view"),
    path("experiments/<str:experiment>/compare/", compare.Compare.as_view(), name="api-compare"),
    path("experiments/<str:experiment>/importance/", compare.Importance.as_view(), name="api-importance"),
    path("reports/", reports.Reports.as_view(), name="api-reports"),
    path("reports/<int:report>/", reports.ReportDetail.as_view(), name="api-report"),
    path("reports/<int:report>/freeze/", reports.ReportFreeze.as_view(), name="api-report-freeze"),
    path("runs/", runs.Runs.as_view(), name="api-runs"),
    path("runs/export/", run_export.AllRunsExport.as_view(), name="api-runs-export"),
    path("runs/compare/", compare.AllCompare.as_view(), name="api-compare-all"),
    path("runs/importance/", compare.AllImportance.as_view(), name="api-importance-all"),
    path("folders/", organising.Folders.as_view(), name="api-folders"),
    path("folders/<int:folder>/roles/", folder_roles.FolderRoles.as_view(), name="api-folder-roles"),
    path("folders/<int:folder>/roles/<int:held>/", folder_roles.FolderRoleDetail.as_view(), name="api-folder-role"),
    path("folders/<int:folder>/", organising.FolderDetail.as_view(), name="api-folder"),
    path("experiments/<str:experiment>/folder/", organising.ExperimentPlace.as_view(), name="api-experiment-folder"),
    path(
        "experiments/<str:experiment>/archive/", organising.ExperimentArchive.as_view(), name="api-experiment-archive"
    ),
    path(
        "experiments/<str:experiment>/restore/", organising.ExperimentRestore.as_view(), name="api-experiment-restore"
    ),
    path("experiments/<str:experiment>/remove/", organising.ExperimentRemove.as_view(), name="api-experiment-remove"),
    path("experiments/<str:experiment>/export/", run_export.RunExport.as_view(), name="api-run-export"),
    path("trash/runs/", organising.TrashRuns.as_view(), name="api-trash-runs"),
    path("trash/experiments/", organising.TrashExperiments.as_view(), name="api-trash-experiments"),
    path("trash/empty/", organising.TrashEmpty.as_view(), name="api-trash-empty"),
    path("bulk/", bulk.BulkActions.as_view(), name="api-bulk-actions"),
    path("bulk/<int:bulk_action>/", bulk.BulkDetail.as_view(), name="api-bulk-action"),
    path("bulk/<int:bulk_action>/confirm/", bulk.BulkConfirm.as_view(), name="api-bulk-confirm"),
    path("bulk/<int:bulk_action>/undo/", bulk.BulkUndo.as_view(), name="api-bulk-undo"),
    path("bulk/<int:bulk_action>/stop/", bulk.BulkStop.as_view(), name="api-bulk-stop"),
    path("runs/<int:run>/", runs.RunDetail.as_view(), name="api-run"),
    path("runs/<int:run>/restore/", runs.RunRestore.as_view(), name="api-run-restore"),
    path("runs/<int:run>/start/", runs.RunStart.as_view(), name="api-run-start"),
    path("runs/<int:run>/log-batch/", runs.RunLog.as_view(), name="api-run-log-batch"),
    path("runs/<int:run>/finish/", runs.RunFinish.as_view(), name="api-run-finish"),
    path("runs/<int:run>/series/", runs.RunSeries.as_view(), name="api-run-series"),
    path("runs/<int:run>/tags/", runs.RunTags.as_view(), name="api-run-tags"),
    path("runs/<int:run>/tags/<path:tag>/", runs.RunTag.as_view(), name="api-run-tag"),
    path("runs/<int:run>/artifacts/", artifacts.Artifacts.as_view(), name="api-artifacts"),
    path("runs/<int:run>/artifacts/content/", artifacts.ArtifactContent.as_view(), name="api-artifact"),
    path("algorithms/", jobs.Algorithms.as_view(), name="api-algorithms"),
    path("jobs/", jobs.Jobs.as_view(), name="api-jobs"),
    path("jobs/<int:job>/", jobs.JobDetail.as_view(), name="api-job"),
    path("jobs/<int:job>/cancel/", jobs.JobCancel.as_view(), name="api-job-cancel"),
    path("jobs/<int:job>/retry/", jobs.JobRetry.as_view(), name="api-job-retry"),
    path("jobs/<int:job>/repeat/", jobs.JobRepeat.as_view(), name="api-job-repeat"),
    path("jobs/<int:job>/logs/", jobs.JobLogs.as_view(), name="api-job-logs"),
]
