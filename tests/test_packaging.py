"""What is declared against what is there: requirements, pins, imports, links, machines."""

import ast
import json
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
IGNORED = re.compile(r"(^|/)([._](?!ci/|gitignore|gitattributes|pre-commit)|build/|dist/|runs/|[^/]+\.egg-info/)")
TEXT = (".py", ".ipynb", ".md", ".toml", ".ini", ".txt", ".yaml", ".yml", ".c", ".js", ".css", ".in", "")


def tracked_files():
    "The files of the repository: as git has them, or all that no tool made where there is no git."
    if (ROOT / ".git").exists() and shutil.which("git"):
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
        names = listed.stdout.split("\0")[:-1]
    else:
        names = (p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*") if p.is_file())
        names = [n for n in names if not IGNORED.search(n) and "__pycache__" not in n]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def settings():
    parser = ConfigParser(delimiters=["="])
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    return parser["DEFAULT"]


def requirements(key):
    return [Requirement(word) for word in settings()[key].split()]


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


REQUIREMENTS = sorted(key for key in settings() if key.endswith("requirements"))


def test_constraints_are_exact_sorted_and_name_nothing_twice():
    names = [canonicalize_name(pin.name) for pin in pins()]
    assert names == sorted(set(names))
    assert all(re.fullmatch(r"==[\w.]+", str(pin.specifier)) and not pin.url and not pin.marker for pin in pins())


@pytest.mark.parametrize("key", REQUIREMENTS)
def test_what_is_required_is_pinned_within_its_range(key):
    versions = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins()}
    for requirement in requirements(key):
        version = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}, but constraints.txt pins {version}"


def test_what_the_library_imports_it_requires():
    required = {canonicalize_name(r.name) for r in requirements("requirements")}
    providers = packages_distributions()
    for path in sorted((ROOT / "graves_nb").glob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        names = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
        names |= {n.module for n in nodes if isinstance(n, ast.ImportFrom) and not n.level}
        for name in {n.split(".")[0] for n in names} - sys.stdlib_module_names - {"graves_nb"}:
            packages = {canonicalize_name(p) for p in providers.get(name, [name])}
            optional = {canonicalize_name(r.name) for r in requirements("onnx_requirements")}
            optional.add("triton")  # comes with torch where there is CUDA, and is for tests elsewhere
            assert packages & (required | optional), f"{path.name} imports {name}, which settings.ini does not require"


def test_no_file_names_the_machine_it_was_made_on():
    folders = re.compile(r"(?<![\w.:/-])/(home|root|Users|opt|mnt|work|workspace)/[\w.-]")
    for path in tracked_files():
        if path.suffix in TEXT and path != Path(__file__).resolve():
            text = path.read_text(encoding="utf-8")
            found = folders.search(text)
            assert not found, f"{path.relative_to(ROOT)}: {text[found.start() : found.end() + 30]!r}"
            assert str(ROOT) not in text, path.relative_to(ROOT)


def texts_with_links():
    "Markdown files, and the Markdown cells of the notebooks."
    for path in tracked_files():
        if path.suffix == ".md":
            yield path, path.read_text(encoding="utf-8")
        elif path.suffix == ".ipynb":
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            yield path, "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def test_links_between_files_lead_somewhere():
    for path, text in texts_with_links():
        for target in re.findall(r"\]\((?![a-z]+:|#)([^)\s#]+\.\w+)(?:#[^)]*)?\)", text):
            assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} links to {target}"


def test_the_page_of_notebooks_lists_them_all():
    page = (ROOT / "docs" / "notebooks.md").read_text()
    paths = [path.relative_to(ROOT).as_posix() for path in (ROOT / "nbs").rglob("*.ipynb") if path.stem != "index"]
    assert [path for path in paths if f"](../{path})" not in page and "checkpoint" not in path] == []


