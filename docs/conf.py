"""The site: Sphinx, myst-nb and furo, with what docments say about arguments beside every signature."""

import functools
import importlib
import inspect
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from fastcore.docments import docments  # noqa: E402
from pages import public_names  # noqa: E402

project, author = "graves_nb", "graves_nb contributors"
copyright = "2026 onwards, graves_nb contributors"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx_copybutton", "sphinx_design"]
html_theme, html_title = "furo", "graves_nb"
html_static_path = [
    str(ROOT / "docs" / "static"),
    *(str(ROOT / ".cache" / "docs" / part) for part in ("vendor", "live")),
]
html_extra_path = [str(ROOT / "docs" / "offline.js")]  # at the root, to be allowed to answer for all pages
html_css_files = ["site.css"]
html_js_files = ["disk.js"]
html_theme_options = dict(
    light_css_variables={"ink-filter": "none"},
    dark_css_variables={"ink-filter": "invert(0.92) hue-rotate(180deg)"},  # light ink on dark paper
)
html_copy_source = html_show_sourcelink = False
html_favicon = str(ROOT / "docs" / "static" / "pen.svg")
mathjax_path = "tex-svg.js"
mathjax3_config = {"options": {"enableMenu": False}}
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_dmath_double_inline, myst_heading_anchors, nb_execution_mode = True, 4, "off"
nb_code_prompt_show, nb_code_prompt_hide = "the {type} code", "hide the code"
myst_links_external_new_tab = False
autodoc_member_order, autodoc_typehints_format, autodoc_preserve_defaults = "bysource", "short", True
autodoc_default_options = {"undoc-members": False}
add_module_names = False
toc_object_entries = False
python_display_short_literal_types = True
copybutton_selector = "div.highlight pre"
suppress_warnings = ["mystnb.unknown_mime_type"]
NAMES = public_names(ROOT / "graves_nb")
inspect.findsource = functools.cache(inspect.findsource)  # which reads the whole module anew for each class


def as_rst(text: str) -> str:
    "A line of a docstring or docment, which is plain text with `names`."
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [re.sub(r"([*|_\\])", r"\\\1", part) for part in parts[::2]]

    def name(part):
        bare = part.strip("`")
        return f":py:obj:`{bare} <{NAMES[bare]}.{bare}>`" if bare in NAMES else f"``{bare}``"

    parts[1::2] = [name(part) for part in parts[1::2]]
    return "".join(parts)


def comment_of_field(name: str) -> str:
    "What stands beside a field of a named tuple, where it is defined."
    module, owner, field = name.rsplit(".", 2)
    source = inspect.getsource(getattr(importlib.import_module(module), owner))
    found = re.search(rf"^    {field}:.*?  # (.*)$", source, re.MULTILINE)
    return found[1] if found else ""


def describe(app, what, name, thing, options, lines):
    "The docstring, then what the docments say of every argument and of what is returned."
    if lines and lines[0].startswith("Alias for field number"):
        lines[:] = [comment_of_field(name)]
    lines[:] = [as_rst(line) for line in lines]
    if what == "class" and thing.__init__ is not object.__init__ and "__init__" in vars(thing):
        described = (
            docments(thing.__init__, full=True)
            if not hasattr(thing, "__dataclass_fields__")
            else docments(thing, full=True)
        )
    elif what in ("class", "function", "method"):
        try:
            described = docments(thing, full=True)
        except (TypeError, OSError, ValueError):
            return
    else:
        return
    fields = []
    for argument, said in described.items():
        if said.get("docment") and argument != "self":
            key = ":returns:" if argument == "return" else f":param {argument}:"
            fields.append(f"{key} {as_rst(' '.join(said['docment'].split()))}")
    if fields:
        lines += ["", *fields]


def setup(app):
    app.connect("autodoc-process-docstring", describe)
