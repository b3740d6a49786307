"""The pages of the studies: each is what its record makes, and the record can be had again."""

import importlib.util
import linecache
import types

import pytest

from experiments import study

NAMES = study.names()


def load(name):
    """Import a study; skip where a package that it needs is not installed."""
    try:
        return study.load(name)
    except ModuleNotFoundError as error:
        pytest.skip(f"needs {error.name}, of the experiments extra")


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_what_its_record_makes(name):
    """The page shows the record's numbers, and the record was made by the code as it stands."""
    module, record = load(name), study.record_of(name)
    again = f"python -m experiments {name}"
    assert record["code"] == study.fingerprint(module), f"the study has changed since it was measured: {again}"
    page = (study.DOCS / f"{name}.md").read_text()
    assert page == study.page(name, module, record), f"the page is not that of the record: {again} --show"
    top = [part for part in page.partition("\n## ")[0].split("\n\n")[1:] if not part.startswith(">")]
    assert top[0].startswith("**"), "behind the claim the verdict comes first, in bold"


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="run with the experiments extra")
@pytest.mark.parametrize("name", NAMES)
def test_small_numbers_can_be_had_again(name, as_users_run_it):
    """Measuring at small size finds the recorded numbers."""
    module = load(name)
    try:
        found = study.plain(module.measure(small=True))
    except study.Missing as missing:
        pytest.skip(str(missing))
    tolerance, least = (getattr(module, bound, getattr(study, bound)) for bound in ("TOLERANCE", "LEAST"))
    assert study.differences(study.record_of(name)["small"], found, tolerance, least) == []


@pytest.mark.parametrize("group", study.GROUPS)
def test_an_index_is_what_its_pages_make(group):
    """The index of a group lists its pages with what they say in bold."""
    found = (study.DOCS / f"{group}.md").read_text()
    assert found == study.index(group), f"the index is not that of the pages: python -m experiments {group} --show"


def test_numbers_are_printed_alike():
    """Minus signs, a % apart from its number, and no exponent where a number has its place; code stays."""
    assert study.printed("-1 to 34% (1e-07), 1.52e+03 ± 3e+01") == "-1 to 34 % (1e−07), 1,520 ± 30"
    assert study.printed("| -1 | 4e+08 | `x % -1, 5%, 1e+03` |") == "| −1 | 4e+08 | `x % -1, 5%, 1e+03` |"


def test_a_drift_is_seen():
    """Numbers that have moved, gone or come are named; seconds may differ."""
    recorded = {"loss": [0.5, 1.0], "seconds": 3.0, "kind": "ReLU"}
    assert study.differences(recorded, {"loss": [0.5, 1.001], "seconds": 9.0, "kind": "ReLU"}, 0.01) == []
    found = study.differences(recorded, {"loss": [0.5, 1.1], "seconds": 3.0, "kind": "tanh"}, 0.01)
    assert found == [".loss.1: 1.0 was recorded, 1.1 found", ".kind: 'ReLU' was recorded, 'tanh' found"]
    assert study.differences([2e-5], [8e-5], 0.01)
    assert study.differences([2e-5], [8e-5], 0.01, least=1e-4) == []
    assert study.differences({"a": 1}, {"b": 1}, 0.5)
    assert study.differences([1.0, 2.0], [1.0], 0.5)
    assert study.differences([1.0], ["nan"], 0.5)


def test_the_fingerprint_knows_what_measures(monkeypatch, tmp_path):
    """Code that measures changes the fingerprint, a shared helper's too; words, tables and pictures do not."""

    def fingerprint(text):
        module = types.ModuleType("made_up")
        module.__file__ = f"<made up {hash(text)}>"
        linecache.cache[module.__file__] = (len(text), None, text.splitlines(keepends=True), module.__file__)
        return study.fingerprint(module)

    base = '"""Title."""\ndef measure(small):\n    """Do."""\n    return {"a": 1}\ndef verdict(n):\n    return "yes"\n'
    assert fingerprint(base) == fingerprint(base.replace("Title", "Other").replace("yes", "no").replace("Do.", "Did."))
    assert fingerprint(base) != fingerprint(base.replace('"a": 1', '"a": 2'))

    monkeypatch.setattr(study, "ROOT", tmp_path)
    helper = tmp_path / "experiments" / "problems" / "_made_up.py"
    helper.parent.mkdir(parents=True)
    found = set()
    for number in (1, 2):
        helper.write_text(f"A = {number}\n")
        found.add(fingerprint("from experiments.problems._made_up import A\n" + base))
        found.add(fingerprint("from experiments.problems import _made_up\n" + base))
    assert len(found) == 4


def test_pages_without_a_study():
    """Every record and page in the folders of the studies belongs to a study."""
    for group in study.GROUPS:
        for suffix, folder in ((".md", study.DOCS), (".json", study.DOCS / "records"), (".png", study.DOCS / "images")):
            for path in (folder / group).glob(f"*{suffix}"):
                name = f"{group}/{path.stem}"
                assert name in NAMES or path.stem == "index", path
