"""Django for commands that work on the data directory."""

import os


def quiet() -> None:
    """Log only errors, as text, since a person reads them; call it before anything reads the settings."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlportal.settings")
    os.environ.setdefault("MLPORTAL_LOG_LEVEL", "ERROR")
    os.environ.setdefault("MLPORTAL_LOG_FORMAT", "text")


def setup() -> None:
    """Load Django."""
    quiet()
    import django

    django.setup()
