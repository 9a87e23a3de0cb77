"""Notebooks with outputs become pages: definitions get their signatures, figures and widgets do without a kernel."""

import html
import importlib
import inspect
import itertools
import json
import re
from pathlib import Path

import nbformat
import plotly.io
from nbformat.v4 import new_markdown_cell, new_output

VIEW, STATE = "application/vnd.jupyter.widget-view+json", "application/vnd.jupyter.widget-state+json"
FIGURE = "application/vnd.plotly.v1+json"
FIT = ".Fit"  # has nothing to show either, wherever it is defined
FIGURE_ID = "figure-number"  # until the page is whole, and its figures are counted
SHOWN = re.compile(r"!\[[^\]]*\]\(pictures/[\w-]+\.png\)")  # a key picture, for who only looks at the notebook
SILENT = {"LinkModel", "DirectionalLinkModel", "LayoutModel", "ButtonModel"}  # nothing to see without a kernel


def public_names(package: Path) -> dict[str, str]:
    "Every public name of the package with the module that defines it; a name that two modules define is left out."
    found: dict[str, list[str]] = {}
    for path in sorted(package.glob("[a-z]*.py")):
        module = importlib.import_module(f"{package.name}.{path.stem}")
        for name in module.__all__:
            thing = getattr(module, name)
            if not (inspect.isclass(thing) or inspect.isfunction(thing)) or thing.__module__ == module.__name__:
                found.setdefault(name, []).append(module.__name__)
    return {name: modules[0] for name, modules in found.items() if len(modules) == 1}


def link_names(text: str, names: dict[str, str]) -> str:
    "`name` leads to its definition, outside of code blocks."
    parts = re.split(r"(```.*?```|~~~.*?~~~)", text, flags=re.DOTALL)

    def link(found):
        name = found[1]
        if name in names:
            return f"{{py:obj}}`{name} <{names[name]}.{name}>`"
        if name.startswith("graves_nb."):
            return f"{{py:obj}}`{name}`" if name.split(".")[-1] in names else found[0]
        return found[0]

    parts[::2] = [re.sub(r"(?<![`}\w])`([A-Za-z_.]\w*(?:\.\w+)*)`(?!`)", link, part) for part in parts[::2]]
    return "".join(parts)


def definition_cells(source: str, module: str, names: set[str]) -> list:
    "The signatures of what an exported cell defines, for autodoc to fill in."
    found = re.findall(r"^(?:@.*\n)*(class|def) (\w+)", source, re.MULTILINE)
    blocks = []
    for kind, name in found:
        if name in names:
            directive = "autoclass" if kind == "class" else "autofunction"
            options = "\n   :members:" if kind == "class" else ""
            blocks.append(f"```{{eval-rst}}\n.. {directive}:: {module}.{name}{options}\n```")
    return [new_markdown_cell("\n\n".join(blocks))] if blocks else []


SCROLLS = """if (matchMedia("(pointer: coarse)").matches)
    Plotly.relayout("{plot_id}", { dragmode: false });"""  # a finger that moves over a figure scrolls the page


def table_html(trace: dict) -> str:
    "A plotly table as one of the page."
    columns = [[str(cell) for cell in column] for column in trace["cells"]["values"]]
    head = "".join(f"<th>{name}</th>" for name in trace["header"]["values"])
    rows = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in zip(*columns, strict=True))
    table = f'<table class="docutils"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<div class="table-wrapper">{table}</div>'


def figure_html(figure: dict, root: str) -> str:
    "A plotly figure as part of a page."
    if [trace.get("type") for trace in figure["data"]] == ["table"]:
        return table_html(figure["data"][0])
    figure = {key: figure[key] for key in ("data", "layout") if key in figure}
    layout = figure.setdefault("layout", {})
    layout.update(autosize=True)
    layout.pop("width", None)
    options = dict(include_plotlyjs=False, full_html=False, validate=False, div_id=FIGURE_ID, post_script=SCROLLS)
    config = dict(displaylogo=False, responsive=True, showSendToCloud=False)
    body = plotly.io.to_html(figure, config=config, **options)
    return f'<script src="{root}_static/plotly.min.js"></script><div class="figure">{body}</div>'


def control_html(name: str, state: dict) -> str:
    "A control that shows its value and cannot be moved."
    label, value = html.escape(str(state.get("description") or "")), state.get("value")
    if name in ("HTMLModel", "HTMLMathModel"):
        return f"<div>{value}</div>"
    if name == "LabelModel":
        return f"<div>{html.escape(str(value))}</div>"
    if state.get("_options_labels"):
        chosen = state["_options_labels"][state.get("index") or 0]
        return f"<label>{label} <select disabled><option>{html.escape(str(chosen))}</option></select></label>"
    if "min" in state and "max" in state:
        low, high, step = state["min"], state["max"], state.get("step", "any")
        bar = f'<input type="range" disabled min="{low}" max="{high}" step="{step}" value="{value}">'
        return f"<label>{label} {bar} <output>{value}</output></label>"
    if isinstance(value, bool):
        return f'<label><input type="checkbox" disabled {"checked" if value else ""}> {label}</label>'
    return f"<label>{label} <code>{html.escape(str(value))}</code></label>" if value is not None else ""


