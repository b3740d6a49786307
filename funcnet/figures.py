r"""The look of figures; what draws them is imported when it is asked to."""

import contextlib
from collections.abc import Iterator
from typing import Any

from funcnet.extras import import_extra

# Okabe & Ito's colours, told apart by colour-blind readers, without those that vanish on white or on black.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6bb1", "#7f7f7f")
BAD = "#d62728"
INK = "#23272d"  # of text and axes; the report gives it the colour of the page's text
PAPER = "#fffffe"  # below text on lines; the report gives it the colour of the page

STYLE = {
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.18,
    "grid.color": INK,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "hatch.color": BAD,
    "figure.constrained_layout.use": True,
}


@contextlib.contextmanager
def style() -> Iterator[Any]:
    """Let figures be made and drawn in one style, whatever the user's settings are."""
    matplotlib = import_extra("matplotlib")
    with matplotlib.rc_context():
        matplotlib.rcParams.update(matplotlib.rcParamsDefault | {"backend": matplotlib.rcParams["backend"]})
        matplotlib.rcParams.update(STYLE)
        yield matplotlib


def figure_of(width: float = 7.2, height: float = 4.2) -> tuple[Any, Any]:
    """Return a figure of so many inches, and its axes."""
    # No pyplot: its figures stay in memory until they are closed, and may open windows.
    figure = import_extra("matplotlib.figure").Figure(figsize=(width, height))
    return figure, figure.add_subplot()
