r"""What the studies of text share: the novel as tokens, windows drawn anew, and what counting alone finds."""

import numpy as np

import funcnet as fn


class Drawn:
    """A source of windows at places drawn anew in each read, as nanoGPT draws them; so many make an epoch."""

    def __init__(self, tokens, length, count, seed):
        self.windows, self.count = fn.data.TokenWindows(tokens, length, stride=1), count
        self.rng = np.random.default_rng(seed)

    def __len__(self):
        return self.count

    def __getitem__(self, rows):
        return self.windows[self.rng.integers(0, len(self.windows), len(rows))]


def novel():
    """Return the novel's vocabulary, and its three parts as tokens."""
    text = fn.data.moby_dick()
    kinds = fn.data.vocabulary("".join(text))
    return kinds, [fn.data.encode(part, kinds) for part in text]


def counted(train, held, kinds, order, prior=5.0):
    r"""Return the mean −log p of held tokens by the counts of the training text, in contexts of 0 … order tokens.

    p_k(c | context) = (n(context c) + prior · p_{k−1}(c | shorter context)) / (n(context) + prior),   p_{−1} = 1/kinds.
    """
    p, losses = np.full(len(held) - order, 1 / kinds), []
    for k in range(order + 1):
        weights = kinds ** np.arange(k, -1, -1, dtype=np.int64)

        def keys(tokens, k=k, weights=weights):
            windows = np.lib.stride_tricks.sliding_window_view(tokens.astype(np.int64), k + 1)
            return windows @ weights

        seen = keys(train)
        own = keys(held[order - k :])
        both, context = _occurring(seen, own), _occurring(seen // kinds, own // kinds)
        p = (both + prior * p) / (context + prior)
        losses.append(float(-np.log(p).mean()))
    return losses


def _occurring(seen, wanted):
    """Return how often each of the wanted numbers occurs among those seen."""
    numbers, counts = np.unique(seen, return_counts=True)
    at = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
    return np.where(numbers[at] == wanted, counts[at], 0)
