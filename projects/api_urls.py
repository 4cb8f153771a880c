"""REST routes of the projects app, below ``/api/v1/``."""

from django.urls import URLPattern, URLResolver, path

from projects.api import (
    audit,
    channels,
    checks,
    dataset_diff,
    dataset_rows,
    dataset_trash,
    datasets,
    imports,
    marks,
    people,
    projects,
    splits,
)  # fmt: skip

_version = "projects/<slug:project>/datasets/<str:name>/versions/<int:number>/"
_dataset = "projects/<slug:project>/datasets/<str:name>/"
_project = "projects/<slug:project>/"
urlpatterns: list[URLPattern | URLResolver] = [
    path("account/", people.Account.as_view(), name="api-account"),
    path("users/", people.Users.as_view(), name="api-users"),
    path("users/<str:username>/", people.UserDetail.as_view(), name="api-user"),
    path("users/<str:username>/erase/", people.UserErase.as_view(), name="api-user-erase"),
    path("projects/", projects.Projects.as_view(), name="api-projects"),
    path(_project, projects.ProjectDetail.as_view(), name="api-project"),
    path(f"{_project}members/", projects.Members.as_view(), name="api-members"),
    path(f"{_project}members/<int:pk>/", projects.MemberDetail.as_view(), name="api-member"),
    path(f"{_project}tokens/", projects.Tokens.as_view(), name="api-tokens"),
    path(f"{_project}tokens/<int:pk>/", projects.TokenDetail.as_view(), name="api-token"),
    path(f"{_project}events/", audit.Events.as_view(), name="api-events"),
    path(f"{_project}events/export/", audit.EventExport.as_view(), name="api-events-export"),
    path(f"{_project}events/<int:seq>/", audit.EventDetail.as_view(), name="api-event"),
    path("audit/events/", audit.SiteEvents.as_view(), name="api-site-events"),
    path("audit/events/export/", audit.SiteEventExport.as_view(), name="api-site-events-export"),
    path("audit/anchors/", audit.Anchors.as_view(), name="api-anchors"),
    path("projects/<slug:project>/datasets/", datasets.Datasets.as_view(), name="api-datasets"),
    path("projects/<slug:project>/datasets/<str:name>/", datasets.DatasetDetail.as_view(), name="api-dataset"),
    path(
        "projects/<slug:project>/datasets/<str:name>/diff/",
        dataset_diff.DatasetDifference.as_view(),
        name="api-dataset-diff",
    ),
    path(
        "projects/<slug:project>/datasets/<str:name>/versions/",
        datasets.DatasetVersions.as_view(),
        name="api-dataset-versions",
    ),
    path(f"{_project}connections/", imports.Connections.as_view(), name="api-connections"),
    path(f"{_project}connections/<int:number>/", imports.ConnectionDetail.as_view(), name="api-connection"),
    path(f"{_project}dataset-imports/", imports.Imports.as_view(), name="api-dataset-imports"),
    path(f"{_project}dataset-imports/<int:number>/", imports.ImportDetail.as_view(), name="api-dataset-import"),
    path(
        f"{_project}dataset-imports/<int:number>/cancel/",
        imports.ImportCancel.as_view(),
        name="api-dataset-import-cancel",
    ),
    path(f"{_project}trash/datasets/", dataset_trash.Trash.as_view(), name="api-trash-datasets"),
    path(f"{_project}trash/datasets/<int:pk>/", dataset_trash.TrashedDataset.as_view(), name="api-trash-dataset"),
    path(
        f"{_project}trash/dataset-versions/<int:pk>/",
        dataset_trash.TrashedVersion.as_view(),
        name="api-trash-dataset-version",
    ),
    path(f"{_project}dataset-trash/", dataset_trash.Trash.as_view(), name="api-dataset-trash"),  # where it was
    path(f"{_version}lineage/", dataset_trash.VersionLineage.as_view(), name="api-dataset-lineage"),
    path(f"{_version}refresh/", imports.VersionRefresh.as_view(), name="api-dataset-refresh"),
    path(f"{_project}channels/", channels.Channels.as_view(), name="api-channels"),
    path(f"{_project}channels/<int:number>/", channels.ChannelDetail.as_view(), name="api-channel"),
    path(f"{_project}channels/<int:number>/test/", channels.ChannelTest.as_view(), name="api-channel-test"),
    path(
        f"{_project}channels/<int:number>/rotate-secret/", channels.ChannelSecret.as_view(), name="api-channel-secret"
    ),
    path(f"{_project}stars/", marks.Stars.as_view(), name="api-stars"),
    path(f"{_project}stars/<slug:kind>/<int:number>/", marks.StarDetail.as_view(), name="api-star"),
    path(f"{_project}comments/", marks.Comments.as_view(), name="api-comments"),
    path(f"{_project}comments/<int:comment>/", marks.CommentDetail.as_view(), name="api-comment"),
    path(f"{_project}deliveries/", channels.Deliveries.as_view(), name="api-deliveries"),
    path(f"{_project}deliveries/<int:number>/resend/", channels.DeliveryResend.as_view(), name="api-delivery-resend"),
    path(f"{_dataset}checks/", checks.DatasetChecks.as_view(), name="api-dataset-checks"),
    path(f"{_dataset}checks/suggestions/", checks.DatasetCheckSuggestions.as_view(), name="api-check-suggestions"),
    path(f"{_dataset}checks/history/", checks.DatasetCheckHistory.as_view(), name="api-check-history"),
    path(f"{_version}checks/", checks.DatasetVersionChecks.as_view(), name="api-version-checks"),
    path(f"{_version}splits/", splits.Splits.as_view(), name="api-splits"),
    path(f"{_version}split-preview/", splits.SplitPreview.as_view(), name="api-split-preview"),
    path(f"{_version}split-carry/", splits.SplitCarry.as_view(), name="api-split-carry"),
    path(f"{_version}splits/<str:split>/", splits.SplitDetail.as_view(), name="api-split"),
    path(f"{_version}splits/<str:split>/rows/", splits.SplitRows.as_view(), name="api-split-rows"),
    path(_version, datasets.DatasetVersionDetail.as_view(), name="api-dataset-version"),
    path(f"{_version}profile/", datasets.DatasetVersionProfile.as_view(), name="api-dataset-profile"),
    path(f"{_version}preview/", dataset_rows.DatasetVersionRows.as_view(), name="api-dataset-preview"),
    path(f"{_version}rows/export/", dataset_rows.DatasetVersionRowsExport.as_view(), name="api-dataset-rows-export"),
    path(f"{_version}download/", datasets.DatasetVersionDownload.as_view(), name="api-dataset-download"),
]
