"""Sphinx: the documentation site, from the Markdown of this folder and the docstrings of haepo_bench.api.

Build it with `nox -s docs`. Sphinx with MyST rather than a generator of Markdown sites: its API pages come from the
docstrings, every broken reference is an error, and it is kept. The theme loads nothing from elsewhere.
"""

from haepo_bench import __version__

project = "haepo-bench"
author = "The haepo-bench developers"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 4
html_theme = "furo"
exclude_patterns = ["_build"]
