r"""Record scikit-learn's solutions of linear models for the tests: `python experiments/record_linear.py`.

Needs the `bench` extra. Writes data, solutions and the version to tests/recorded/linear.npz. The data are
drawn here and recorded, so that the tests depend on no generator.
"""

import pathlib

import numpy as np
import sklearn
from sklearn.linear_model import ElasticNet, ElasticNetCV, Lasso, LogisticRegression, Ridge, enet_path

TARGET = pathlib.Path(__file__).parents[1] / "tests" / "recorded" / "linear.npz"
TIGHT = {"tol": 1e-15, "max_iter": 1_000_000}
RATIOS = (1.0, 0.5, 0.1)


def draw(rng, samples, features, correlation):
    """Draw features of equal pairwise correlation about a mean of 1, and targets from the first six."""
    own, common = rng.standard_normal((samples, features)), rng.standard_normal((samples, 1))
    x = np.sqrt(1 - correlation) * own + np.sqrt(correlation) * common + 1
    return x, x[:, :6] @ np.asarray([2.0, -3.0, 1.0, 0.5, -1.0, 1.5]) + 0.5 * rng.standard_normal(samples) + 4


def classify(rng, x, classes):
    """Draw labels from a softmax of the first five features."""
    logits = 1.5 * (x[:, :5] - 1) @ rng.standard_normal((5, classes))
    return np.argmax(logits + rng.gumbel(size=logits.shape), axis=1).astype(np.int32)


def squares(name, x, y, out):
    """Record paths, single fits and ridge of one set of data."""
    out[f"{name}/x"], out[f"{name}/y"] = x, y
    xc, yc = x - x.mean(0), y - y.mean()
    for ratio in RATIOS:
        top = np.abs(xc.T @ yc).max() / len(x) / ratio
        penalties = np.geomspace(top, 0.01 * top, 12)
        _, coefficients, _ = enet_path(xc, yc, l1_ratio=ratio, alphas=penalties, **TIGHT)
        out[f"{name}/penalties {ratio}"], out[f"{name}/path {ratio}"] = penalties, coefficients.T
    lasso, net = Lasso(0.1, **TIGHT).fit(x, y), ElasticNet(0.1, l1_ratio=0.5, **TIGHT).fit(x, y)
    ridge = Ridge(2.0, solver="svd").fit(x, y)
    for label, model in (("lasso", lasso), ("net", net), ("ridge", ridge)):
        out[f"{name}/{label}"] = np.append(model.coef_, model.intercept_)


def classes(name, x, y, out):
    """Record logistic regressions of one set of data, λ = 0.02."""
    out[f"{name}/x"], out[f"{name}/y"] = x, y
    for ratio in (0.0, 0.5, 1.0):
        how = {"solver": "newton-cg", "tol": 1e-12} if ratio == 0 else {"solver": "saga", "tol": 1e-13}
        strength = 1 / (0.02 * len(x))
        model = LogisticRegression(C=strength, l1_ratio=ratio, max_iter=1_000_000, random_state=0, **how)
        model.fit(x, y)
        # Intercepts of several classes are unique up to a constant; ours have sum 0.
        center = model.intercept_.mean() if len(model.intercept_) > 1 else 0
        out[f"{name}/{ratio}"] = np.column_stack([model.coef_, model.intercept_ - center])


def main():
    """Draw, solve, write."""
    rng = np.random.default_rng(5)
    out = {"version": np.asarray(sklearn.__version__)}
    squares("dense", *draw(rng, 60, 20, 0.0), out)
    squares("correlated", *draw(rng, 60, 20, 0.9), out)
    squares("wide", *draw(rng, 40, 100, 0.3), out)
    for name, shape in (("tall", (60, 20)), ("flat", (40, 100))):
        for count in (2, 3):
            x, _ = draw(rng, *shape, 0.2)
            classes(f"{name} {count}", x, classify(rng, x, count), out)
    x, y = out["dense/x"], out["dense/y"]
    penalties = np.geomspace(3, 0.01, 12)
    model = ElasticNetCV(l1_ratio=[0.5, 1.0], alphas=penalties, cv=5, **TIGHT).fit(x, y)
    out["validation/penalties"], out["validation/errors"] = penalties, model.mse_path_
    out["validation/best"] = np.concatenate([[model.l1_ratio_, model.alpha_, model.intercept_], model.coef_])
    TARGET.parent.mkdir(exist_ok=True)
    np.savez_compressed(TARGET, **out)
    print(TARGET, TARGET.stat().st_size, "bytes, scikit-learn", sklearn.__version__)


if __name__ == "__main__":
    main()
