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
    "copies",
    "sphinx.ext.autodoc",
    "sphinx.ext.linkcode",
    "sphinx.ext.napoleon",
    "docstrings",
    "languages",
    "mathml",
    "notebooks",
    "sources",
]
# README.md lists the pages for who reads them in the repository; the pages of the studies are
# copied as they are.
exclude_patterns = ["README*.md", "studies", "extensions", "static", "templates"]

myst_enable_extensions = ["dollarmath", "colon_fence", "attrs_block"]
myst_heading_anchors = 3
html_math_renderer = "mathml"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
napoleon_use_ivar = True  # autodoc lists the fields of a NamedTuple already

html_theme = "furo"
html_title = "jaxopt_notes"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
templates_path = ["templates"]
html_search_language = "en+zh"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-link": "#0a58b0", "color-link--visited": "#0a58b0"},
    "dark_css_variables": {"color-link": "#7ab7ff", "color-link--visited": "#7ab7ff"},
}
