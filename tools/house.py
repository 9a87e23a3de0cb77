"""What a reader meets in the package, counted: python tools/house.py [FOLDER OF A CHECKOUT]."""

import ast
import json
import re
import sys
from pathlib import Path

PAPER = ("lstm", "softmax", "mixture", "window", "prediction", "synthesis")  # the notebooks of the paper's parts


def exported_cells(notebook: Path) -> list[str]:
    "Code cells of a notebook that become the module, without their directive."
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return [source.partition("\n")[2] for source in sources if re.match(r"#\| *exporti?\b", source)]


def place_of_class(notebook: Path, name: str) -> tuple[int, int]:
    "In which code cell a class is written, from 1, and in how many lines; methods assigned afterwards are not in it."
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    number = next(i for i, source in enumerate(sources, 1) if f"class {name}(" in source)
    return number, len(sources[number - 1].splitlines()) - 1


def arguments(function: ast.FunctionDef) -> int:
    "How many arguments a function takes, besides the object or class it belongs to."
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls", "ctx")])


def is_command(function: ast.FunctionDef) -> bool:
    "Whether a function is a command, whose arguments are the options of a shell."
    return any("command" in ast.dump(decorator) for decorator in function.decorator_list)


def assigned(tree: ast.Module) -> int:
    "Methods that are given to a class of the module after it was written."
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    targets = [t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets]
    flat = [e for t in targets for e in (t.elts if isinstance(t, ast.Tuple) else [t])]
    return sum(isinstance(t, ast.Attribute) and getattr(t.value, "id", "") in classes for t in flat)


def counts(root: Path) -> dict[str, object]:
    "All of it, by name."
    modules = [p for p in sorted((root / "graves_nb").glob("*.py")) if not p.name.startswith("_")]
    trees = [ast.parse(p.read_text(encoding="utf-8")) for p in modules]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    functions = [n for n in nodes if isinstance(n, ast.FunctionDef) and not is_command(n)]
    calls = [n for n in nodes if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "isinstance"]
    paper = {}
    for path in sorted((root / "nbs").glob("[0-9]*.ipynb")):
        name = path.stem.partition("_")[2]
        if name in PAPER:
            paper[name] = sum(len(cell.splitlines()) for cell in exported_cells(path))
        if name == "synthesis":
            place = place_of_class(path, "SynthesisNetwork")
    return {
        "exported lines of the paper's notebooks": paper | {"all six": sum(paper.values())},
        "SynthesisNetwork": f"code cell {place[0]}, {place[1]} lines",
        "isinstance": len(calls),
        "functions of more than 8 arguments, commands aside": sum(arguments(f) > 8 for f in functions),
        "methods assigned from outside": sum(map(assigned, trees)),
        "modules": len(modules),
        "lines of modules": sum(len(p.read_text(encoding="utf-8").splitlines()) for p in modules),
    }


if __name__ == "__main__":
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent
    for name, value in counts(root).items():
        print(f"{name}: {value}")