def test_the_page_of_the_paper_leaves_nothing_out():
    page = (ROOT / "docs" / "paper.md").read_text()
    told = {int(n) for n in re.findall(r"\((\d+)\)", page)}
    for first, last in re.findall(r"\((\d+)\)-\((\d+)\)", page):
        told |= set(range(int(first), int(last) + 1))
    assert set(range(1, 63)) - told == set()
    figures = {int(n) for n in re.findall(r"figures? (\d+)", page)}
    for first, last in re.findall(r"figures (\d+) (?:and|to) (\d+)", page):
        figures |= set(range(int(first), int(last) + 1))
    assert set(range(1, 22)) - figures == set() and all(f"table {n}" in page for n in range(1, 5))


def test_a_source_archive_builds_the_same_package(tmp_path):
    source = tmp_path / "source"
    for path in tracked_files():
        if path.suffix != ".safetensors":  # large, and of no account here
            copy = source / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    code = "from setuptools import build_meta; import sys; print(build_meta.build_sdist(sys.argv[1]))"
    built = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=source, check=True, capture_output=True, text=True
    )
    archive = tmp_path / built.stdout.split()[-1]
    shutil.unpack_archive(archive, tmp_path / "unpacked")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    for name in (
        "settings.ini",
        "setup.py",
        "README.md",
        "LICENSE",
        "graves_nb/kernels/step.c",
        "graves_nb/kernels/draw.c",
    ):
        assert (unpacked / name).exists(), name
    about = [sys.executable, "setup.py", "--name", "--version"]
    told = subprocess.run(about, cwd=unpacked, check=True, capture_output=True, text=True).stdout.split()
    assert told[-2:] == [settings()["lib_name"], settings()["version"]]


def tool(root, *words):
    "The check of the notebooks of a checkout."
    command = [sys.executable, str(root / "tools" / "check_notebooks.py"), *words]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


def save_notebook(root, source, **metadata):
    kernel = {"display_name": "python3", "language": "python", "name": "python3"}
    sources = ["#| default_exp part", f"#| export\n{source}"]
    common = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    cells = [dict(common, id=f"c{i}", source=s.splitlines(True)) for i, s in enumerate(sources)]
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel} | metadata, "nbformat": 4, "nbformat_minor": 5}
    (root / "nbs" / "00_part.ipynb").write_text(json.dumps(notebook))


@pytest.fixture(scope="module")
def small_repository(tmp_path_factory):
    "The same tools around one notebook, exported."
    root = tmp_path_factory.mktemp("small")
    for name in ("nbs", "graves_nb", "tools"):
        (root / name).mkdir()
    for name in ("settings.ini", "setup.py", "pyproject.toml", "graves_nb/__init__.py", "tools/check_notebooks.py"):
        shutil.copy(ROOT / name, root / name)
    save_notebook(root, "x = 1")
    assert tool(root, "--write").returncode == 0
    return root


@pytest.fixture
def checkout(small_repository, tmp_path):
    return Path(shutil.copytree(small_repository, tmp_path / "checkout"))


def test_the_check_has_nothing_to_say_after_an_export(checkout):
    run = tool(checkout)
    assert run.returncode == 0 and not run.stderr


def test_the_check_tells_what_would_change_and_touches_nothing(checkout):
    save_notebook(checkout, "x = 2", widgets={"state": {}})
    (checkout / "graves_nb" / "stray.py").write_text("")
    before = {p: p.read_bytes() for p in checkout.rglob("*.*") if p.is_file()}
    run = tool(checkout)
    assert run.returncode == 1
    *told, hint = run.stderr.strip().splitlines()
    assert [line.split(":")[0] for line in told] == ["graves_nb/part.py", "graves_nb/stray.py", "nbs/00_part.ipynb"]
    assert hint.startswith("run `make export`")
    assert before == {p: p.read_bytes() for p in checkout.rglob("*.*") if p.is_file()}


def test_export_takes_the_notebook_over_the_module_and_drops_widget_state(checkout):
    save_notebook(checkout, "x = 2", widgets={"state": {}})
    (checkout / "graves_nb" / "part.py").write_text("x = 3\n")
    assert tool(checkout, "--write").returncode == 0
    assert "x = 2" in (checkout / "graves_nb" / "part.py").read_text()
    assert "widgets" not in (checkout / "nbs" / "00_part.ipynb").read_text()
