"""Put projects, people and tokens into the portal of the environment, in one process; print the tokens."""

import json

from mlportal.cli import django

django.setup()

from mlportal import upgrade  # noqa: E402
from projects.models import Membership  # noqa: E402 - Django is set up first
from tests.factories.projects import PASSWORD, make_project, make_token, make_user  # noqa: E402

SCOPES = ["read", "write", "train", "register", "predict"]


def main() -> None:
    """Ann works in churn and fraud, Eve looks on in churn, and nobody of them knows secret."""
    upgrade.database()
    upgrade.static_files()
    root = make_user("root")
    churn, fraud, secret = (make_project(slug, owner=root) for slug in ("churn", "fraud", "secret"))
    ann = make_user("ann", role="scientist", project=churn, default_project=churn)
    Membership.objects.create(user=ann, project=fraud, role="scientist")
    eve = make_user("eve", role="viewer", project=churn)
    Membership.objects.create(user=root, project=secret, role="admin")
    tokens = {
        "churn": make_token(ann, churn, SCOPES),
        "fraud": make_token(ann, fraud, SCOPES),
        "free": make_token(ann, None, SCOPES),
        "reading": make_token(ann, churn, ["read"]),
        "writing": make_token(ann, churn, ["read", "write"]),
        "old": make_token(ann, churn, SCOPES, days=-1),
        "viewer": make_token(eve, churn, SCOPES),
        "secret": make_token(root, secret, SCOPES),
    }
    print(json.dumps({"password": PASSWORD, "tokens": tokens}))


if __name__ == "__main__":
    main()
