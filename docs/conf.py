"""Sphinx configuration of the manual."""

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "_ext"))

project = "atled"
author = "The atled authors"
copyright = "2026, The atled authors"
version = release = metadata.version("atled-core")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "atled_reference",
]
exclude_patterns = ["_build"]
default_role = "code"

html_theme = "furo"
html_title = "atled"
html_static_path = ["_static"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autoclass_content = "class"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
