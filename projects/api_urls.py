"""REST routes of the projects app, below ``/api/v1/``."""

from django.urls import URLPattern, URLResolver, path

from projects.api import datasets

_version = "projects/<slug:project>/datasets/<str:name>/versions/<int:number>/"
urlpatterns: list[URLPattern | URLResolver] = [
    path("projects/<slug:project>/datasets/", datasets.Datasets.as_view(), name="api-datasets"),
    path("projects/<slug:project>/datasets/<str:name>/", datasets.DatasetDetail.as_view(), name="api-dataset"),
    path(
        "projects/<slug:project>/datasets/<str:name>/versions/",
        datasets.DatasetVersions.as_view(),
        name="api-dataset-versions",
    ),
    path(_version, datasets.DatasetVersionDetail.as_view(), name="api-dataset-version"),
    path(f"{_version}profile/", datasets.DatasetVersionProfile.as_view(), name="api-dataset-profile"),
    path(f"{_version}preview/", datasets.DatasetVersionRows.as_view(), name="api-dataset-preview"),
    path(f"{_version}download/", datasets.DatasetVersionDownload.as_view(), name="api-dataset-download"),
]
