"""The Celery app. Tasks carry ids only; the database row is the truth, a message only wakes a worker."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlportal.settings")

app = Celery("mlportal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
