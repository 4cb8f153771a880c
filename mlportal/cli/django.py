"""Django for commands that work on the data directory."""

import os


def setup() -> None:
    """Load Django. Logs go to the terminal as text and only errors, since a person reads them."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlportal.settings")
    os.environ.setdefault("MLPORTAL_LOG_LEVEL", "ERROR")
    os.environ.setdefault("MLPORTAL_LOG_FORMAT", "text")
    import django

    django.setup()
