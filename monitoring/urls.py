"""Pages of the monitoring app, below ``/p/<project>/``."""

from django.urls import URLPattern, URLResolver

app_name = "monitoring"
urlpatterns: list[URLPattern | URLResolver] = []
