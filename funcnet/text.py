r"""Tables for people to read: as lines of text, and as HTML for a notebook or a page."""

import html
from collections.abc import Iterable, Sequence


def text_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 0, width: int | None = None
) -> list[str]:
    r"""Return the lines of a table, its first `left` columns flush left and the others flush right.

    Args:
        head: the names of the columns.
        rows: as many cells each, as text.
        left: how many columns are flush left.
        width: the most letters of a line, or None; the columns beyond it are named below the table.

    >>> print("\n".join(text_table(("layer", "rate", "runs"), [("dense", "0.25", "3")], left=1, width=12)))
    layer  rate
    dense  0.25
    not shown: runs

    """
    columns = [list(column) for column in zip(head, *rows, strict=True)]
    widths = [max(map(len, column)) for column in columns]
    fit = len(columns)
    while width is not None and fit and sum(widths[:fit]) + 2 * (fit - 1) > width:
        fit -= 1
    padded = [
        [cell.ljust(wide) if place < left else cell.rjust(wide) for cell in column]
        for place, (column, wide) in enumerate(zip(columns[:fit], widths[:fit], strict=True))
    ]
    lines = ["  ".join(cells).rstrip() for cells in zip(*padded, strict=True)]
    return lines + ([f"not shown: {', '.join(head[fit:])}"] if fit < len(columns) else [])


def html_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as HTML, with every cell escaped.

    >>> html_table(["a"], [["<b>"]])
    '<table><thead><tr><th scope="col">a</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    names = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in head)
    lines = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"


def counted(number: int, noun: str) -> str:
    """Return '1 run' or '2 runs'."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def clipped(text: str, length: int = 60) -> str:
    """Return a text of at most so many letters."""
    return text if len(text) <= length else text[: length - 1] + "…"
