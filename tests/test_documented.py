"""Every public name says what it is, what it takes and gives, and is shown at work: none may be missing."""

import importlib
import inspect
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from fastcore.docments import docments

ROOT = Path(__file__).parent.parent
NOTEBOOKS = {
    found[1]: [cell.source for cell in cells if cell.cell_type == "code"]
    for cells in (nbformat.read(path, 4).cells for path in sorted((ROOT / "nbs").glob("[0-9]*.ipynb")))
    for cell in cells
    if (found := re.match(r"#\| *default_exp (\w+)", cell.source))
}
TENSOR = r"(torch\.|np\.|numpy\.)?(Tensor|ndarray)\b"
SHAPE = r"\(.*[,)]|\[|scalar|shape|like|\bas\b|one number"  # how a comment tells the shape of a tensor
INHERITED = {"forward", "extra_repr", "step", "add_param_group"}  # called by way of torch: by using the object


def public_things(module):
    "Classes and functions of `__all__` that are written there, and the public methods of the classes."
    for name in module.__all__:
        thing = getattr(module, name)
        if not (inspect.isclass(thing) or inspect.isfunction(thing)):
            continue
        yield name, thing
        for key, value in vars(thing).items() if inspect.isclass(thing) else ():
            value = getattr(value, "__func__", getattr(value, "fget", value))  # of class methods and properties
            if not key.startswith("_") and inspect.isfunction(value) and value.__module__ == module.__name__:
                yield f"{name}.{key}", value


def is_documented(name, thing):
    if name.split(".")[-1] in INHERITED:
        return True
    return bool(thing.__doc__) and not thing.__doc__.startswith(f"{thing.__name__}(")  # a dataclass writes that itself


def help_of(annotation):
    "What a command says of an argument in its own help."
    return any(getattr(part, "help", None) for part in getattr(annotation, "__metadata__", ()))


def said_of(thing):
    "What is given and returned: name, annotation, comment. Of a class, its fields or what it is made of."
    fields = vars(thing).get("__annotations__", {}) if inspect.isclass(thing) else {}
    if fields and (issubclass(thing, tuple) or hasattr(thing, "__dataclass_fields__")):
        own = dict(re.findall(r"^    (\w+):.*?(?:  # (.*))?$", inspect.getsource(thing), re.MULTILINE))
        return [(name, kind, own.get(name) or "") for name, kind in fields.items() if "ClassVar" not in str(kind)]
    made = vars(thing).get("__init__") if inspect.isclass(thing) else thing
    if not inspect.isfunction(made):
        return []
    several = [
        p.name for p in inspect.signature(made).parameters.values() if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    found = {name: said for name, said in docments(made, full=True).items() if name not in ("self", "cls", *several)}
    return [(name, said.get("anno"), said.get("docment") or "") for name, said in found.items()]


def unsaid(thing):
    "Arguments without a comment, and tensors, given or returned, whose shape is not told."
    if getattr(thing, "__name__", "") in INHERITED - {"forward"}:
        return
    for name, kind, comment in said_of(thing):
        if help_of(kind):
            continue
        told = f"{comment} {thing.__doc__ or ''}" if name == "return" else comment
        if name != "return" and not comment:
            yield name
        elif re.match(TENSOR, getattr(kind, "__name__", str(kind))) and not re.search(SHAPE, told):
            yield f"shape of {name}"


def shown_in(code):
    "The part of a notebook that is not exported: examples."
    return "\n".join(cell for cell in code if not re.match(r"#\| *export", cell))


def without_example(module, code):
    "Names that their notebook does not use: neither called, nor returned by what is."
    shown, things = shown_in(code), list(public_things(module))
    words = set(re.findall(r"\w+", shown))
    returned = {
        word
        for name, thing in things
        if name.split(".")[-1] in words and not inspect.isclass(thing)
        for word in re.findall(r"\w+", str(thing.__annotations__.get("return", "")))
    }
    return [n for n, _ in things if n.split(".")[-1] not in words | returned | INHERITED]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_public_names_are_documented_and_shown(name):
    module = importlib.import_module(f"graves_nb.{name}")
    things = list(public_things(module))
    lacking = {n: "docstring" for n, thing in things if not is_documented(n, thing)}
    lacking |= {n: ", ".join(missing) for n, thing in things if (missing := list(unsaid(thing)))}
    lacking |= {n: "example" for n in without_example(module, NOTEBOOKS[name])}
    assert lacking == {}


def test_the_check_finds_what_is_missing():
    def good(x):
        "Twice x."

    def bad(
        x,
        y: int = 1,
        z: np.ndarray = None,  # of numbers
    ):
        pass

    assert is_documented("good", good) and not is_documented("bad", bad)
    assert list(unsaid(bad)) == ["x", "y", "shape of z"]
