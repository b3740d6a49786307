r"""A network whose last layer is the transposed table of its first: one table reads tokens and scores them.

Forward    h₀ = embedding(E, tokens),   h = f(θ, h₀),   z = h Eᵀ
Backward   dh = dz E,   (dθ, dh₀) = f.backward(dh),   dE = dzᵀ h + embedding.backward(dh₀)

Derivation. E stands in y twice: as the table that is read, and as the kernel of a dense layer without bias, whose rows
are columns. By the product rule its gradient is the sum of what each place would have alone. A row that no token asks
for still moves, since its score is in every softmax.

Shapes     tokens: (…,)   h₀, h: (…, width)   z: (…, vocabulary)   or pairs with lengths, if f takes them.
Source     Press & Wolf 2017; Inan et al. 2017.
"""

import math
from typing import Any

import jax

from funcnet.activations.tanh import Tanh
from funcnet.cases import Case
from funcnet.errors import describe, raise_error
from funcnet.keys import fold
from funcnet.layers.activate import as_layer
from funcnet.layers.base import Layer, check_init, is_shape, shapes_of
from funcnet.layers.chain import Chain
from funcnet.layers.dense import Dense
from funcnet.layers.embedding import Embedding
from funcnet.layers.sequences import apart, paired, paired_gradient, parted, shape_apart
from funcnet.records import part, record
from funcnet.trees import default_real


@record
class Tied(Layer):
    r"""An embedding, a body, and scores by the embedding's table; `{"embedding": …, "body": …}`.

    Args:
        embedding: an `Embedding`.
        body: any layer or activation that keeps the embedding's width.

    Raises:
        TypeError: for another layer than an `Embedding`.
        ValueError: once the input's shape is known, where the body changes the width.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> network = fn.Tied(fn.Embedding(65, 8), fn.Chain(fn.Dense(8), fn.tanh))
    >>> params = network.init(jax.random.key(0), (16,))
    >>> print(network.apply(params, jnp.zeros((4, 16), int)).shape, sorted(params))
    (4, 16, 65) ['body', 'embedding']

    """

    embedding: Any = part()
    body: Any = part()

    def __post_init__(self) -> None:
        if not isinstance(self.embedding, Embedding):
            arrived = f"got {describe(self.embedding)}"
            raise_error("the first part of Tied must be an Embedding", arrived, "fn.Embedding(65, 128)", TypeError)
        object.__setattr__(self, "body", as_layer(self.body))

    def out_shape(self, in_shape: Any) -> Any:
        """Return the body's shape with the vocabulary for the width."""
        shape, lengths = shape_apart(self.body.out_shape(self.embedding.out_shape(in_shape)), "Tied")
        if not shape or shape[-1] != self.embedding.width:
            must = f"the body of Tied must end with the embedding's width {self.embedding.width}"
            raise_error(must, f"got {shape}", f"fn.Dense({self.embedding.width}) behind it")
        z = (*shape[:-1], self.embedding.vocabulary)
        return (z, ()) if lengths else z

    def check_input(self, samples: Any) -> None:
        """Check the tokens, and what the body gets."""
        self.embedding.check_input(samples)
        shapes, real = self.embedding.out_shape(shapes_of(samples)), default_real()
        dtypes = real if is_shape(shapes) else (real, samples[1].dtype)
        self.body.check_input(jax.tree.map(jax.ShapeDtypeStruct, shapes, dtypes, is_leaf=is_shape))
        self.out_shape(shapes_of(samples))

    def check_values(self, x: Any) -> None:
        """Let the embedding check the tokens."""
        self.embedding.check_values(x)

    def init(self, key: jax.Array, in_shape: Any, dtype: Any = None) -> dict[str, Any]:
        """Draw the table and the body's parameters."""
        check_init(key, in_shape)
        self.out_shape(in_shape)
        inner = self.embedding.out_shape(in_shape)
        return {
            "embedding": self.embedding.init(fold(key, 0), in_shape, dtype),
            "body": self.body.init(fold(key, 1), inner, dtype),
        }

    def forward(self, params: Any, x: Any, key: jax.Array | None = None) -> tuple[Any, Any]:
        """Return the scores, what both parts saved, and h, which the table's gradient needs."""
        h, saved = self.features(params, x, key)
        return paired(h @ params["embedding"]["table"].T, saved[3]), saved

    def backward(self, params: Any, saved: Any, dy: Any) -> tuple[dict[str, Any], None]:
        """Return the table's two gradients, added, and the body's."""
        _, _, h, _ = saved
        dz, table = apart(dy), params["embedding"]["table"]
        count = math.prod(h.shape[:-1])
        # z = h Eᵀ
        dtable = dz.reshape(count, len(table)).T @ h.reshape(count, table.shape[1])
        return self.features_backward(params, saved, dz @ table, dtable), None

    def features(self, params: Any, x: Any, key: jax.Array | None = None) -> tuple[jax.Array, Any]:
        """Return h, what is scored, and what `forward` saves."""
        inner, tokens = self.embedding.forward(params["embedding"], x)
        out, kept = self.body.forward(params["body"], inner, None if key is None else fold(key, 1))
        h, lengths = parted(out, "Tied")
        return h, (tokens, kept, h, lengths)

    def features_backward(self, params: Any, saved: Any, dh: jax.Array, dtable: jax.Array) -> dict[str, Any]:
        """Return the gradients of table and body, `dtable` being the part of the scores."""
        tokens, kept, _, lengths = saved
        dbody, dinner = self.body.backward(params["body"], kept, paired_gradient(dh, lengths))
        dembedding, _ = self.embedding.backward(params["embedding"], tokens, dinner)
        return {"embedding": {"table": dembedding["table"] + dtable}, "body": dbody}

    def refresh(self, params: Any, saved: Any) -> dict[str, Any]:
        """Let the body move on the numbers that follow the data."""
        return {**params, "body": self.body.refresh(params["body"], saved[1])}


_TABLE = {"table": [[0.5, -1.0], [2.0, 0.3], [-0.7, 1.1]]}
_P = {"embedding": _TABLE, "body": ({"kernel": [[0.7, 0.4], [-0.3, 0.9]], "bias": [0.1, 0.3]}, ())}
_NET = Tied(Embedding(3, 2), Chain(Dense(2), Tanh()))
CASES = (
    Case("ordinary", _NET, (_P, [2])),
    Case("batch", _NET, (_P, [[0, 2, 2], [1, 0, 2]])),
    Case(
        "known",
        Tied(Embedding(2, 1), Dense(1, bias=False)),
        ({"embedding": {"table": [[1.0], [3.0]]}, "body": {"kernel": [[2.0]]}}, [[0, 1]]),
        [[[2.0, 6.0], [6.0, 18.0]]],
        ({"embedding": {"table": [[16.0], [16.0]]}, "body": {"kernel": [[16.0]]}}, None),
        "h = (2, 6); dE = Σ h = 8 for each row, and 4 · 2 = 8 for each token",
    ),
)
