"""What comes before the first step and beside it: imports, tracing, compiling, recompiling, memory."""

import compileall
import pathlib
from typing import Any

import funcnet as fn
from experiments.benchmarks.bodies import (
    compilations,
    first_step,
    peak_memory,
    seconds_of_imports,
    trace_and_compile,
    without_llvm,
)
from experiments.benchmarks.networks import NETWORKS, TOY, Job
from experiments.benchmarks.peers import TITLES
from experiments.benchmarks.processes import fresh
from experiments.benchmarks.timing import Aim, say, summary
from experiments.benchmarks.words import digits, prose, spread
from experiments.study import Table

NAMES = {"funcnet": "funcnet"} | TITLES


def here(body: Any, *arguments: Any) -> Any:
    """Call a body in this process, where a toy needs no fresh one."""
    return body(*arguments)


def repeated(call: Any, body: Any, names: list[str], turns: int, *arguments: Any) -> dict[str, Any]:
    """Call a body in fresh processes, names in turns; return medians of each of its numbers by name."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for turn in range(turns):
        for name in names:
            if turn == 0 or "missing" not in found[name][0]:
                found[name].append(call(body, name, *arguments))
    reference = found[names[0]]

    def rows(name: str) -> dict[str, Any]:
        first = found[name][0]
        if "missing" in first:
            return first
        columns = {key: [row[key] for row in found[name]] for key in first}
        return {key: summary(values, [row.get(key) for row in reference]) for key, values in columns.items()}

    return {name: rows(name) for name in names}


def measure(toy: bool) -> dict[str, Any]:
    """Measure imports, first steps, compilations and memory."""
    networks = {network.name: network for network in (TOY if toy else NETWORKS)}
    turns, first = (1, TOY[0]) if toy else (5, networks["a"])
    short, call = first._replace(epochs=1), here if toy else fresh
    everyone = ["funcnet"] if toy else list(NAMES)
    # As pip does when it installs a package: else each process would compile the sources of this one alone.
    compileall.compile_dir(pathlib.Path(fn.__file__).parent, quiet=2)
    say("  imports")
    found: dict[str, Any] = {"imports": repeated(call, seconds_of_imports, ["funcnet"], 2 * turns - 1)["funcnet"]}
    say("  cold start")
    found["cold"] = repeated(call, first_step, everyone, min(turns, 3), short, Job(short, "Adam").data)
    pair = ["funcnet"] if toy else ["funcnet", "optax"]
    found["compile"] = {}
    for name, network in networks.items():
        say(f"  compile {name}")
        # The aim is that of (c).
        found["compile"][name] = repeated(call, trace_and_compile, pair, 3 if name == "c" else 1, network) | {
            "title": network.title
        }
    found["without_llvm"] = call(without_llvm, networks.get("c", first))
    say("  ten rates")
    found["rates"] = {name: call(compilations, name, short) for name in pair}
    say("  memory")
    found["memory"] = {name: call(peak_memory, network) for name, network in networks.items()}
    return found


def aims(numbers: dict[str, Any]) -> list[Aim]:
    """Return what was aimed at."""
    found = [Aim("import of funcnet above that of jax, s", numbers["imports"]["above"]["seconds"], at_most=0.15)]
    deep = numbers["compile"].get("c", {})
    if "seconds" in deep.get("optax", {}):
        found.append(Aim("(c) trace and compile: Optax / ours", deep["optax"]["seconds"]["ratio"], at_least=2))
    found.append(
        Aim("programs compiled for nine further learning rates", numbers["rates"]["funcnet"]["others"], at_most=0)
    )
    for name, memory in numbers["memory"].items():
        for part in ("gradient", "step"):
            share = memory["ours"][part] / memory["jax"][part]
            found.append(Aim(f"({name}) memory of the {part}: ours / `jax.grad`", share, at_most=_bound(name)))
    return found


def _bound(name: str) -> float:
    return 0.999 if name == "c" else 1.0


def show(numbers: dict[str, Any]) -> str:
    """Return the section of the page."""
    imports, cold = numbers["imports"], numbers["cold"]
    above = imports["above"]
    parts = [
        prose(f"""
            ## Before the first step

            Each number is a median of fresh processes. Importing funcnet takes {above["seconds"]:.2f} s (quartiles
            {spread(above)}) above the {imports["jax"]["seconds"]:.2f} s of importing jax; the aim is 0.15 at most.
        """)
    ]
    rows = []
    for name, row in cold.items():
        if "missing" in row:
            rows.append([f"{NAMES[name]} (not installed)", "", "", ""])
            continue
        rows.append(
            [
                NAMES[name],
                f"{row['seconds']['seconds']:.2f}",
                spread(row["seconds"]),
                f"{row['imports']['seconds']:.2f}",
            ]
        )
    caption = "Cold start of (a): from the first import to the end of the first epoch, with Adam."
    parts.append(Table(caption, ["contestant", "s", "quartiles", "of which imports"], rows).markdown())

    rows = []
    for name, row in numbers["compile"].items():
        ours, theirs = row["funcnet"], row.get("optax", {})
        cells = [f"{ours[part]['seconds']:.2f}" for part in ("trace", "compile")]
        cells += [f"{theirs[part]['seconds']:.2f}" if part in theirs else "" for part in ("trace", "compile")]
        ratio = f"{theirs['seconds']['ratio']:.2f}" if "seconds" in theirs else ""
        rows.append([f"({name}) {row['title']}", *cells, ratio, "≥ 2" if name == "c" else ""])
    caption = prose("""
        Tracing and compiling what trains from a seed with Adam: initial parameters, orders, updates; with
        Optax a program for each of the three, with `jax.random`.
    """)
    head = ["network", "ours: trace, s", "compile, s", "Optax: trace, s", "compile, s", "Optax / ours", "aim"]
    parts.append(Table(caption, head, rows).markdown())

    rates = numbers["rates"]
    words = [f"Ten learning rates, one after the other: funcnet compiles {rates['funcnet']['first']} programs for the"]
    words.append(f"first, and {rates['funcnet']['others']} for the nine others (the aim is none)")
    if "first" in rates.get("optax", {}):
        words.append(f"; with Optax, the rate in a closure, {rates['optax']['first']} and {rates['optax']['others']}")
    parts.append("".join([words[0], " ", *words[1:]]) + ".")

    rows = []
    for name, row in numbers["memory"].items():
        cells: list[str] = []
        for part in ("gradient", "step"):
            ours, theirs = row["ours"][part], row["jax"][part]
            cells += [digits(ours / 2**20), digits(theirs / 2**20), f"{ours / theirs:.3f}"]
        rows.append([f"({name}) {row['title']}", *cells, f"{'<' if name == 'c' else '≤'} 1"])
    head = ["network", "gradient: ours", "`jax.grad`", "ratio", "step with Adam: ours", "`jax.grad`", "ratio", "aim"]
    caption = prose("""
        Memory in MiB of a compiled program, by its own account (`memory_analysis`): arguments, results and temporaries.
        `jax.grad` is `jax.value_and_grad` of our own objective; the step updates parameters and state in place with our
        Adam.
    """)
    parts.append(Table(caption, head, rows).markdown())
    return "\n\n".join(parts)
