r"""Figures of a sweep, by matplotlib: every function takes results and returns a `matplotlib.figure.Figure`.

Runs that diverged are drawn, as crosses or dashed lines, or counted in words; none is left out in silence, and neither
are runs of which there are too many to draw. An axis of positive numbers over two decades or more is logarithmic.
Figures belong to no window: save them with `figure.savefig(path)`.
"""

from funcnet.results.plots.against import metric_against
from funcnet.results.plots.curves import MOST_GROUPS, learning_curves
from funcnet.results.plots.grids import heat_map
from funcnet.results.plots.parallel import parallel_coordinates

__all__ = ["MOST_GROUPS", "heat_map", "learning_curves", "metric_against", "parallel_coordinates"]
