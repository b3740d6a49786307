"""The benchmarks run, and their page is what their record makes; no test asserts a time."""

import pytest

from experiments.benchmarks import networks, page
from experiments.benchmarks.timing import Aim, Probe, race


@pytest.mark.every
@pytest.mark.filterwarnings("default")  # those of the peers
@pytest.mark.parametrize("group", page.GROUPS)
def test_a_group_runs_at_toy_size(group, as_users_run_it, monkeypatch):
    """Each group measures, checks that contestants agree, and writes its section; peers take part if installed."""
    quick = networks.TOY[0]._replace(peers=("optax", "torch"))  # the others take seconds to import or compile
    monkeypatch.setattr("experiments.benchmarks.training.TOY", (quick,))
    record = page.measure([group], toy=True)
    written = page.page(record)
    assert written.startswith("# Benchmarks in detail\n")
    assert "funcnet" in written or "fn." in written or "ours" in written
    assert page.plain(record) == record, "JSON holds it"


def test_the_page_is_what_its_record_makes():
    """Both pages show the numbers of their record."""
    record = page.read()
    assert set(record) <= set(page.GROUPS)
    assert "training" in record
    again = "run page.write(page.read()) of experiments.benchmarks"
    assert page.PAGE.read_text() == page.page(record), again
    assert page.CHOOSING.read_text() == page.choosing.page(record, page.aims_of(record)), again


def test_a_race_takes_turns():
    """Contestants alternate, warm-up and openings of turns do not count, and ratios are taken turn by turn."""
    log, clock = [], iter([9.0, 9.0, 9.0, 1.0, 2.0, 9.0, 4.0, 8.0, 9.0, 10.0, 30.0])

    def contestant(name):
        def run():
            log.append(name)
            return next(clock)

        return run

    found = race({"a": contestant("a"), "b": contestant("b")}, 3, "a")
    assert "".join(log) == "abaabaabaab"
    assert (found["a"]["seconds"], found["b"]["seconds"], found["b"]["ratio"]) == (4.0, 8.0, 2.0)
    assert (found["b"]["low"], found["b"]["high"], found["b"]["turns"]) == (5.0, 19.0, 3)


def test_turns_in_a_slow_phase_are_run_again(monkeypatch):
    """What the probe finds slow before or after a turn does not count; without enough others the steadiest do."""
    monkeypatch.setattr("experiments.benchmarks.timing.WAIT", 0)

    def raced(*probes):
        times, work = iter([9.0, *(t for turn in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0) for t in (9.0, turn))]), iter(probes)
        return race({"a": lambda: next(times)}, 2, "a", probe=Probe(lambda: next(work), repeats=1))["a"]

    # a probe before the warm-up, then two a turn
    found = raced(1.0, 1.0, 1.0, 1.3, 1.0, 1.0, 1.2, 1.0, 1.1)
    assert (found["seconds"], found["turns"], found["again"]) == ((1.0 + 4.0) / 2, 2, 2)
    found = raced(1.0, 2.0, 2.0, 2.0, 2.0, 1.3, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0)
    assert (found["seconds"], found["turns"], found["again"]) == ((3.0 + 1.0) / 2, 2, 4)


def test_an_aim_is_met_as_the_page_shows_it():
    """A bound is inclusive, for the three digits that the page shows."""
    assert Aim("x", 1.7999, at_least=1.8).met
    assert not Aim("x", 1.79, at_least=1.8).met
    assert Aim("x", 0.1501, at_most=0.15).met
    assert not Aim("x", 0.151, at_most=0.15).met
    assert (Aim("x", 1, at_least=8).bound, Aim("x", 1, at_most=0.5).bound) == ("≥ 8", "≤ 0.5")
