"""Vendored files, collected files, and what no tracked file may name."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlportal import upgrade

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))


def test_vendored_files_are_those_of_their_manifests():
    import check_assets

    assert check_assets.main() == 0


def test_charts_are_compiled_beside_the_page():
    library = ROOT / "static" / "vendor" / "plotly-cartesian.min.js"
    assert library.read_text().partition("\n")[0] == "//# allFunctionsCalledOnLoad"


def test_changed_vendored_file_is_found(tmp_path):
    import shutil

    import check_assets

    copy = tmp_path / "vendor"
    shutil.copytree(ROOT / "static" / "vendor", copy)
    (copy / "htmx.min.js").write_text("changed")
    (copy / "extra.js").write_text("unlisted")
    (copy / "licenses" / "idiomorph.txt").unlink()
    assert check_assets.problems(copy) == [
        "vendor/htmx.min.js differs from its sha256 in MANIFEST.json",
        "vendor/idiomorph-ext.min.js has no licence text",
        "vendor/extra.js is not in MANIFEST.json",
    ]


def test_no_tracked_file_names_a_package_registry():
    done = subprocess.run(
        [sys.executable, "scripts/check_hosts.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_registry_pattern_finds_a_registry():
    import check_hosts

    assert check_hosts.PATTERN.search(b"resolved https" + b"://registry." + b"npmjs.org/htmx.org")
    assert not check_hosts.PATTERN.search(b"https://example.org/ and pypi.org without a scheme")


@pytest.mark.slow
def test_collected_modules_import_hashed_names(tmp_path, settings):
    settings.STATIC_ROOT = str(tmp_path / "static")
    settings.STORAGES = settings.STORAGES | {"staticfiles": {"BACKEND": "mlportal.lib.assets.Assets"}}
    assert upgrade.static_files() is True
    assert upgrade.static_files() is False, "nothing changed, so nothing to collect"
    modules = sorted((tmp_path / "static" / "js").rglob("*.js"))
    imported = [
        (path.parent / name).resolve()
        for path in modules
        for name in re.findall(r"""(?:from |import |import\()"(\.[^"]+)\"""", path.read_text())
    ]
    assert len(imported) > 10
    assert set(imported) <= set(modules)
    assert all(re.search(r"\.[0-9a-f]{12}\.js$", path.name) for path in modules)
    assert not list((tmp_path / "static").rglob("*.map"))


@pytest.mark.slow
def test_modules_that_import_each_other_are_collected(tmp_path, settings):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "js").mkdir(parents=True)
    (source / "js" / "a.js").write_text('import { b } from "./b.js";\nexport const a = () => b;\n')
    (source / "js" / "b.js").write_text('import { a } from "./a.js";\nexport const b = () => a;\n')
    settings.STATICFILES_DIRS = [source]
    settings.STATIC_ROOT = str(target)
    settings.STORAGES = settings.STORAGES | {"staticfiles": {"BACKEND": "mlportal.lib.assets.Assets"}}
    assert upgrade.static_files() is True
    (first,), (second,) = ((target / "js").glob(f"{name}.*.js") for name in "ab")
    assert f'from "./{second.name}";' in first.read_text()
    assert f'from "./{first.name}";' in second.read_text()
