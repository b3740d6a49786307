"""Figures and the report: nothing hidden, nothing run, nothing loaded; and it sorts in a real browser."""

import html.parser
import itertools
import json
import pathlib
import re

import numpy as np
import pytest

import funcnet as fn
from funcnet.results import report
from funcnet.results.report import figures
from funcnet.results.rows import Row
from funcnet.results.table import Results
from tests import browsing

NAN = float("nan")
BASE = fn.Experiment(fn.mlp(8, 3), fn.SoftmaxCrossEntropy(), fn.Adam(0.01), epochs=6)
NASTY = '<script>alert(1)</script> $x$ =1+1 &amp; " id="a" https://example.org'


def results(bad=(), waiting=(), stopped="epochs", epochs=6):
    """Return a sweep over networks, rates and seeds; runs in `bad` diverged, those in `waiting` have not run."""
    networks = [fn.mlp(8, 3), fn.mlp(16, 8, 3, activation=fn.tanh)]
    grid = list(itertools.product(networks, [1e-4, 1e-3, 1e-2, 1e-1], range(3)))
    trials, rows, curves = [], [], []
    for i, (network, rate, seed) in enumerate(grid):
        trials.append(fn.replace(BASE, {"network": network, "optimizer.learning_rate": rate, "seed": seed}))
        line = 0.1 * seed + abs(np.log10(rate) + 2) + 2.0 ** -np.arange(epochs) + 0.01 * len(network.layers)
        if i in bad:
            line = np.where(np.arange(epochs) < 3, line, NAN)
        curves.append({"train_loss": line / 2, "validation_loss": line})
        metrics = {"train_loss": line[-1] / 2, "validation_loss": line[-1], "test_loss": line[-1] + 0.1}
        rows.append(Row(str(i), "diverged" if i in bad else stopped, epochs, epochs - 1, None, 0.1, metrics))
        if i in waiting:
            rows[-1] = Row(str(i), "waiting", 0, -1, None, 0.0, {})
    return Results(trials, rows, curves.__getitem__, lambda i: None)


class Page(html.parser.HTMLParser):
    """Reads a page, requires that every element is closed in order, and keeps what it sees."""

    VOID = ("meta", "input", "br", "link", "img")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts, self.cells = [], [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["script"], ["style"]):
            self.texts.append(data)
        if self.open[-1:] == ["td"]:
            self.cells[-1] += data


# -- the page without a browser ---------------------------------------------------------------------------


def test_page_is_well_formed_and_loads_nothing():
    """Every element is closed, every reference stays inside, identifiers are unique, names are said to readers."""
    text = report.render(results(bad=(3,), waiting=(5,)))
    page = Page(text)
    for _, name, value in page.attributes:
        if name in ("src", "href", "xlink:href", "action", "data", "srcset"):
            assert value.startswith(("#", "data:image/png;base64,")), (name, value)
        assert not name.startswith("on")
    assert not re.search(r"https?://|@import|url\((?!['\"]?#)", text)
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    for reference in re.findall(r'(?:href="#|url\(#)([^")]+)', text):
        assert reference in ids
    # A clipping rectangle without a size would hide all that is drawn.
    clips = re.findall(r"<clipPath[^>]*>\s*<rect([^>]*)", text)
    assert all('width="' in clip and 'height="' in clip for clip in clips)
    assert page.tags.count("script") == 2  # the curves as data, and the program
    assert ("script", "type", "application/json") in page.attributes
    assert "link" not in page.tags
    assert ("html", "lang", "en") in page.attributes
    # Readers of the screen: tables are captioned, their heads say of what they are, pictures have a name.
    assert page.tags.count("caption") == page.tags.count("table") == 2
    scopes = [value for tag, name, value in page.attributes if (tag, name) == ("th", "scope")]
    assert len(scopes) == page.tags.count("th") == page.tags.count("button")
    pictures = page.tags.count("svg")
    assert sum(pair == ("svg", "role", "img") for pair in page.attributes) == page.tags.count("figcaption") == pictures
    assert sum(name == "aria-labelledby" and tag == "svg" for tag, name, _ in page.attributes) == pictures
    assert "24 trials: 22 ran all epochs, 1 diverged, 1 waiting; 2.3 s of training" in page.texts


