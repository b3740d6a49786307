r"""Record small PyTorch models for the tests of `fn.from_torch`: `python experiments/record_torch.py`.

Needs the `torch` extra. Each model is in float64 and evaluation mode, with random weights and running statistics, no
two of its sizes alike. Writes tests/recorded/torch.npz: of each model the entries of its state dict in their order, a
batch and what the model makes of it. The suite reads the file and needs no PyTorch; where PyTorch is there, the tests
take the models of this script and go both ways.
"""

import pathlib

import numpy as np
import torch
from torch import nn

TARGET = pathlib.Path(__file__).parents[1] / "tests" / "recorded" / "torch.npz"


class Steps(nn.Module):
    """Recurrent modules one after the other, and a dense layer for each step."""

    def __init__(self, *cells, out):
        super().__init__()
        self.cells = nn.ModuleList(cells)
        wide = cells[-1].hidden_size * (1 + cells[-1].bidirectional)
        self.head = nn.Linear(wide, out)

    def forward(self, x):
        """Return the outputs of all steps."""
        for cell in self.cells:
            x, _ = cell(x)
        return self.head(x)


class Encoder(nn.Module):
    """Tokens, a parameter of positions, PyTorch's own encoder with normalisations first, and a dense layer."""

    def __init__(self, vocabulary, width, heads, hidden, depth, time, out):
        super().__init__()
        self.places = nn.Parameter(torch.zeros(1, time, width))
        self.tokens = nn.Embedding(vocabulary, width)
        options = {"activation": "gelu", "batch_first": True, "norm_first": True}
        layer = nn.TransformerEncoderLayer(width, heads, hidden, **options)
        self.body = nn.TransformerEncoder(layer, depth, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, out)

    def forward(self, x):
        """Return what is expected of each place."""
        return self.head(self.body(self.tokens(x) + self.places[:, : x.shape[1]]))


class Branches(nn.Module):
    """A residual block of dense layers, then attention beside a dense layer, put side by side."""

    def __init__(self, width, heads, out):
        super().__init__()
        self.norm, self.up, self.down = nn.RMSNorm(width, eps=1e-6), nn.Linear(width, 7), nn.Linear(7, width)
        self.attention = nn.MultiheadAttention(width, heads, bias=False, batch_first=True)
        self.beside = nn.Linear(width, out, bias=False)

    def forward(self, x):
        """Return both side by side."""
        x = x + self.down(torch.tanh(self.up(self.norm(x))))
        return torch.cat([self.attention(x, x, x)[0], self.beside(x)], dim=-1)


def models():
    """Return each model with the shape of a sample, as PyTorch has it; None for what tokens it takes."""
    images = nn.Sequential(
        *(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 6, (3, 2), groups=2), nn.ReLU(), nn.Flatten()),
        *(nn.BatchNorm1d(24), nn.Dropout(0.3), nn.Linear(24, 5, bias=False)),
    )
    signals = nn.Sequential(
        *(nn.Conv1d(4, 8, 3, padding=1, groups=4), nn.GroupNorm(2, 8), nn.ReLU()),
        *(nn.Conv1d(8, 6, 2, stride=2), nn.Flatten(), nn.LayerNorm(24), nn.Linear(24, 3)),
    )
    volumes = nn.Sequential(nn.Conv3d(2, 3, (2, 1, 3), stride=(1, 2, 1)), nn.Tanh(), nn.Flatten(), nn.Linear(72, 5))
    decoder = nn.Sequential(
        *(nn.Linear(5, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Unflatten(1, (4, 3, 2))),
        *(nn.ConvTranspose2d(4, 3, (3, 2), stride=2, padding=(1, 0)), nn.BatchNorm2d(3, affine=False)),
    )
    both = {"batch_first": True, "bidirectional": True}
    return {
        "images": (images, (3, 8, 6)),
        "signals": (signals, (4, 9)),
        "volumes": (volumes, (2, 4, 3, 6)),
        "decoder": (decoder, (5,)),
        "lstm": (Steps(nn.LSTM(3, 4, num_layers=2, **both), out=5), (6, 3)),
        "gru": (Steps(nn.GRU(3, 4, batch_first=True), nn.GRU(4, 2, batch_first=True), out=5), (6, 3)),
        "rnn": (Steps(nn.RNN(3, 4, nonlinearity="relu", bias=False, batch_first=True), out=5), (6, 3)),
        "encoder": (Encoder(11, 12, 3, 7, 2, 9, 5), (6,)),
        "branches": (Branches(6, 2, 5), (4, 6)),
    }


def randomized(model, rng):
    """Return a model in float64 with random weights, scales and variances about 1."""
    model = model.double().eval()
    for name, tensor in model.state_dict().items():
        around = 1.0 if name.endswith("running_var") or (name.endswith("weight") and tensor.ndim == 1) else 0.0
        if tensor.is_floating_point():
            tensor.copy_(torch.tensor(around + rng.uniform(-0.6, 0.6, tensor.shape)))
    return model


def batch(name, shape, rng, samples=3):
    """Return a batch for a model: tokens for the encoder, numbers for all others."""
    return rng.integers(0, 11, (samples, *shape)) if name == "encoder" else rng.normal(size=(samples, *shape))


def main():
    rng, out = np.random.default_rng(20251125), {}
    torch.backends.mha.set_fastpath_enabled(False)
    for name, (model, shape) in models().items():
        x = batch(name, shape, rng)
        with torch.no_grad():
            y = randomized(model, rng)(torch.tensor(x))
        out |= {f"{name}/state/{entry}": tensor.numpy() for entry, tensor in model.state_dict().items()}
        out |= {f"{name}/x": x, f"{name}/y": y.numpy()}
    np.savez_compressed(TARGET, about=np.array(torch.__version__), **out)
    print(f"{TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
