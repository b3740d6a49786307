"""The mutation score of the gradient checker: python -m mutations [--write ../docs/mutation-score.md], in tests/."""

import argparse
import os
import sys
import time

import conftest  # noqa: F401  the suite's way of compiling, which the processes below inherit

from mutations.planted import render, score
from mutations.suite import judge_registries


def main() -> int:
    """Run the suite, print the score, and fail if a bug was missed or a true rule rejected."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("registries", nargs="*", help="activations, losses, …; all by default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many processes")
    parser.add_argument("--write", help="the file to keep the score in")
    given = parser.parse_args()
    started = time.perf_counter()
    found = judge_registries(given.registries, given.seeds, given.jobs)
    rows = score(found)
    text = render(rows, given.seeds)
    print(text)
    print(f"{len(found)} judgements in {time.perf_counter() - started:.0f} s")
    if given.write:
        with open(given.write, "w", encoding="utf-8") as file:
            file.write(HEAD + text)
    return int(any(row.missed or row.accepted < row.judged for row in rows))


HEAD = """# What the gradient checker catches

Written by `python -m mutations --write ../docs/mutation-score.md`, run in `tests/`;
`tests/test_mutations.py` holds it to it.

Every rule of the registries is judged at each of its examples, and so are mutants of its backward: bugs planted by
program, described in `tests/mutations/planted.py` (optimizers: `tests/mutations/protocol.py`). A mutant
counts as rejected only if it is rejected on every example and seed on which its numbers differ from the true ones by
more than rounding. On examples made of kinks alone a mutant may be another admissible choice; it has to be rejected
elsewhere. Mutants that equal the rule on all examples are no bugs (the sign of a gradient that is 0 everywhere);
they are found by their numbers and listed, not counted.

"""

if __name__ == "__main__":
    sys.exit(main())
