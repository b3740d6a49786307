"""Measure benchmarks, keep the record, and write docs/benchmarks.md.

python -m experiments.benchmarks                         everything
python -m experiments.benchmarks --only training,linear  some groups; the others stay as they were recorded
python -m experiments.benchmarks --toy                   does everything run? prints the page and keeps nothing
"""

import argparse
import os
import time


def main() -> None:
    """Run what the command line asks for."""
    os.environ["FUNCNET_CACHE"] = "off"  # compiling is measured, by fresh processes too
    # Imported here alone: fresh processes import this module, and some measure what an import costs.
    from experiments.benchmarks import page

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"groups, separated by commas: {', '.join(page.GROUPS)}")
    parser.add_argument("--toy", action="store_true", help="toy sizes; nothing is kept")
    options = parser.parse_args()
    names = options.only.split(",") if options.only else list(page.GROUPS)
    if not set(names) <= set(page.GROUPS):
        parser.error(f"--only takes groups among {', '.join(page.GROUPS)}")
    start = time.perf_counter()
    for name in names:
        found = page.measure([name], options.toy)
        if options.toy:
            print(page.page(found))
        else:
            page.keep(page.read() | found)
    if not options.toy:
        page.write(page.read())
    print(f"{(time.perf_counter() - start) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
