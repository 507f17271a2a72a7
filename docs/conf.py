"""How the site is built: `python -m sphinx -W -b html docs DIR` (extra `docs`)."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "extensions")]

from jaxopt_notes import __version__  # noqa: E402

project = "jaxopt_notes"
author = "jaxopt_notes developers"
copyright = author
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "docstrings",
    "mathml",
]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
html_math_renderer = "mathml"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = "jaxopt_notes"
html_copy_source = False
html_show_sourcelink = False
exclude_patterns = ["studies/index.html"]
