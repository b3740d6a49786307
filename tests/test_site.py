"""The site builds without a warning, what would disappoint a reader is one; the reference knows every name."""

import html
import importlib
import importlib.util
import inspect
import json
import pathlib
import re
import subprocess
import sys

import pytest

import funcnet
from funcnet import activations
from funcnet.registry import public_names
from tests import browsing

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


def extension(name):
    """Return a module of docs/extensions."""
    sys.path.insert(0, str(DOCS / "extensions"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


checks = extension("checks")

# What is wider than the window, as far as the reader cannot scroll it, and pictures that are not there.
CUT = """
    const edge = document.documentElement.clientWidth + 1, found = [];
    const scrolls = e => e && e !== document.body &&
        (/auto|scroll/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
    for (const e of document.querySelectorAll(".content *"))
        if (e.getBoundingClientRect().right > edge && !scrolls(e.parentElement)) found.push("wide: " + e.tagName);
    for (const e of document.images) if (!e.naturalWidth) found.push("no picture: " + e.src);
    if (document.scrollingElement.scrollWidth > edge) found.push("the page is wider than its window");
    return [...new Set(found)];"""


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
def test_the_site_builds(site):
    """No warning: links lead somewhere, pictures have words, pages a way back, entries all that they must say."""
    assert (site / "index.html").is_file()


def test_what_fails_the_build_is_seen(tmp_path):
    """A missing file, image or anchor, a picture without words and a page without a way back; what is right is not."""
    (tmp_path / "index.html").write_text('<a href="a.html">a</a> <a href="b.html#there">b</a>')
    (tmp_path / "b.html").write_text('<h1 id="there">b</h1> <a href="index.html#top">home</a>')
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there">1</a> <a href="b.html#gone">2</a> <a href="c.html">3</a> <img src="x.png" alt="x.png"> '
        '<a href="https://example.org/c.html">4</a> <a href="#nowhere">5</a> <img src="a.html" alt="loss by epoch">'
    )
    pages = checks.read(tmp_path)
    broken = ["a.html: b.html#gone", "a.html: c.html", "a.html: #nowhere", "a.html: x.png", "b.html: index.html#top"]
    assert sorted(checks.broken_links(tmp_path, pages)) == sorted(broken)
    assert checks.unlabelled(tmp_path, pages) == ["a.html: x.png"]
    assert checks.lost(tmp_path, pages) == ["a.html"]


def test_torn_tables_are_seen():
    """A row with a bar too many, or one too few, is named; escaped bars and bars in code are none."""
    whole = "| a | b |\n| --- | --- |\n| \\|x\\| | 2 |\n"
    assert checks.torn_tables(whole + "\n```\n| no table |\n| x | y |\n```\n") == []
    assert checks.torn_tables(whole + "| |x| | 2 |\n| 1 |\n") == ["| |x| | 2 |", "| 1 |"]


@needs_extra
def test_entries_that_lack_something_are_seen():
    """The build names a parameter without words, an example that does not paste, and an entry without example."""
    lacking = extension("entries").lacking

    def function(width, depth=2):
        """Return it.

        Args:
            width: of each.

        >>> np.ones(3)
        """

    assert lacking("function", function, inspect.getdoc(function)) == [
        "no words on the parameter depth",
        "an example that does not paste: np",
    ]
    for what, entry in ("class", funcnet.ReLU), ("exception", funcnet.SweepFailed), ("function", function):
        assert "no example" in lacking(what, entry, "It says what it is, and shows nothing.")
    assert lacking("method", funcnet.Results.best, "The class above shows it at work.") == []


@needs_extra
def test_docstrings_are_set():
    """Exponents are raised, indices lowered, columns of any indentation stay lines; a default has its public name."""
    docstrings = extension("docstrings")
    assert docstrings.escaped("e^(−z_k) `a_b` y_k -> x*") == ("e\\ :sup:`−zₖ`\\  `a_b` y\\ :sub:`k`\\  → x\\*")
    assert docstrings.escaped("top_k, l1_ratio, validation_ and A_L") == (
        "top_k, l1_ratio, validation\\_ and A\\ :sub:`L`\\ "
    )
    long = ["    ask    " + "word " * 20 + "word", "    tell   `it`"]
    assert docstrings.wrapped(long) == ["ask    " + "word " * 20 + "word", "tell   it"]
    lines = docstrings.labelled(["Order  'a' or", '       "b": c', "       - d"])
    assert [line.strip() for line in lines[3:]] == ["* - Order", "- | 'a' or", '| "b": c', "| • d"]
    shown = docstrings.plain_defaults(None, "function", "", funcnet.mlp, None, "(activation=_RELU, x=<factory>)", None)
    assert shown == ("(activation=fn.relu, x={})", None)


@needs_extra
def test_formulas_are_set():
    """A sign stands close to its number, a name and a slash have no room of operators, a prime goes with an index."""
    mathml = extension("mathml").mathml
    assert mathml("a = -1").count('form="prefix"') == mathml("[-1, 1]").count('form="prefix"') == 1
    assert "<mi>max</mi>" in mathml(r"\operatorname{max}(a, b)")
    assert "<mo>max" not in mathml(r"\max_t a")
    assert "&#x0002B;&#x0003D;</mo>" in mathml("c += d")
    assert 'lspace="0.1em" rspace="0.1em"' in mathml("a / b")
    assert "&#x0223C;" in mathml(r"r \sim B")
    assert 'form="prefix"' in mathml(r"\lbrace -1 \rbrace")
    assert '<msub><mrow><mi>t</mi><mi class="prime">&#x02032;</mi></mrow><mi>k</mi></msub>' in mathml("t'_k")


@needs_extra
def test_numbers_and_long_names_are_set(site):
    """Sentences have minus signs and a % that keeps to its number; a long name in a table breaks at its joints."""
    text = (site / "promises.html").read_text()
    assert "1e−10" in text
    assert "25\N{NO-BREAK SPACE}%" in text
    assert "test_<wbr>one_<wbr>program_<wbr>per_<wbr>structure" in text
    assert "test_purity.py" in text
    assert "penalty=1e-3" in re.sub("<[^>]*>", "", (site / "reference" / "scikit-learn.html").read_text())


@needs_extra
def test_the_search_finds_what_people_type(site):
    """Words of other libraries lead to the page that answers, and whatever else is typed leads somewhere."""
    from sphinx.search.en import SearchEnglish

    index = json.loads(re.fullmatch(r"Search\.setIndex\((.*)\)", (site / "searchindex.js").read_text())[1])
    stem = SearchEnglish({}).stem

    def pages(word):
        found = [index[terms].get(stem(word), []) for terms in ("terms", "titleterms")]
        return {index["docnames"][i] for hits in found for i in (hits if isinstance(hits, list) else [hits])}

    words = extension("synonyms").WORDS
    assert [(page, word) for page, said in words.items() for word in said.split() if page not in pages(word)] == []
    typed = """
        categorical checkpoint callback cnn gpu verbose pipeline embedding flax lstm early stopping confusion matrix
        onnx resume dataloader epochs batch_size seed shuffle tensorboard wandb mlflow hdf5 transformer attention
        freeze momentum scheduler warmup softmax dropout regression classification imbalanced augmentation onehot
        missing predict save load summary parameters memory plot history multilabel"""
    assert [word for word in typed.split() if not pages(word)] == []


@needs_extra
def test_the_reference_knows_every_public_name(site):
    """Names of funcnet and of its public folders have an entry; instances are named at their class."""
    text = "".join(path.read_text() for path in [site / "cost.html", *(site / "reference").glob("*.html")])
    anchors = checks.Page(text).anchors
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
    text = "".join(path.read_text() for path in [site / "cost.html", *(site / "reference").glob("*.html")])
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


@needs_extra
def test_every_page_fits_a_phone(site):
    """In a browser 390 px wide no page is wider, nothing but what scrolls by itself is cut, and nobody complains."""
    pages = [path for path in sorted(site.rglob("*.html")) if path.relative_to(site).parts[0] != "files"]
    one = next(path for path in sorted((site / "files").rglob("*.py.html")))  # the others are made alike
    found = {}
    with browsing.opened() as browser:
        browser.resize(390)
        for path in [*pages, one]:
            browser.visit(path)
            if said := [*browser.run(CUT), *browser.complaints()]:
                found[str(path.relative_to(site))] = said
        assert found == {}
        wide = site / "wide.html"
        head = '<meta name="viewport" content="width=device-width">'
        wide.write_text(f'{head}<div class="content"><p style="width: 600px">wide</p></div><img src="gone.png">')
        browser.visit(wide)
        assert browser.run(CUT)[0] == "wide: P"
        assert len(browser.run(CUT)) == 3
        assert browser.complaints()