def still_view(model_id: str, models: dict, root: str) -> list:
    "What a widget shows, as outputs that need no kernel."
    model = models.get(model_id.removeprefix("IPY_MODEL_"))
    if model is None or model["model_name"] in SILENT:
        return []
    name, state = model["model_name"], model["state"]
    if "children" in state:
        return [output for child in state["children"] for output in still_view(child, models, root)]
    if name == "OutputModel":
        return [nbformat.from_dict(output) for output in state["outputs"]]
    if "_esm" in state:
        return [] if state.get("_anywidget_id", "").endswith(FIT) else [alone_output(state, root)]
    shown = control_html(name, state)
    return [html_output(f'<div class="still">{shown}</div>')] if shown else []


def alone_output(state: dict, root: str):
    "One of the package's own widgets, run by its JavaScript with nobody behind it."
    kept = {key: value for key, value in state.items() if not key.startswith("_")}
    source = json.dumps(dict(esm=state["_esm"], css=state.get("_css", ""), state=kept)).replace("</", "<\\/")
    return html_output(
        f'<div class="alone"><script type="application/json">{source}</script></div>'
        f'<script type="module" src="{root}_static/alone.js"></script>'
    )


def html_output(text: str):
    return new_output("display_data", {"text/html": text, "text/plain": ""})


def figure_output(figure: dict, root: str):
    return html_output(figure_html(figure, root))


def page_outputs(outputs: list, models: dict, root: str) -> list:
    "Outputs as a page shows them."
    made = []
    for output in outputs:
        data = output.get("data", {})
        if VIEW in data:
            shown = still_view(data[VIEW]["model_id"], models, root)
            made += page_outputs(shown, {}, root)
        elif FIGURE in data:
            made.append(figure_output(data[FIGURE], root))
        elif "image/svg+xml" in data:  # not as a file: its label is read, its ink follows the theme
            made.append(html_output(data["image/svg+xml"]))
        elif output.output_type == "stream" and output.name == "stderr":
            continue  # progress bars
        else:
            made.append(output)
    return made


def number_figures(cells: list) -> None:
    "Every figure of a page its own name, the same in every build."
    numbers = itertools.count(1)
    for data in [output.data for cell in cells for output in cell.get("outputs", []) if "data" in output]:
        if FIGURE_ID in data.get("text/html", ""):
            data["text/html"] = data["text/html"].replace(FIGURE_ID, f"figure-{next(numbers)}")


def page_of(source: Path, executed: Path, names: dict[str, str], root: str = ""):
    "The notebook that Sphinx is to read; the prose is the source's, the outputs those of its run."
    notebook, run = nbformat.read(source, as_version=4), nbformat.read(executed, as_version=4)
    models = run.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    outputs = iter([cell.outputs for cell in run.cells if cell.cell_type == "code"])
    module, cells = None, []
    for cell in notebook.cells:
        if SHOWN.fullmatch(cell.source.strip()):  # here the notebook was run
            continue
        if cell.cell_type != "code":
            cell.source = link_names(cell.source, names).replace("](../docs/", "](").replace("](../nbs/", "](")
            cells.append(cell)
            continue
        cell.outputs = page_outputs(next(outputs), models, root)
        cell.execution_count = None
        if found := re.match(r"#\| *default_exp (\w+)", cell.source):
            module = f"graves_nb.{found[1]}"
        if re.match(r"#\| *(default_exp|hide)\b", cell.source):
            continue
        if cell.source.startswith("#| export"):
            cell.source = cell.source.split("\n", 1)[1]
            own = {name for name, where in names.items() if where == module}
            signatures = definition_cells(cell.source, module, own)
            cells += signatures
            if signatures or re.match(r"(import|from) ", cell.source):
                cell.metadata.tags = ["hide-input"]
        cell.source = re.sub(r"^#\| *key\n", "", cell.source)
        cells.append(cell)
    number_figures(cells)
    notebook.cells = cells
    kernel = dict(name="python3", display_name="Python 3", language="python")
    # where cells begin: without it myst-nb counts 10,000 lines for each, and its {eval-rst} reads as many empty ones
    lines = [100 * number for number in range(len(cells) + 1)]
    notebook.metadata = nbformat.from_dict(dict(kernelspec=kernel, source_map=lines))
    return notebook
