"""Pages of the projects app: accounts, projects, members, datasets, audit log."""

from django.urls import URLPattern, URLResolver, path

from projects.views import datasets

app_name = "projects"
_version = "p/<slug:project>/datasets/<str:name>/v/<int:number>/"
urlpatterns: list[URLPattern | URLResolver] = [
    path("p/<slug:project>/datasets/", datasets.DatasetList.as_view(), name="dataset-list"),
    path("p/<slug:project>/datasets/new/", datasets.DatasetNew.as_view(), name="dataset-new"),
    path("p/<slug:project>/datasets/<str:name>/", datasets.DatasetDetail.as_view(), name="dataset"),
    path(_version, datasets.DatasetVersionDetail.as_view(), name="dataset-version"),
    path(f"{_version}progress/", datasets.DatasetVersionProgress.as_view(), name="dataset-version-progress"),
    path(f"{_version}rows/", datasets.DatasetVersionRows.as_view(), name="dataset-version-rows"),
    path(f"{_version}download/", datasets.DatasetVersionDownload.as_view(), name="dataset-version-download"),
]
