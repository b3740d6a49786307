r"""The report: one HTML file with figures and tables that sort, filter and show curves, and that needs no network.

Everything that comes from a sweep is escaped, the page's policy forbids it to load anything, and figures are inline
SVG whose text takes the colour of the page, light or dark. Without matplotlib the page has no figures and says so.
"""

from funcnet.results.report.page import render as render
from funcnet.results.report.page import write_report as write_report
