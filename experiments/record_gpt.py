r"""Record a tiny GPT in PyTorch for the tests, as llm.c's debug state does: `python experiments/record_gpt.py`.

Needs the `bench` extra. The network is GPT-2's in plain PyTorch and float64, every operation written out: learned
positions, layer normalisations before each part (ε = 10⁻⁵), causal attention with queries, keys and values in one
product, GELU in its form with tanh, one table for tokens and logits. Its weights are random, and large enough that no
part of it is nearly linear; there are fewer steps than the context has, so that some positions are never read.

Writes tests/recorded/gpt.npz: tokens, labels, weights, logits, loss, all gradients, and the losses of ten steps of
`torch.optim.AdamW`: before each of them and after the last. Kernels and tables decay; biases and the normalisations'
parameters do not, as in nanoGPT and in funcnet. The suite reads the file and needs no PyTorch.
"""

import json
import math
import pathlib

import numpy as np
import torch
from torch.nn import functional

TARGET = pathlib.Path(__file__).parents[1] / "tests" / "recorded" / "gpt.npz"
DEPTH, HEADS, WIDTH, VOCABULARY, CONTEXT = 2, 2, 12, 17, 11
BATCH, TIME, STEPS = 3, 9, 10
NUMBERS = {"learning_rate": 0.003, "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8, "weight_decay": 0.1}


def shapes():
    """Return the shapes of all parameters under the names of nanoGPT."""
    found = {"wte.weight": (VOCABULARY, WIDTH), "wpe.weight": (CONTEXT, WIDTH)}
    for block in range(DEPTH):
        for name, out, into in (
            ("ln_1", WIDTH, None),
            ("attn.c_attn", 3 * WIDTH, WIDTH),
            ("attn.c_proj", WIDTH, WIDTH),
            ("ln_2", WIDTH, None),
            ("mlp.c_fc", 4 * WIDTH, WIDTH),
            ("mlp.c_proj", WIDTH, 4 * WIDTH),
        ):
            found[f"h.{block}.{name}.weight"] = (out,) if into is None else (out, into)
            found[f"h.{block}.{name}.bias"] = (out,)
    return found | {"ln_f.weight": (WIDTH,), "ln_f.bias": (WIDTH,)}


def attention(weights, name, x):
    """Return causal attention of x (batch, time, width) to itself."""
    batch, time, width = x.shape
    both = functional.linear(x, weights[f"{name}.c_attn.weight"], weights[f"{name}.c_attn.bias"])
    q, k, v = (a.view(batch, time, HEADS, width // HEADS).transpose(1, 2) for a in both.split(width, dim=-1))
    scores = q @ k.transpose(-2, -1) / math.sqrt(width // HEADS)
    scores = scores.masked_fill(torch.ones(time, time).triu(1).bool(), -math.inf)
    seen = (torch.softmax(scores, dim=-1) @ v).transpose(1, 2).reshape(batch, time, width)
    return functional.linear(seen, weights[f"{name}.c_proj.weight"], weights[f"{name}.c_proj.bias"])


def logits(weights, tokens):
    """Return the logits (batch, time, vocabulary)."""

    def norm(name, x):
        return functional.layer_norm(x, (WIDTH,), weights[f"{name}.weight"], weights[f"{name}.bias"], eps=1e-5)

    x = weights["wte.weight"][tokens] + weights["wpe.weight"][: tokens.shape[1]]
    for name in (f"h.{block}" for block in range(DEPTH)):
        x = x + attention(weights, f"{name}.attn", norm(f"{name}.ln_1", x))
        a = functional.linear(
            norm(f"{name}.ln_2", x), weights[f"{name}.mlp.c_fc.weight"], weights[f"{name}.mlp.c_fc.bias"]
        )
        a = functional.gelu(a, approximate="tanh")
        x = x + functional.linear(a, weights[f"{name}.mlp.c_proj.weight"], weights[f"{name}.mlp.c_proj.bias"])
    return norm("ln_f", x) @ weights["wte.weight"].T


def main():
    rng = np.random.default_rng(20241121)
    drawn = {}
    for name, shape in shapes().items():
        norm = name.split(".")[-2].startswith("ln_")
        drawn[name] = rng.normal(1.0 if norm and name.endswith("weight") else 0.0, 0.4, shape)
    tokens, labels = (rng.integers(0, VOCABULARY, (BATCH, TIME)) for _ in range(2))
    weights = {name: torch.tensor(a, requires_grad=True) for name, a in drawn.items()}
    x, y = torch.tensor(tokens), torch.tensor(labels)

    def loss(z):
        return functional.cross_entropy(z.reshape(-1, VOCABULARY), y.reshape(-1))

    z = logits(weights, x)
    out = {"tokens": tokens, "labels": labels, "logits": z.detach().numpy(), "loss": loss(z).item()}
    loss(z).backward()
    out |= {f"weights/{name}": a for name, a in drawn.items()}
    out |= {f"gradient/{name}": w.grad.numpy().copy() for name, w in weights.items()}

    decaying = [w for w in weights.values() if w.ndim > 1]
    others = [w for w in weights.values() if w.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": decaying, "weight_decay": NUMBERS["weight_decay"]}, {"params": others, "weight_decay": 0.0}],
        lr=NUMBERS["learning_rate"],
        betas=(NUMBERS["beta1"], NUMBERS["beta2"]),
        eps=NUMBERS["epsilon"],
    )
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        value = loss(logits(weights, x))
        value.backward()
        losses.append(value.item())
        optimizer.step()
    losses.append(loss(logits(weights, x)).item())
    sizes = {"depth": DEPTH, "heads": HEADS, "width": WIDTH, "vocabulary": VOCABULARY, "context": CONTEXT}
    about = {"torch": torch.__version__, "sizes": sizes, "adamw": NUMBERS}
    np.savez_compressed(TARGET, losses=np.array(losses), about=np.array(json.dumps(about)), **out)
    print(f"{TARGET.stat().st_size} bytes; losses {losses}")


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    main()
