"""Write a migration for each app that makes the tables of a new database at once.

Usage: ``python scripts/squash.py``, then move into each file what its replaced migrations do besides creating tables
(triggers, own indexes). ``tests/house/test_schema.py`` compares the outcome with the long way.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import django
from django.db import migrations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ModelState
from django.db.migrations.writer import MigrationWriter

from mlportal.lib.schema import CreateModels

APPS = ("projects", "experiments", "monitoring", "deployments")


def creation(model: ModelState) -> migrations.CreateModel:
    """Return the operation that creates a model as the state knows it."""
    return migrations.CreateModel(model.name, list(model.fields.items()), model.options, model.bases, model.managers)


def squashed(app: str, loader: MigrationLoader) -> migrations.Migration:
    """Return the migration that stands for all of an app."""
    known = sorted(name for label, name in loader.disk_migrations if label == app)
    models = [model for (label, _), model in loader.project_state().models.items() if label == app]
    made = migrations.Migration(f"0001_squashed_{known[-1]}", app)
    made.initial = True
    made.replaces = [(app, name) for name in known]
    needed = {needs for name in known for needs in loader.disk_migrations[app, name].dependencies}
    made.dependencies = sorted(place for place in needed if place[0] != app)
    made.operations = [CreateModels([creation(model) for model in models])]
    return made


def main() -> None:
    """Write the files."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlportal.settings")
    django.setup()
    loader = MigrationLoader(None, replace_migrations=False)
    for app in APPS:
        writer = MigrationWriter(squashed(app, loader), include_header=False)
        Path(writer.path).write_text(writer.as_string())
        print(writer.path)


if __name__ == "__main__":
    main()
