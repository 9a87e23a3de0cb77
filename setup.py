"""Reads settings.ini, the only place where the package's metadata stand."""

from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

parser = ConfigParser(delimiters=["="])
parser.read("settings.ini", encoding="utf-8")
cfg = parser["DEFAULT"]
extras = {key.removesuffix("_requirements"): cfg[key].split() for key in cfg if key.endswith("_requirements")}

setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=Path("README.md").read_text(encoding="utf-8") if Path("README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    author=cfg["author"],
    keywords=cfg["keywords"],
    python_requires=f">={cfg['min_python']}",
    packages=[cfg["lib_name"]],
    package_data={
        cfg["lib_name"]: ["models/*/*", "styles/*", "results/*", "kernels/*", "js/*", "lab/*/*.json", "lab/*/static/*"]
    },
    install_requires=cfg["requirements"].split(),
    extras_require=extras,
    entry_points={"console_scripts": cfg["console_scripts"].split("\n")},
)
