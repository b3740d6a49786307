"""How the page writes prose and numbers."""

import textwrap


def prose(text: str) -> str:
    """Fill paragraphs to the width of a page; headings are paragraphs of one line.

    A number and its % stay on one line: MyST takes a line that begins with % for a comment.
    """
    parts = [" ".join(part.split()).replace(" %", "\N{NO-BREAK SPACE}%") for part in text.strip().split("\n\n")]
    return "\n\n".join(textwrap.fill(part, 120, break_long_words=False, break_on_hyphens=False) for part in parts)


def digits(value: float) -> str:
    """Write a number with three digits, and no exponent."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:g}"


def spread(row: dict[str, float], scale: float = 1.0) -> str:
    """Write the quartiles of a race's row."""
    return f"{digits(scale * row['low'])} … {digits(scale * row['high'])}"
