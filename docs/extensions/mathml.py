"""Formulas as MathML, which browsers set themselves: pages need no script and no network to show them."""

import functools
import html
import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

# A command, or the end of a cell, that came out as it went in.
UNKNOWN = re.compile(r"<m[io][^>]*>(\\[a-zA-Z]+|&(?=<))")
BAR = re.compile(r'<mo(?: stretchy="false")?>(&#x0007C;|&#x02225;|&#x02016;)</mo>')
PRIME = re.compile(r"<msup>(<mi>[^<]*</mi>|<mo [^<]*</mo>)<mi>(&#x0203[23];)</mi></msup>")
# A function's name beside its argument, or behind a factor, but not where it is itself a base or an index.
NAME = r"<mi>(?:log|ln|exp|sin|cos|sinh|cosh|tanh)</mi>"
ARGUMENT = re.compile(
    rf"(?<!<msub>)(?<!<msup>)(?<!<munder>)(?<!<msubsup>)({NAME})(?=<m(?:i|n|sub|sup|over|frac|sqrt)\b)"
)
FACTOR = re.compile(rf"(</mi>|</mn>|</msub>)(?={NAME})")
THIN = '<mspace width="0.17em" />'


@functools.cache
def mathml(latex: str, display: str = "inline") -> str:
    """Return a formula as one element, which says its source to whoever cannot see it.

    Raises:
        ValueError: for a command that is not known, by its name.

    """
    made = convert(re.sub(r"\\arg(?![a-z])", r"\\operatorname{arg}", latex.strip()), display=display)
    if found := UNKNOWN.search(made):
        raise ValueError(f"{found[1]} is not known in {latex.strip()[:80]!r}")
    # Between two letters a bar is taken for an operator with room around it. A prime is raised by itself.
    made = BAR.sub(r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>', made)
    made = PRIME.sub(r'<mrow>\1<mi class="prime">\2</mi></mrow>', made)
    made = FACTOR.sub(rf"\1{THIN}", ARGUMENT.sub(rf"\1{THIN}", made))
    return made.replace("<math ", f'<math alttext="{html.escape(latex.strip())}" ', 1)


def inline(self: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line."""
    self.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def displayed(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula with lines of its own; one that is too wide for the window scrolls by itself."""
    lines = re.sub(r"\\(begin|end)\{(align|gather)(ed)?\*?\}", r"\\\1{align*}", node.astext())
    if "\\\\" in lines and "\\begin{" not in lines:
        lines = rf"\begin{{align*}}{lines}\end{{align*}}"
    self.body.append(f'<div class="formula" tabindex="0">{mathml(lines, "block")}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect."""
    app.add_html_math_renderer("mathml", (inline, None), (displayed, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