def test_the_page_begins_with_settings_and_says_what_it_is(monkeypatch):
    """Means over the seeds by hand, chosen on validation; what varies, data, command; the user's names for columns."""
    monkeypatch.setattr(figures.importlib.util, "find_spec", lambda name: None)
    found = results(bad=(3,))
    found.origin = {"data": "train: 1077 × 64 float32", "command": "python <study>.py"}
    text = report.render(found.named({"optimizer.learning_rate": "rate"}), title="Study")
    page = Page(text)
    table = found.table()
    groups = [np.flatnonzero([i // 3 == k and i != 3 for i in range(24)]) for k in range(8)]
    means = [table["validation_loss"][rows].mean() for rows in groups]
    best = int(np.argmin(means))
    start = page.cells.index(table["network"][3 * best])
    expected = [f"{table['optimizer.learning_rate'][3 * best]:g}", f"{means[best]:.4g} ± 0.25", "3", "0"]
    assert page.cells[start + 1 : start + 5] == expected
    assert page.cells[start + 5].startswith(f"{means[best] + 0.1:.4g} ± ")
    assert text.index('id="settings"') < text.index("What the sweep is") < text.index('id="rows"')
    for words in (
        "Study",
        "rate",
        "train: 1077 × 64 float32",
        "python <study>.py",
        "0.0001, 0.001, 0.01, 0.1",
        "0, 1, 2",
    ):
        assert words in page.texts, words
    assert "8-relu-3, 16-tanh-8-tanh-3" in page.texts
    assert "optimizer.learning_rate" not in page.texts
    # Without repetitions there is nothing to average; without a test set the page warns.
    assert 'id="settings"' not in report.render(results().part(np.arange(0, 24, 3)))
    with pytest.raises(ValueError, match="select must be a metric"):
        report.render(found, select="loss")


def test_the_page_keeps_curves_thinned(monkeypatch):
    """Long curves lose epochs between the first and the last; what is not finite is null; a tag stays text."""
    monkeypatch.setattr(figures.importlib.util, "find_spec", lambda name: None)
    text = report.render(results(bad=(3,), waiting=(5,), epochs=1001))
    kept = json.loads(re.search(r'id="curves">(.*?)</script>', text)[1])
    assert kept["names"] == ["train_loss", "validation_loss"]
    assert sorted(map(int, kept["rows"])) == [i for i in range(24) if i != 5]
    curve = results(epochs=1001).curves(4)["validation_loss"]
    values = kept["rows"]["4"]["values"][1]
    np.testing.assert_allclose(values, curve[np.floor(np.arange(120) * 1000 / 119 + 0.5).astype(int)], rtol=1e-3)
    assert kept["rows"]["4"]["epochs"] == 1001
    assert kept["rows"]["3"]["values"][1][1:] == [None] * 119


def test_what_comes_from_a_sweep_is_text():
    """Tags, entities, dollars and addresses in names come out as they are, in the table and in the figures."""
    found = results()
    found.rows[:] = [row._replace(stopped=NASTY, metrics=row.metrics | {NASTY: 0.5}) for row in found.rows]
    text = report.render(found)
    page = Page(text)
    assert page.tags.count("script") == 2
    assert page.cells.count(NASTY) == len(found)
    assert NASTY in page.texts


def test_names_in_figures_are_text():
    """A label between dollars is no formula, and one with brackets no tag."""
    pytest.importorskip("matplotlib")
    from funcnet.results import plots

    found = results()
    rows = [row._replace(metrics=row.metrics | {NASTY: 0.5 + k}) for k, row in enumerate(found.rows)]
    figure = plots.metric_against(Results(found.experiments, rows, found.curves, found.params), NASTY, "network")
    drawn = "<div>" + figures.svg(figure, "f", NASTY) + "</div>"
    page = Page(drawn)
    assert "script" not in page.tags
    assert NASTY in [text.strip() for text in page.texts]


def test_figures_are_reproducible():
    """The same results give the same bytes."""
    assert report.render(results(bad=(3,))) == report.render(results(bad=(3,)))


def test_a_large_table_shows_the_best_rows():
    """Above two thousand rows the page has the best ones, and says how to get all."""
    trials = [fn.replace(BASE, {"seed": i}) for i in range(2100)]
    rows = [Row(str(i), "epochs", 1, 0, None, 0.1, {"validation_loss": 1.0 / (i + 1)}) for i in range(2100)]
    rows[7] = rows[7]._replace(stopped="diverged")
    text = report.render(Results(trials, rows, lambda i: {"validation_loss": np.ones(1)}, lambda i: None))
    assert "best 2,000 of 2,100 rows by validation_loss" in text
    assert "results.to_csv(" in text
    numbers = [int(n) for n in re.findall(r'<tr[^>]*data-stopped[^>]*><th scope="row"><button[^>]*>(\d+)<', text)]
    assert numbers == list(range(2099, 99, -1))


@pytest.mark.parametrize("bad", [range(24), ()])
def test_sweeps_without_a_winner_have_a_page(bad):
    """All diverged, or none has run, or there are no rows at all."""
    found = results(bad=bad, waiting=() if bad else range(24))
    assert "No row has a finite metric" in report.render(found)
    assert "0 trials" in report.render(Results([], [], lambda i: {}, lambda i: None))


def test_the_file_is_whole_or_not_there(tmp_path, monkeypatch):
    """A failure leaves the old file; success leaves nothing beside the new one."""
    target = tmp_path / "report.html"
    target.write_text("old")

    def fail(results, **options):
        raise OSError("no")

    with monkeypatch.context() as patch:
        patch.setattr(report.page, "render", fail)
        with pytest.raises(OSError, match="no"):
            results().report(target)
    assert target.read_text() == "old"
    results().report(str(target))
    assert target.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert list(tmp_path.iterdir()) == [target]


def test_without_matplotlib_the_page_says_what_is_missing(monkeypatch):
    """The table needs no extra."""
    monkeypatch.setattr(figures.importlib.util, "find_spec", lambda name: None)
    page = Page(report.render(results()))
    assert any("Figures need matplotlib" in text for text in page.texts)
    assert "svg" not in page.tags


# -- figures ----------------------------------------------------------------------------------------------


def words(figure):
    """Return all text of a figure's first axes."""
    axes = figure.axes[0]
    legend = [text.get_text() for text in axes.get_legend().get_texts()] if axes.get_legend() else []
    return " | ".join([axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel(), *legend])


def test_figures_count_what_they_cannot_show():
    """Titles, axes and legends; runs that diverged or have not run are named in every figure."""
    pytest.importorskip("matplotlib")
    found = results(bad=(3, 4), waiting=(5,))
    rate, loss = "optimizer.learning_rate", "validation_loss"
    by = words(found.plot_learning_curves(by=rate))
    assert "23 runs, 2 diverged, 1 not run | epoch | validation_loss" in by
    assert "0.001 (5 runs, 2 diverged)" in by
    assert "diverged (2)" in words(found.plot_learning_curves("train_loss"))
    against = found.plot_metric_against(loss, rate)
    assert "21 runs, 2 diverged or not finite, 1 not run | optimizer.learning_rate" in words(against)
    assert against.axes[0].get_xscale() == "log"
    assert "diverged or not finite (2)" in words(against)
    assert found.plot_metric_against(loss, "seed").axes[0].get_xscale() == "linear"
    ticks = [text.get_text() for text in found.plot_metric_against(loss, "network").axes[0].get_xticklabels()]
    assert ticks == ["16-tanh-8-tanh-3", "8-relu-3"]
    heat = found.plot_heat_map(loss, rate, "network")
    assert "2 diverged or not finite (hatched)" in words(heat)
    assert sum(patch.get_hatch() is not None for patch in heat.axes[0].patches) == 1
    assert any("2/2 bad" in text.get_text() for text in heat.axes[0].texts)
    parallel = words(found.plot_parallel_coordinates(loss))
    assert "21 runs, dark is good, without seed, 1 not run" in parallel
    assert "diverged or not finite (2)" in parallel


def test_means_of_figures_by_hand():
    """The line of a group is the mean of its curves, the cell of a heat map the mean of its rows."""
    pytest.importorskip("matplotlib")
    found = results(bad=(0,))
    curves = [found.curves(i)["validation_loss"] for i in (1, 2, 12, 13, 14)]
    line = found.plot_learning_curves(by="optimizer.learning_rate").axes[0].lines[0]
    np.testing.assert_allclose(line.get_ydata(), np.mean(curves, axis=0))
    cells = found.plot_heat_map("validation_loss", "network", "optimizer.learning_rate").axes[0].collections[0]
    values = found.table()["validation_loss"]
    np.testing.assert_allclose(cells.get_array().ravel()[1], np.mean(values[1:3]))


def test_the_best_of_all_else_by_hand():
    """Each point is the mean over the seeds of the best setting there; the legend names the best place of a line."""
    pytest.importorskip("matplotlib")
    found = results(bad=(3,))
    values = np.where(np.arange(24) == 3, NAN, found.table()["validation_loss"])
    means = np.nanmean(values.reshape(2, 4, 3), axis=2)  # networks, rates
    figure = found.plot_metric_against("validation_loss", "optimizer.learning_rate", by="network")
    assert "best of all else, mean and 95 % interval" in words(figure)
    assert "8-relu-3: best at 0.01" in words(figure)
    assert figure.axes[0].get_xscale() == "log"
    lines = [
        line.get_ydata() for line in figure.axes[0].lines if len(line.get_ydata()) == 4 and line.get_marker() == "o"
    ]
    np.testing.assert_allclose(lines, means[::-1])
    halves = {"half": ["low" if i // 3 % 4 < 2 else "high" for i in range(24)]}
    free = Results(found.experiments, found.rows, found.curves, found.params, halves)
    axes = free.plot_metric_against("validation_loss", "network", by="half").axes[0]
    ends = [line.get_ydata() for line in axes.lines if len(line.get_ydata()) == 2 and line.get_marker() == "o"]
    expected = np.min(means[::-1].reshape(2, 2, 2), axis=2)  # of the two rates of a half, the better one
    np.testing.assert_allclose(ends, expected.T[::-1])
    with pytest.raises(ValueError, match="by must be another field"):
        found.plot_metric_against("validation_loss", "network", by="network")


def test_figures_of_many_runs_say_how_many_they_show():
    """Curves are read for some hundred runs at most."""
    pytest.importorskip("matplotlib")
    read = []
    trials = [fn.replace(BASE, {"optimizer.learning_rate": 0.1 + i}) for i in range(1000)]
    rows = [Row(str(i), "epochs", 1, 0, None, 0.1, {"validation_loss": 1.0 + i}) for i in range(1000)]
    found = Results(trials, rows, lambda i: read.append(i) or {"validation_loss": np.ones(1)}, lambda i: None)
    assert "300 of 1000 runs" in words(found.plot_learning_curves())
    assert len(read) == 300
    assert "500 of 1000 runs" in words(found.plot_parallel_coordinates("validation_loss"))


def test_figures_name_near_misses():
    """A field or metric that is not there is answered with those that are."""
    pytest.importorskip("matplotlib")
    found = results()
    with pytest.raises(ValueError, match=r"got 'optimizer\.rate'.*one of optimizer\.learning_rate"):
        found.plot_metric_against("validation_loss", "optimizer.rate")
    with pytest.raises(ValueError, match="metric must be a column of the history"):
        found.plot_learning_curves("validation_accuracy")
    with pytest.raises(ValueError, match="two different fields"):
        found.plot_heat_map("validation_loss", "seed", "seed")


# -- the page in a browser --------------------------------------------------------------------------------


@pytest.fixture
def browser():
    """A headless Chromium."""
    with browsing.opened() as found:
        yield found


def shown(browser, table, name):
    """Return what the visible rows of a table show in a column, from top to bottom."""
    script = f"""
        const table = document.getElementById("{table}"), heads = [...table.tHead.rows[0].cells];
        const place = heads.findIndex(head => head.textContent === "{name}");
        const rows = [...table.tBodies[0].rows].filter(row => row.offsetParent !== null && row.cells.length > 1);
        return rows.map(row => row.cells[place].textContent);"""
    return browser.run(script)


def sort(browser, table, name):
    """Click the head of a column, and return how the page says it is sorted."""
    heads = browser.run(f"return [...document.querySelectorAll('#{table} thead th')].map(head => head.textContent)")
    head = f"#{table} thead th:nth-child({heads.index(name) + 1})"
    browser.click(f"{head} button")
    return browser.run(f"return document.querySelector('{head}').getAttribute('aria-sort')")


def filtered(browser, table, words):
    """Type a filter, and return the shown rows and what the page says of them."""
    browser.run(f"document.getElementById('{table}-filter').value = ''")
    browser.type(f"#{table}-filter", words)
    said = browser.run(f"return document.getElementById('{table}-shown').textContent")
    return list(map(int, shown(browser, table, "row" if table == "rows" else "setting"))), said


def visit(browser, found, folder, width=1400, names=None):
    """Open the report of results in a window of a width."""
    path = pathlib.Path(folder, "report.html")
    found.report(path, names)
    browser.resize(width)
    browser.visit(path)


def silent(browser):
    """Tell that the page loaded nothing and complained of nothing."""
    return browser.run("return performance.getEntriesByType('resource').length") == 0 and browser.complaints() == []


@pytest.mark.every
def test_tables_sort_and_filter_in_a_browser(browser, tmp_path, monkeypatch):
    """By number or text, NaN last both ways; by words, comparisons, both; what is not understood is said."""
    monkeypatch.setattr(figures.importlib.util, "find_spec", lambda name: None)
    found = results(bad=(3,), waiting=(5,))
    found.rows[6] = found.rows[6]._replace(stopped=NASTY)
    visit(browser, found, tmp_path, names={"optimizer.learning_rate": "learning rate"})
    losses = found.table()["validation_loss"]
    order = [str(i) for i in np.argsort(np.where(np.isnan(losses), np.inf, losses), kind="stable") if i not in (3, 5)]
    assert shown(browser, "rows", "row") == [str(i) for i in range(24)]
    assert sort(browser, "rows", "validation_loss") == "ascending"
    assert shown(browser, "rows", "row") == [*order, "3", "5"]
    assert sort(browser, "rows", "validation_loss") == "descending"
    assert shown(browser, "rows", "row")[-2:] == ["3", "5"]
    numbers = [float(text) for text in shown(browser, "rows", "validation_loss")[:-2]]
    assert numbers == sorted(numbers, reverse=True)
    assert sort(browser, "rows", "network") == "ascending"
    assert browser.run("return document.querySelectorAll('[aria-sort]').length") == 1
    assert shown(browser, "rows", "network") == ["8-relu-3"] * 12 + ["16-tanh-8-tanh-3"] * 12

    sort(browser, "rows", "row")
    good = np.flatnonzero(losses < 0.5).tolist()
    cases = {
        "tanh 0.001": ([15, 16, 17], "3 of 24 rows"),
        "validation_loss < 0.5": (good, f"{len(good)} of 24 rows: validation_loss < 0.5"),
        "loss<0.5": (good, f"{len(good)} of 24 rows: validation_loss < 0.5"),
        "< 0.5": (good, f"{len(good)} of 24 rows: validation_loss < 0.5"),
        "network = 8-relu-3, seed >= 2": ([2, 5, 8, 11], "4 of 24 rows: network = 8-relu-3, seed >= 2"),
        "tanh learning rate = 1% seed != 1": ([18, 20], "2 of 24 rows: learning rate = 1%, seed != 1"),
        "stopped ~ verg": ([3], "1 of 24 rows: stopped ~ verg"),
        "elu": ([], "0 of 24 rows"),  # a word begins a word, as ReLU does not begin one of LeakyReLU
        "colour = red": (list(range(24)), "no column is named colour"),
        "seed >": (list(range(24)), "seed > which value?"),
    }
    for words, (rows, said) in cases.items():
        assert filtered(browser, "rows", words) == (rows, said), words
        invalid = browser.run("return document.getElementById('rows-filter').getAttribute('aria-invalid')")
        assert invalid == str(" of 24" not in said).lower()
    assert silent(browser)


def test_a_click_shows_learning_curves_in_a_browser(browser, tmp_path, monkeypatch):
    """Of a row and of a setting, by mouse or key, with a name for those who do not see them; again, and they go."""
    monkeypatch.setattr(figures.importlib.util, "find_spec", lambda name: None)
    found = results(bad=(3,))
    visit(browser, found, tmp_path)
    browser.click("#rows tbody tr:nth-child(5) td:nth-child(3)")
    line = "document.querySelector('#rows-detail polyline[data-name=validation_loss]').getAttribute('points')"
    points = [tuple(map(float, pair.split(","))) for pair in browser.run(f"return {line}").split()]
    curve = found.curves(4)["validation_loss"]
    assert len(points) == len(curve)
    # Heights fall as the numbers do, in equal proportion, or that of their logarithms.
    heights, scale = np.asarray(points)[:, 1], np.log if curve.max() >= 5 * curve.min() / 2 else np.asarray
    steps, expected = np.diff(heights), -np.diff(scale(curve))
    assert np.corrcoef(steps, expected)[0, 1] > 0.999
    label = browser.run("return document.querySelector('#rows-detail svg').getAttribute('aria-label')")
    assert label.startswith(f"validation_loss of row 4: from {curve[0]:.3g} to {curve[-1]:.3g} in 6 epochs")
    assert browser.run("return document.querySelectorAll('#rows [aria-expanded=true]').length") == 1
    browser.click("#rows tbody tr:nth-child(5) td:nth-child(3)")
    assert browser.run("return document.getElementById('rows-detail')") is None

    browser.run("document.querySelector('#settings tbody button').focus()")
    browser.type("#settings tbody button", "\ue007")  # the Enter key
    assert browser.run("return document.querySelectorAll('#settings-detail polyline').length") == 2 * 3
    said = browser.run("return document.querySelector('#settings-detail p').textContent")
    members = found.summary().members[0]
    assert said == f"Learning curves of setting 1, 3 of its 3 runs (rows {', '.join(map(str, members))})."
    browser.type("#settings tbody button", "\ue00c")  # the Escape key
    assert browser.run("return document.getElementById('settings-detail')") is None
    assert silent(browser)


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_a_window_in_a_browser(browser, tmp_path, width):
    """Nothing but tables and figures scrolls sideways, each in its own box; settings stay while metrics scroll."""
    pytest.importorskip("matplotlib")
    visit(browser, results(bad=(3,), waiting=(5,)), tmp_path, width)
    assert browser.run("return document.querySelectorAll('figure svg').length") > 3
    browser.run("document.querySelector('#rows tbody tr:nth-child(2)').click()")
    assert browser.run("return document.scrollingElement.scrollWidth <= innerWidth")
    place = "[...document.querySelectorAll('#rows tbody tr:nth-child(1) > *')].map(c => c.getBoundingClientRect().x)"
    before = browser.run(f"return {place}")
    browser.run("document.getElementById('rows').parentElement.scrollLeft = 120")
    after = browser.run(f"return {place}")
    if browser.run("const f = document.getElementById('rows').parentElement; return f.scrollWidth > f.clientWidth"):
        assert after[0] == before[0]
        assert after[-1] < before[-1]
    assert silent(browser)
