"""What would disappoint a reader fails the build: dead links, torn tables, pictures without words, no way back.

Sphinx itself complains of pages that no list of contents names, and of references that it cannot resolve; what is
checked here is the finished site, by the files that a browser would load.
"""

import html.parser
import pathlib
import re
import urllib.parse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx


class Page(html.parser.HTMLParser):
    """The anchors, the links and the pictures of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.pictures: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note ids, href and src."""
        if tag == "img":
            self.pictures.append(dict(attributes))
        for name, value in attributes:
            if value and (name == "id" or (name == "name" and tag == "a")):
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)


def read(site: pathlib.Path) -> dict[pathlib.Path, Page]:
    """Return all pages of a site."""
    return {path.resolve(): Page(path.read_text()) for path in sorted(site.rglob("*.html"))}


def target(path: pathlib.Path, link: str) -> tuple[pathlib.Path, str] | None:
    """Return the file and the anchor that a link of a page means, or None if it leads to another host."""
    parts = urllib.parse.urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    file = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
    return file, urllib.parse.unquote(parts.fragment)


def broken_links(site: pathlib.Path, pages: dict[pathlib.Path, Page]) -> list[str]:
    """List 'page: link' for each local link whose file or anchor is not there."""
    broken = []
    there: dict[pathlib.Path, bool] = {}
    for path, page in pages.items():
        for link in dict.fromkeys(page.links):
            if (found := target(path, link)) is None:
                continue
            file, anchor = found
            if file not in there:
                there[file] = file in pages or file.is_file()
            if not there[file] or (anchor and file in pages and anchor not in pages[file].anchors):
                broken.append(f"{path.relative_to(site.resolve())}: {link}")
    return broken


def unlabelled(site: pathlib.Path, pages: dict[pathlib.Path, Page]) -> list[str]:
    """List 'page: picture' for each picture that no words describe: without alt, Sphinx puts the file's name there."""
    found = []
    for path, page in pages.items():
        for picture in page.pictures:
            words = picture.get("alt") or ""
            if "_static/" in (picture.get("src") or ""):  # an ornament of the theme
                continue
            if len(words.split()) < 2 or pathlib.Path(picture.get("src") or "").name in words:
                found.append(f"{path.relative_to(site.resolve())}: {picture.get('src')}")
    return found


def lost(site: pathlib.Path, pages: dict[pathlib.Path, Page]) -> list[str]:
    """List the pages that no link leads away from to the first page."""
    home = (site / "index.html").resolve()
    back = {
        p: any(found and found[0] == home for link in page.links if (found := target(p, link)))
        for p, page in pages.items()
    }
    return [str(path.relative_to(site.resolve())) for path, there in back.items() if not there and path != home]


def torn_tables(text: str) -> list[str]:
    r"""List the rows of a Markdown page's tables that have more or fewer cells than their head.

    A bar in a cell must be written as \|, in code marks as well.
    """
    text = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    torn: list[str] = []
    cells = None
    for line in text.splitlines():
        row = line.strip()
        if not row.startswith("|"):
            cells = None
            continue
        found = len(re.findall(r"(?<!\\)\|", row)) - 1
        cells = cells or found
        if found != cells or not row.endswith("|"):
            torn.append(row)
    return torn


def check_source(app: "Sphinx", name: str, content: list[str]) -> None:
    """Complain of torn tables."""
    from sphinx.util import logging

    for row in torn_tables(content[0]):
        logging.getLogger(__name__).warning("a row with another number of cells than its head: %s", row, location=name)


def check_site(app: "Sphinx", failure: Any) -> None:
    """Complain of what is wrong with the finished pages."""
    from sphinx.util import logging

    if failure is not None or app.builder.name != "html":
        return
    site = pathlib.Path(app.outdir)
    pages = read(site)
    complaints = {
        "leads nowhere": broken_links(site, pages),
        "has no words for who cannot see it": unlabelled(site, pages),
        "has no way back": lost(site, pages),
    }
    for words, found in complaints.items():
        for place in found:
            logging.getLogger(__name__).warning("%s %s", place, words)


def setup(app: "Sphinx") -> dict[str, bool]:
    """Connect."""
    app.connect("source-read", check_source)
    app.connect("build-finished", check_site)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
