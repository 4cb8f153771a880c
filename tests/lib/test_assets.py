"""What ``make up`` does with the static files."""

import json
import os
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_every_file_gets_a_hashed_name_and_modules_import_hashed_names(tmp_path):
    collect = [sys.executable, "manage.py", "collectstatic", "--noinput", "-v0", "-i", "drf_*", "-i", "rest_framework"]
    subprocess.run(collect, env=os.environ | {"MLPORTAL_STATIC_ROOT": str(tmp_path)}, check=True)
    paths = json.loads((tmp_path / "staticfiles.json").read_text())["paths"]
    assert paths["css/tokens.css"] != "css/tokens.css"
    modules = [name for name in paths if name.startswith("js/")]
    assert len(modules) > 10
    for name in modules:
        text = (tmp_path / paths[name]).read_text()
        for imported in re.findall(r'(?:from|import)\s*\(?\s*"(\.[^"]+)"', text):
            assert re.search(r"\.[0-9a-f]{12}\.js$", imported), f"{name} imports {imported}"
