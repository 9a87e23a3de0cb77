"""Fail where exporting or cleaning the notebooks would change a file; works on a copy. With --write: change it."""

import filecmp
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def drop_widget_state(path: Path) -> None:
    "JupyterLab may save what widgets showed, which is megabytes, and nbdev keeps it."
    notebook = json.loads(path.read_text(encoding="utf-8"))
    if notebook["metadata"].pop("widgets", None):
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write(root: Path) -> None:
    "Clean the notebooks of a checkout and export its modules."
    for path in (root / "nbs").rglob("*.ipynb"):
        drop_widget_state(path)
    for command in ("nbdev_clean", "nbdev_export"):
        subprocess.run([Path(sys.executable).parent / command], cwd=root, check=True)


def changed_files(before: Path, after: Path, pattern: str) -> list[str]:
    "Names of files that exist on one side only or differ."
    names = {p.relative_to(tree).as_posix() for tree in (before, after) for p in tree.glob(pattern)}
    names = {n for n in names if "checkpoint" not in n}
    return sorted(
        n
        for n in names
        if not (before / n).exists() or not (after / n).exists() or not filecmp.cmp(before / n, after / n, False)
    )


def check() -> int:
    "Exit code: 1 where a fresh export and clean of a copy differs from what is here."
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / ROOT.name
        copy.mkdir()
        for name in ("settings.ini", "setup.py", "pyproject.toml"):
            shutil.copy2(ROOT / name, copy / name)
        for name in ("nbs", "graves_nb"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_*"))
        for module in (copy / "graves_nb").glob("*.py"):
            if module.name not in ("__init__.py", "__main__.py"):
                module.unlink()
        write(copy)
        changed = changed_files(ROOT, copy, "graves_nb/*.py") + changed_files(ROOT, copy, "nbs/**/*.ipynb")
    for name in changed:
        print(f"{name}: differs after export and clean", file=sys.stderr)
    if changed:
        print("run `make export`, look at the difference, and commit both sides", file=sys.stderr)
    return int(bool(changed))


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write(ROOT)
    else:
        sys.exit(check())
