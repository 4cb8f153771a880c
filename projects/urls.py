"""Pages of the projects app: accounts, projects, members, datasets, audit log."""

from django.urls import URLPattern, URLResolver

app_name = "projects"
urlpatterns: list[URLPattern | URLResolver] = []
