"""Fail where exporting or cleaning the notebooks would change a file; works on a copy, changes nothing."""

import filecmp
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def changed_files(before: Path, after: Path, pattern: str) -> list[str]:
    "Names of files that exist on one side only or differ."
    names = {p.relative_to(tree).as_posix() for tree in (before, after) for p in tree.glob(pattern)}
    names = {n for n in names if "checkpoint" not in n}
    return sorted(
        n
        for n in names
        if not (before / n).exists() or not (after / n).exists() or not filecmp.cmp(before / n, after / n, False)
    )


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / ROOT.name
        copy.mkdir()
        for name in ("settings.ini", "setup.py", "pyproject.toml"):
            shutil.copy2(ROOT / name, copy / name)
        for name in ("nbs", "graves_nb"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_*"))
        for module in (copy / "graves_nb").glob("*.py"):
            if module.name != "__init__.py":
                module.unlink()
        for command in ("nbdev_clean", "nbdev_export"):
            subprocess.run([Path(sys.executable).parent / command], cwd=copy, check=True)
        changed = changed_files(ROOT, copy, "graves_nb/*.py") + changed_files(ROOT, copy, "nbs/**/*.ipynb")
    for name in changed:
        print(f"{name}: differs after export and clean", file=sys.stderr)
    if changed:
        print("run `make export`, look at the difference, and commit both sides", file=sys.stderr)
    return bool(changed)


if __name__ == "__main__":
    sys.exit(main())
