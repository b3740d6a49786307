r"""The usual stacks: dense layers with an activation between them, and the blocks of a transformer.

`mlp(64, 10)` maps any number of features to 64 hidden units and 10 outputs: the widths are those of the dense
layers, the number of features comes with the data. The last layer has no activation: losses take logits.

`transformer(65, 128, 4, 4, 64)` maps 64 tokens of 65 kinds to the logits of what follows each of them, by 4 blocks of
width 128 and 4 heads.

Source     Article B2; Radford et al. 2019 for the transformer, Xiong et al. 2020 for the place of its normalisations.
"""

from typing import Any

from funcnet.activations.gelu import GELU
from funcnet.activations.relu import ReLU
from funcnet.errors import describe, raise_error
from funcnet.layers.attention import Attention
from funcnet.layers.base import Layer
from funcnet.layers.chain import Chain
from funcnet.layers.dense import Dense
from funcnet.layers.dropout import Dropout
from funcnet.layers.embedding import Embedding
from funcnet.layers.initializers import RandomNormal
from funcnet.layers.layer_norm import LayerNorm
from funcnet.layers.positions import Positions
from funcnet.layers.repeat import Repeat
from funcnet.layers.residual import Residual
from funcnet.layers.tied import Tied

_RELU = ReLU()
_GELU = GELU(approximate=True)
DEVIATION = 0.02  # of all kernels and tables


def mlp(*widths: int, activation: Any = _RELU, dropout: Any = None) -> Chain:
    r"""Return Chain(Dense(w₁), activation, [Dropout,] …, Dense(w_L)).

    Args:
        widths: the width of each dense layer; the last is the number of outputs.
        activation: what follows each hidden layer.
        dropout: the rate at which hidden units are left out, or a `Dropout`, or None.

    Raises:
        ValueError: without widths, or with one below 1.
        TypeError: for an activation that is none.

    >>> import funcnet as fn
    >>> print([type(layer).__name__ for layer in fn.mlp(32, 10, dropout=0.2).layers])
    ['Dense', 'ReLU', 'Dropout', 'Dense']

    """
    if not widths:
        raise_error("mlp needs at least one width", "got none", "fn.mlp(64, 10): 64 hidden units, 10 outputs")
    if isinstance(widths[0], (tuple, list)):
        raise_error("widths must be separate arguments", f"got {describe(widths[0])}", "fn.mlp(*widths)", TypeError)
    layers: list[Any] = []
    for width in widths[:-1]:
        layers += [Dense(width), activation]
        if dropout is not None:
            layers.append(dropout if isinstance(dropout, Dropout) else Dropout(dropout))
    return Chain(*layers, Dense(widths[-1]))


def transformer(
    vocabulary: int,
    width: int,
    depth: int,
    heads: int,
    context: int,
    *,
    dropout: Any = 0.0,
    tied: bool = True,
    groups: int | None = None,
    rotary: bool = False,
    hidden: int | None = None,
    activation: Any = _GELU,
) -> Layer:
    r"""Return a causal transformer from tokens (time,) to logits (time, vocabulary): GPT-2's.

    A block is x + attention(norm x), then x + dense(activation(dense(norm x))); blocks are one `Repeat`, compiled once.
    Kernels and tables begin normal with a deviation of 0.02, divided by √(2 depth) in the last layer of each residual,
    so that their sum over all blocks keeps its size.

    Conventions are GPT-2's: normalisations before each part with ε = 10⁻⁵, GELU in its form with tanh. Beside it in
    PyTorch, logits, gradients and steps of AdamW agree to 10⁻¹⁰, where PyTorch's decay is given kernels and tables
    alone; of the keys' bias the gradient is 0 here, and rounding there. `experiments/record_gpt.py` has it written out.

    Args:
        vocabulary: how many tokens there are.
        width: numbers for each token, throughout.
        depth: how many blocks.
        heads: heads of each attention, a divisor of the width.
        context: the most tokens that the network sees at once; no limit with `rotary`.
        dropout: the rate, in the attention's weights, behind the embedding and at the end of each residual.
        tied: whether the embedding's table gives the logits too; else a dense layer of its own.
        groups: heads of keys and values, a divisor of `heads`; None for as many.
        rotary: turns queries and keys by their places, instead of adding learned positions.
        hidden: the width between a block's two dense layers; 4 · width unless given.
        activation: what stands between them.

    >>> import jax, jax.numpy as jnp, funcnet as fn
    >>> network = fn.transformer(65, 16, 2, 4, 32)
    >>> params = network.init(jax.random.key(0), (32,))
    >>> print(network.apply(params, jnp.zeros((3, 32), int)).shape)
    (3, 32, 65)

    """
    first, last = RandomNormal(DEVIATION), RandomNormal(DEVIATION / (2 * depth) ** 0.5)
    drop = () if isinstance(dropout, (int, float)) and dropout == 0 else (Dropout(dropout),)
    attention = Attention(
        heads, causal=True, groups=groups, rotary=rotary, dropout=dropout, kernel_init=first, output_init=last
    )
    dense = (Dense(hidden or 4 * width, kernel_init=first), activation, Dense(width, kernel_init=last))
    block = Chain(Residual(LayerNorm(), attention, *drop), Residual(LayerNorm(), *dense, *drop))
    places = () if rotary else (Positions(context, table_init=RandomNormal(DEVIATION)),)
    embedding = Embedding(vocabulary, width, table_init=RandomNormal(DEVIATION))
    body = (*places, *drop, Repeat(block, depth), LayerNorm())
    if tied:
        return Tied(embedding, Chain(*body))
    return Chain(embedding, *body, Dense(vocabulary, bias=False, kernel_init=first))
