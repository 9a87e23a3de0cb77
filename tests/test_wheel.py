"""The wheel, as a user gets it: everything in it, and it writes."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("settings.ini", "setup.py", "pyproject.toml", "README.md", "LICENSE", "graves_nb"):
        subprocess.run(["cp", "-r", str(ROOT / name), str(source)], check=True)
    build = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)]
    subprocess.run(build, check=True)
    (path,) = folder.glob("*.whl")
    return path


def package_files():
    "What the package is made of, beside what Python leaves there."
    files = (p.relative_to(ROOT) for p in (ROOT / "graves_nb").rglob("*") if p.is_file() and p.suffix != ".pyc")
    return {p.as_posix() for p in files if not any(part.startswith(".") for part in p.parts)}


def test_everything_is_in_the_wheel(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert package_files() <= inside
    assert any(name.endswith("licenses/LICENSE") for name in inside)


def test_metadata_come_from_settings(wheel):
    archive = zipfile.ZipFile(wheel)
    (metadata,) = [archive.read(n).decode() for n in archive.namelist() if n.endswith("METADATA")]
    settings = (ROOT / "settings.ini").read_text()
    version = next(line.split("=")[1].strip() for line in settings.splitlines() if line.startswith("version"))
    assert f"Version: {version}\n" in metadata
    assert "Requires-Dist: torch" in metadata
    assert "Requires-Dist: nbdev" in metadata and 'extra == "dev"' in metadata
    (entry,) = [archive.read(n).decode() for n in archive.namelist() if n.endswith("entry_points.txt")]
    assert "graves = graves_nb.cli:main" in entry


def test_the_installed_wheel_writes_a_line(wheel, tmp_path):
    site = tmp_path / "site"
    subprocess.run([*PIP, "install", "--no-deps", "--target", str(site), str(wheel)], check=True)
    code = "import graves_nb, os; print(os.path.dirname(graves_nb.__file__))"
    environment = os.environ | {"PYTHONPATH": str(site)}
    options = dict(cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert subprocess.run([sys.executable, "-c", code], **options).stdout.strip() == str(site / "graves_nb")
    run = subprocess.run([site / "bin" / "graves", "write", "from a wheel", "-o", "line.svg", "--bias", "1"], **options)
    assert run.returncode == 0, run.stderr
    assert "<svg" in (tmp_path / "line.svg").read_text()
