"""Run the code of one page of the documentation, as a reader would paste it.

Blocks marked `python` are executed, blocks marked `pycon`, or unmarked ones that begin with `>>>`, are doctests; all of
one page share their names. `python tests/pages.py PAGE` runs a page in a process of its own.
"""

import doctest
import pathlib
import re
import sys

import numpy as np

# What differs between processors: rounding errors, how many units in the last place, seconds.
ROUNDING = re.compile(
    r"(worst )?(0\.0e\+00|\d(\.\d)?e-(0[7-9]|[1-9]\d)|\de\+1[5-9])( relative)?|bit for bit|\d+\.\d(?= ulp| s;)"
)

NUMBER = r"(?<![\w.])\d+(?:\.\d+)?"

ROOT = pathlib.Path(__file__).parent.parent
FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>```+)(?P<language>[^\n]*)\n(?P<code>.*?)^(?P=indent)(?P=fence) *$", re.S | re.M
)


class Checker(doctest.OutputChecker):
    """Compare output, where `...` stands for anything and one rounding error is as good as another."""

    def check_output(self, want, got, optionflags):
        """Tell whether the output is what the page shows."""
        return super().check_output(ROUNDING.sub("≈", want), ROUNDING.sub("≈", got), optionflags)


def blocks(text):
    """Return (language, line, code) of each fenced block."""
    found = []
    for match in FENCE.finditer(text):
        language = match["language"].strip().strip("{}").split(" ")[-1]
        code = re.sub(f"^{match['indent']}", "", match["code"], flags=re.M)
        if not language and code.lstrip().startswith(">>>"):
            language = "pycon"
        found.append((language, text[: match.start()].count("\n") + 1, code))
    return found


def runs(page):
    """Tell whether a page holds code to run."""
    return any(language in ("python", "pycon") for language, _, _ in blocks((ROOT / page).read_text()))


def alike(shown, printed):
    """Tell whether two outputs have the same lines, but for their order and a little in the numbers."""
    lines = [sorted(" ".join(line.split()) for line in text.splitlines()) for text in (shown, printed)]
    words = [[re.sub(NUMBER, "#", line) for line in text] for text in lines]
    numbers = [np.asarray([float(number) for line in text for number in re.findall(NUMBER, line)]) for text in lines]
    return words[0] == words[1] and bool(np.allclose(*numbers, rtol=0.5, atol=0.21))


def run(page, text):
    """Run the blocks of a page one after the other; raise where one fails or prints something else."""
    names = {"__name__": "__page__"}
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(Checker(), False, doctest.ELLIPSIS)
    report = []
    with np.printoptions():
        for language, line, code in blocks(text):
            if language == "python":
                exec(compile("\n" * line + code, page, "exec"), names)
            elif language == "pycon":
                test = parser.get_doctest(code, names, page, page, line)
                test.globs = names  # not a copy: the next block goes on with them
                if runner.run(test, out=report.append, clear_globs=False).failed:
                    raise AssertionError("".join(report))


if __name__ == "__main__":
    run(sys.argv[1], (ROOT / sys.argv[1]).read_text())
