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
SLASH = re.compile(r"<mo>(&#x0002F;)</mo>")
PARTIAL = re.compile(r"<mo>(&#x02202;)</mo>")
PLUS_IS = re.compile(r"<mo>(?:<mrow><mo>)?&#x0002B;(?:</mo></mrow>)?</mo><mo>&#x0003D;</mo>")
PRIME = re.compile(r"<msup>(<mi>[^<]*</mi>|<mo [^<]*</mo>)<mi>(&#x0203[23];)</mi></msup>")
PRIME_AND_INDEX = re.compile(r"<msubsup>(<mi>[^<]*</mi>)((?:(?!<msubsup>).)*?)<mi>(&#x0203[23];)</mi></msubsup>")
# A minus behind an opening bracket, a comma or a relation is a sign, and stands close to its number.
SIGN = re.compile(
    r"(<mo[^>]*>(?:[\[{(]|&#x0002[8C];|&#x0003[C-E];|&#x0005B;|&#x0007B;|&#x027E8;|&#x0226[45];|&#x02208;|&#x02190;)"
    r"</mo>)<mo>(&#x02212;)</mo>"
)
# A function's name beside its argument, or behind a factor, but not where it is itself a base or an index.
NAME = r"<mi>(?:log|ln|exp|sin|cos|sinh|cosh|tanh|max|min|mean|sign|arg)</mi>"
ARGUMENT = re.compile(
    rf"(?<!<msub>)(?<!<msup>)(?<!<munder>)(?<!<msubsup>)({NAME})(?=<m(?:i|n|sub|sup|over|frac|sqrt)\b)"
)
FACTOR = re.compile(rf"(</mi>|</mn>|</msub>|&#x00029;</mo>)(?={NAME})")
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
    # A name such as max is no operator with room around it, nor is ∞; ~ is a relation, and has room.
    made = re.sub(r"<mo>([A-Za-z]{2,}|&#x0221E;)</mo>", r"<mi>\1</mi>", made)
    made = made.replace("<mi>&#x0007E;</mi>", "<mo>&#x0223C;</mo>")
    made = re.sub("<mi>(&#x0007[BD];)</mi>", r'<mo stretchy="false">\1</mo>', made)  # \lbrace is no letter
    made = SIGN.sub(r'\1<mo form="prefix">\2</mo>', made)
    made = PLUS_IS.sub('<mo lspace="0.28em" rspace="0.28em">&#x0002B;&#x0003D;</mo>', made)
    made = SLASH.sub(r'<mo lspace="0.1em" rspace="0.1em">\1</mo>', made)
    made = PARTIAL.sub(r'<mo lspace="0.1em" rspace="0">\1</mo>', made)
    # Between two letters a bar is taken for an operator with room around it. A prime is raised by itself.
    made = BAR.sub(r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>', made)
    made = PRIME.sub(r'<mrow>\1<mi class="prime">\2</mi></mrow>', made)
    made = PRIME_AND_INDEX.sub(r'<msub><mrow>\1<mi class="prime">\3</mi></mrow>\2</msub>', made)
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
