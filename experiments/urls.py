"""Pages of the experiments app, below ``/p/<project>/``."""

from django.urls import URLPattern, URLResolver

app_name = "experiments"
urlpatterns: list[URLPattern | URLResolver] = []
