r"""The page as a whole."""

import os
import pathlib

from funcnet.files import write_whole
from funcnet.results.report.about import about, chosen
from funcnet.results.report.curves import curves
from funcnet.results.report.figures import figures
from funcnet.results.report.tables import rows, settings
from funcnet.results.report.view import escaped, view_of
from funcnet.results.trials import Trials

_HERE = pathlib.Path(__file__).parent
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
_SILENT = "Without JavaScript the tables neither sort nor filter, and show no curves."


def write_report(
    results: Trials,
    path: str | os.PathLike[str],
    *,
    select: str | None = None,
    over: str | tuple[str, ...] | None = None,
    title: str = "Sweep",
) -> None:
    """Write the report of a sweep; the file is there in full or not at all.

    Args:
        results: of a sweep.
        path: of the file, which opens in any browser.
        select: the metric by which settings are ranked; None is the first of the usual ones that is there.
        over: the fields of repetitions; None is the seeds and folds that vary.
        title: of the page.

    """
    page = render(results, select=select, over=over, title=title)
    write_whole(path, lambda file: print(page, end="", file=file))


def render(
    results: Trials, *, select: str | None = None, over: str | tuple[str, ...] | None = None, title: str = "Sweep"
) -> str:
    """Return the page."""
    view = view_of(results, select, over)
    (settings_table, settings_style), (rows_table, rows_style) = settings(view), rows(view)
    style = (_HERE / "page.css").read_text(encoding="utf-8") + settings_style + rows_style
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{escaped(title)}: {escaped(results.headline())}</title>\n<style>{style}</style></head>\n<body>\n"
        f'<header><h1>{escaped(title)}</h1><p class="faint">{escaped(results.headline())}</p></header>\n<main>\n'
        f"{chosen(view)}\n<noscript><p>{_SILENT}</p></noscript>\n{settings_table}\n{about(view)}\n"
        f'<section aria-labelledby="figures"><h2 id="figures">Figures</h2>{figures(view)}</section>\n{rows_table}\n'
        f'</main>\n<script type="application/json" id="curves">{curves(view)}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )
