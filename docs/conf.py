"""The documentation site: `python -m sphinx -W --keep-going docs docs/_build`, with the `docs` extra."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "extensions"))

import funcnet

project = "funcnet"
copyright = "the funcnet developers"
version = release = funcnet.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.linkcode",
    "checks",
    "concepts",
    "docstrings",
    "mathml",
    "pictures",
    "sources",
    "synonyms",
    "typography",
]
exclude_patterns = ["_build", "records"]
suppress_warnings = ["toc.empty_glob"]  # a group of studies may be empty

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 4
html_math_renderer = "mathml"
highlight_language = "none"  # formulas stand in indented blocks
default_role = "literal"  # `code` in docstrings
smartquotes_action = "D"  # -- is a dash

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the words of the docstrings say more: shapes, ranges, what None means
autodoc_preserve_defaults = True
toc_object_entries_show_parents = "hide"
napoleon_custom_sections = [("Attributes", "params_style")]  # several names may share a line
napoleon_use_rtype = False

html_theme = "furo"
html_title = "funcnet"
pygments_dark_style = "github-dark"
html_static_path = ["static"]
html_css_files = ["funcnet.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}


def linkcode_resolve(domain: str, info: dict[str, str]) -> str | None:
    """Lead from an entry of the reference to the page of its source; the cost of a step alone stands at the top."""
    import sources

    up = "" if info["fullname"].split(".")[0] in ("cost", "Cost") else "../"
    return sources.page_of_object(info["module"], info["fullname"], up)
