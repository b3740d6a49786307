"""Draw the pictures of the derivations: the soft threshold, L1 against L2, and Huber's loss.

    python -m experiments.derivation_figures    a few seconds; writes docs/images/derivations/

What the pictures show comes from funcnet's own rules and linear models.
"""

import numpy as np

import funcnet as fn
from experiments.study import DOCS
from funcnet.figures import COLOURS, INK, style

# A least-squares problem with correlated features: ½ (w − CENTRE)ᵀ GRAM (w − CENTRE).
GRAM, CENTRE = np.asarray([[1.0, 0.3], [0.3, 0.4]]), np.asarray([1.2, 0.6])


def soft_threshold():
    """Draw three proximal maps, and the walk of subgradient and proximal steps on λ|w|."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.6))
    left, right = figure.subplots(1, 2)
    w = np.linspace(-2, 2, 401)
    left.plot(w, w, color=INK, lw=0.8, ls=":", label="w itself")
    for name, rule, colour in (
        ("L1, λ = 0.7: soft threshold", fn.L1(0.7), COLOURS[0]),
        ("L2, λ = 0.7", fn.L2(0.7), COLOURS[1]),
        ("elastic net, 0.7 and 0.7", fn.ElasticNet(0.7, 0.7), COLOURS[2]),
    ):
        left.plot(w, rule.prox(w.astype(np.float32), 1.0), color=colour, lw=2, label=name)
    left.set(xlabel="w", ylabel="proximal point of w", title="Proximal points, step s = 1", xticks=range(-2, 3))
    left.legend(loc="lower right")
    penalty, step = fn.L1(1.0), 0.1
    subgradient, proximal = [np.float32(0.75)], [np.float32(0.75)]
    for _ in range(12):
        subgradient.append(subgradient[-1] - step * np.asarray(penalty.gradient(subgradient[-1])))
        proximal.append(np.asarray(penalty.prox(proximal[-1], step)))
    right.axhline(0, color=INK, lw=0.8)
    right.plot(subgradient, "o-", color=COLOURS[1], label="subgradient steps")
    right.plot(proximal, "s--", color=COLOURS[0], label="proximal steps")
    right.set(xlabel="step", ylabel="w", title="Steps on |w| from 0.75, sλ = 0.1")
    right.legend()
    return figure


def l1_l2_geometry():
    """Draw a least-squares problem, the budgets of L1 and L2, and the points of least error within them."""
    from matplotlib.figure import Figure

    values, vectors = np.linalg.eigh(GRAM)
    # Features whose Gram matrix is GRAM, for targets that CENTRE fits: ½ ‖y − Xw‖² with two samples.
    x = np.sqrt(2 * values)[:, None] * vectors.T
    y = x @ CENTRE
    figure = Figure(figsize=(8.0, 3.4))
    grid = np.linspace(-1.0, 2.2, 321)
    w1, w2 = np.meshgrid(grid, grid)
    offset = np.stack([w1 - CENTRE[0], w2 - CENTRE[1]], axis=-1)
    error = 0.5 * np.einsum("...i,ij,...j", offset, GRAM, offset)
    angle = np.linspace(0, 2 * np.pi, 401)
    for axes, ratio, name in zip(figure.subplots(1, 2, sharey=True), (1.0, 0.0), ("L1", "L2"), strict=True):
        best = fn.linear.elastic_net(x, y, 0.6, l1_ratio=ratio, intercept=False, tolerance=1e-10).coefficients
        length = np.abs(best).sum() if ratio else np.sqrt((best**2).sum())
        circle = np.stack([np.cos(angle), np.sin(angle)])
        edge = length * circle / (np.abs(circle).sum(axis=0) if ratio else 1)
        at_best = 0.5 * (best - CENTRE) @ GRAM @ (best - CENTRE)
        levels = at_best * np.asarray([0.1, 0.4, 1.0, 1.9])
        axes.contour(w1, w2, error, levels=levels, colors=[COLOURS[7]], linewidths=[0.8, 0.8, 1.8, 0.8])
        axes.fill(*edge, color=COLOURS[4], alpha=0.35, lw=0)
        axes.axhline(0, color=INK, lw=0.8)
        axes.axvline(0, color=INK, lw=0.8)
        axes.plot(*CENTRE, "+", color=INK, ms=10)
        axes.annotate("least squares", CENTRE, textcoords="offset points", xytext=(6, 6))
        axes.plot(*best, "o", color=COLOURS[1], ms=7)
        axes.annotate(
            f"({best[0]:.2f}, {best[1]:.2f})", best, textcoords="offset points", xytext=(-10, -15), ha="right"
        )
        axes.set(
            xlabel="w₁",
            title=f"{name} with λ = 0.6; lines of equal error",
            aspect="equal",
            xlim=(-1, 2.2),
            ylim=(-1, 1.5),
        )
    figure.axes[0].set_ylabel("w₂")
    return figure


def huber():
    """Draw three losses and their slopes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.4))
    left, right = figure.subplots(1, 2)
    r = np.linspace(-3, 3, 601).astype(np.float32)
    for name, loss, colour, width in (
        ("half the squared error", fn.MeanSquaredError(half=True, reduction="none"), COLOURS[1], 1.3),
        ("absolute error", fn.MeanAbsoluteError(reduction="none"), COLOURS[2], 1.3),
        ("Huber, δ = 1", fn.Huber(1.0, reduction="none"), COLOURS[0], 2.2),
    ):
        value, saved = loss.forward(r, np.zeros_like(r))
        left.plot(r, value, color=colour, lw=width, label=name)
        right.plot(r, loss.backward(saved, np.ones_like(r)), color=colour, lw=width, label=name)
    for axes, name in ((left, "loss"), (right, "slope")):
        for edge in (-1, 1):
            axes.axvline(edge, color=INK, lw=0.8, ls=":", label="±δ" if edge > 0 else None)
        axes.set(xlabel="residual r = p − t", ylabel=name)
    left.set(title="Quadratic near, linear far", ylim=(0, 3.5))
    right.set(title="The slope is the residual, clipped at ±δ", ylim=(-2.2, 2.2))
    left.legend(loc="upper center", frameon=True, facecolor="white", edgecolor="none", framealpha=1)
    return figure


def main():
    """Write the three pictures."""
    folder = DOCS / "images" / "derivations"
    folder.mkdir(parents=True, exist_ok=True)
    with style():
        for name, draw in (("soft-threshold", soft_threshold), ("l1-l2-geometry", l1_l2_geometry), ("huber", huber)):
            draw().savefig(folder / f"{name}.png", dpi=110, metadata={"Software": None})
            print(folder / f"{name}.png")


if __name__ == "__main__":
    main()
