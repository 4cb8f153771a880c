"""Pages of the experiments app, below ``/p/<project>/``."""

from django.urls import URLPattern, URLResolver, path, re_path

from experiments.views import (
    compare,
    compare_data,
    compare_importance,
    experiments,
    files,
    jobs,
    launch,
    logged_models,
    run_bulk,
    run_columns,
    run_export,
    run_list,
    runs,
    saved,
)

app_name = "experiments"
urlpatterns: list[URLPattern | URLResolver] = [
    path("experiments/", experiments.ExperimentList.as_view(), name="experiment-list"),
    path("experiments/<str:experiment>/", run_list.RunList.as_view(), name="run-list"),
    path("experiments/<str:experiment>/columns/", run_columns.RunColumns.as_view(), name="run-columns"),
    path("experiments/<str:experiment>/compare/", compare.RunCompare.as_view(), name="run-compare"),
    path(
        "experiments/<str:experiment>/compare/series/",
        compare_data.CompareSeries.as_view(),
        name="compare-series",
    ),
    path("experiments/<str:experiment>/compare/facts/", compare_data.CompareFacts.as_view(), name="compare-facts"),
    path(
        "experiments/<str:experiment>/compare/importance/",
        compare_importance.CompareImportance.as_view(),
        name="compare-importance",
    ),
    path("experiments/<str:experiment>/logged-models/", logged_models.ModelList.as_view(), name="logged-model-list"),
    path("experiments/<str:experiment>/bulk/", run_bulk.RunBulk.as_view(), name="run-bulk"),
    re_path(
        r"^experiments/(?P<experiment>[^/]+)/export\.(?P<form>csv|json)$",
        run_export.RunExport.as_view(),
        name="run-export",
    ),
    path("experiments/<str:experiment>/views/", saved.ViewSave.as_view(), name="view-save"),
    path("views/<int:view>/", saved.ViewShow.as_view(), name="view-show"),
    path("views/<int:view>/change/", saved.ViewChange.as_view(), name="view-change"),
    path("runs/<int:run>/", runs.RunShow.as_view(), name="run-show"),
    path("runs/<int:run>/series/", runs.RunSeries.as_view(), name="run-series"),
    path("runs/<int:run>/notes/", runs.RunNotes.as_view(), name="run-notes"),
    path("runs/<int:run>/tags/", runs.RunTags.as_view(), name="run-tags"),
    path("runs/<int:run>/archive/", runs.RunArchive.as_view(), name="run-archive"),
    path("runs/<int:run>/artifacts/", files.FileList.as_view(), name="artifact-list"),
    path("runs/<int:run>/artifacts/<path:path>", files.FileShow.as_view(), name="artifact-show"),
    path("runs/<int:run>/raw/<path:path>", files.FileRaw.as_view(), name="artifact-raw"),
    path("logged-models/<str:model>/", logged_models.ModelShow.as_view(), name="logged-model-show"),
    path("logged-models/<str:model>/artifacts/", files.ModelFileList.as_view(), name="logged-model-file-list"),
    path(
        "logged-models/<str:model>/artifacts/<path:path>",
        files.ModelFileShow.as_view(),
        name="logged-model-file-show",
    ),
    path("logged-models/<str:model>/raw/<path:path>", files.ModelFileRaw.as_view(), name="logged-model-file-raw"),
    path("jobs/", jobs.Jobs.as_view(), name="job-list"),
    path("jobs/new/", launch.Launch.as_view(), name="job-launch"),
    path("jobs/<int:job>/", jobs.Job.as_view(), name="job-detail"),
    path("jobs/<int:job>/live/", jobs.JobLive.as_view(), name="job-live"),
    path("jobs/<int:job>/log/", jobs.JobLog.as_view(), name="job-log"),
    path("jobs/<int:job>/log.txt", jobs.JobLogText.as_view(), name="job-log-text"),
    path("jobs/<int:job>/cancel/", jobs.JobCancel.as_view(), name="job-cancel"),
    path("jobs/<int:job>/retry/", jobs.JobRetry.as_view(), name="job-retry"),
]
