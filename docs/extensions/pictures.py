"""A picture leads to itself: a click shows it at its full size, for which a page may be too narrow."""

import posixpath
import urllib.parse

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator


def visit(self: HTML5Translator, node: nodes.image) -> None:
    """Open the link and write the picture."""
    file = self.builder.images.get(node["uri"])
    node["linked"] = file is not None and not isinstance(node.parent, nodes.reference)
    if node["linked"]:
        path = posixpath.join(self.builder.imgpath, urllib.parse.quote(str(file)))
        self.body.append(f'<a class="picture" href="{path}">')
    HTML5Translator.visit_image(self, node)


def depart(self: HTML5Translator, node: nodes.image) -> None:
    """Close the link."""
    HTML5Translator.depart_image(self, node)
    if node["linked"]:
        self.body.append("</a>")


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect."""
    app.add_node(nodes.image, override=True, html=(visit, depart))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
