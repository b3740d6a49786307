"""Numbers as they are printed, and names that break where they may.

In sentences a hyphen before a number, or in an exponent, is the minus that it means, and a number keeps its % beside
it. Long names in tables break behind _, / and ::, not within a word; what is copied has no sign more.
"""

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.writers.html5 import HTML5Translator

KEPT = (nodes.FixedTextElement, nodes.literal, nodes.math, nodes.raw, nodes.comment, addnodes.desc_signature)
MINUS = re.compile(r"(?<=\de)-(?=\d)|(?<=[\s(\[,±=–])-(?=\.?\d)")
PERCENT = re.compile(r"(?<=\d) ?%(?!\w)")
LONG = 30  # a shorter name stays in one piece
JOINT = re.compile(r"(<[^>]*>)|(::|/|(?<=\w)_)(?=\w)")


class Numbers(SphinxPostTransform):
    """Set the numbers of sentences and tables."""

    default_priority = 900

    def run(self, **kwargs: Any) -> None:
        """Replace the text of one document; code, formulas and signatures stay."""
        for text in list(self.document.findall(nodes.Text)):
            node = text.parent
            while node is not None and not isinstance(node, KEPT):
                node = node.parent
            if node is None:
                said = PERCENT.sub("\N{NO-BREAK SPACE}%", MINUS.sub("−", text))
                if text.parent.index(text) == 0:
                    said = re.sub(r"^-(?=\.?\d)", "−", said)
                if said != text:
                    text.parent.replace(text, nodes.Text(said))


def visit(self: HTML5Translator, node: nodes.literal) -> None:
    """Open the code marks."""
    node["opened"] = len(self.body)
    HTML5Translator.visit_literal(self, node)


def depart(self: HTML5Translator, node: nodes.literal) -> None:
    """Close the code marks; in a table, let a long name break at its joints."""
    within: Any = node
    while within is not None and not isinstance(within, nodes.entry):
        within = within.parent
    if within is not None and len(node.astext()) > LONG:
        start = node["opened"] + 1
        self.body[start:] = [JOINT.sub(lambda at: at[1] or f"{at[2]}<wbr>", part) for part in self.body[start:]]
    HTML5Translator.depart_literal(self, node)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect."""
    app.add_post_transform(Numbers)
    app.add_node(nodes.literal, override=True, html=(visit, depart))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
