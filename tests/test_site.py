"""The site builds without a warning, no local link of it leads nowhere, and its reference knows every public name."""

import html
import html.parser
import importlib
import importlib.util
import inspect
import pathlib
import re
import subprocess
import sys
import urllib.parse

import pytest

import funcnet
from funcnet import activations
from funcnet.registry import public_names

DOCS = pathlib.Path(__file__).parent.parent / "docs"
FOLDERS = [
    funcnet,
    activations,
    *(value for name in funcnet.__all__ if inspect.ismodule(value := getattr(funcnet, name))),
]
needs_extra = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("sphinx", "myst_parser", "furo", "latex2mathml")),
    reason="run with the docs extra",
)


class Page(html.parser.HTMLParser):
    """The anchors and the links of a page."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        """Note ids, href and src."""
        for name, value in attributes:
            if name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)


def broken_links(site):
    """List 'page: link' for each local link whose file or anchor is not there."""
    pages = {path.resolve(): Page(path.read_text()) for path in site.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            anchor = urllib.parse.unquote(parts.fragment)
            if not target.is_file() or (anchor and target in pages and anchor not in pages[target].anchors):
                broken.append(f"{path.relative_to(site.resolve())}: {link}")
    return broken


def extension(name):
    """Return a module of docs/extensions."""
    sys.path.insert(0, str(DOCS / "extensions"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site, with warnings as errors."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", out / "doctrees", DOCS, out / "html"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out / "html"


def test_no_line_is_a_comment_by_accident():
    """MyST takes a line that begins with % for a comment and leaves it out, as where a number and its % are parted."""
    lines = [(path, line) for path in DOCS.rglob("*.md") for line in path.read_text().splitlines()]
    assert [(path.name, line) for path, line in lines if line.startswith("%")] == []


@needs_extra
def test_the_site_builds_and_no_link_is_broken(site):
    """Every href and src that is not of another host leads to a file, and to an anchor in it."""
    assert broken_links(site) == []


def test_a_broken_link_is_seen(tmp_path):
    """A missing file, image or anchor is found; what is there is not complained of."""
    (tmp_path / "b.html").write_text('<h1 id="there">b</h1>')
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there">1</a> <a href="b.html#gone">2</a> <a href="c.html">3</a> <img src="x.png"> '
        '<a href="https://example.org/c.html">4</a> <a href="#nowhere">5</a>'
    )
    assert broken_links(tmp_path) == ["a.html: b.html#gone", "a.html: c.html", "a.html: x.png", "a.html: #nowhere"]


@needs_extra
def test_the_reference_knows_every_public_name(site):
    """Names of funcnet and of its public folders have an entry; instances are named at their class."""
    text = "".join(path.read_text() for path in (site / "reference").glob("*.html"))
    anchors = Page(text).anchors
    missing = []
    for folder in FOLDERS:
        for name in [*getattr(folder, "__all__", ()), *public_names(folder.__name__)]:
            home = ".".join(getattr(getattr(folder, name), "__module__", "funcnet").split(".")[:2])
            known = {f"{place}.{name}" for place in (folder.__name__, "funcnet", home, f"module-{folder.__name__}")}
            instance = f"fn.{name}</span>" in text
            if name not in ("REGISTRY", "LIBRARIES") and not known & anchors and not instance:
                missing.append(f"{folder.__name__}.{name}")
    assert missing == []


@needs_extra
def test_formulas_stand_in_the_reference(site):
    """Each concept's module brings its formulas along, set as mathematics, and its entry leads to the file."""
    formulas = extension("formulas")
    text = "".join(path.read_text() for path in (site / "reference").glob("*.html"))
    modules = [module for folder in FOLDERS for module in getattr(folder, "REGISTRY", ())]
    assert len(modules) > 50
    for module in modules:
        lines = module.__doc__.split("\n\n")[1].splitlines()
        math = [piece for line in lines for is_math, piece in formulas.pieces(line[11:]) if is_math and "=" in piece]
        latex = [html.escape(formulas.latex(piece.rstrip(",;:."))) for piece in math if formulas.balanced(piece)]
        assert any(f'alttext="{formula}"' in text for formula in latex) or not latex, module.__name__
        assert f"files/{module.__name__.replace('.', '/')}.py.html#" in text, module.__name__


@needs_extra
def test_no_page_needs_a_network(site):
    """Formulas are MathML, and neither a script, a style, a font nor a picture comes from another host."""
    pages = [path.read_text() for path in site.rglob("*.html")]
    assert sum(page.count("<math ") for page in pages) > 1000
    loaded = [re.findall(r'<(?:script|img|link|iframe)[^>]*(?:src|href)="(?:https?:)?//[^"]*"', page) for page in pages]
    assert [link for links in loaded for link in links if "canonical" not in link] == []
