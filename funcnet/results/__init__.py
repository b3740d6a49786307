r"""Results of a sweep: table, summary, figures and report."""

from funcnet.results.table import Results

__all__ = ["Results"]
