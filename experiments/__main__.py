"""Run studies, and write the pages that show them.

python -m experiments                    measure all studies again: every record, page and picture of the documentation
python -m experiments claims/k12_limits  measure one; a group (`claims`) measures all of its studies
python -m experiments --show             write pages and pictures from the records, measuring nothing
python -m experiments --list             name the studies
"""

import argparse
import shutil
import subprocess
import sys
import time

import funcnet as fn
from experiments import study

# Pictures of pages that are no studies; each script runs in a process of its own, with its own settings of JAX.
SCRIPTS = ("derivation_figures", "optimizers", "digits")


def chosen(wanted: list[str]) -> list[str]:
    """Return the studies that are meant: all, those named, or those of a group."""
    every = study.names()
    unknown = [w for w in wanted if not any(name == w or name.startswith(f"{w}/") for name in every)]
    if unknown:
        raise SystemExit(f"no study is called {unknown[0]!r}; there are {', '.join(every)}")
    return [name for name in every if not wanted or any(name == w or name.startswith(f"{w}/") for w in wanted)]


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="studies or groups; all if none is named")
    parser.add_argument("--show", action="store_true", help="write pages and pictures, measure nothing")
    parser.add_argument("--list", action="store_true", help="name the studies")
    options = parser.parse_args()
    fn.use_cores()
    for name in chosen(options.names):
        print(name, flush=True)
        if options.list:
            continue
        started = time.perf_counter()
        try:
            if not options.show:
                study.measure(name)
        except study.Missing as missing:
            print(f"  left out: {missing}", flush=True)
            continue
        study.show(name)
        print(f"  {time.perf_counter() - started:.0f} s: docs/{name}.md", flush=True)
    if not (options.names or options.show or options.list):
        for script in SCRIPTS:
            subprocess.run([sys.executable, "-m", f"experiments.{script}"], cwd=study.ROOT, check=True)
        shutil.copy(study.ROOT / "results" / "digits" / "learning_curves.png", study.DOCS / "images" / "digits.png")


if __name__ == "__main__":
    main()
