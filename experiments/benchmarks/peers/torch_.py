"""PyTorch, eager: `nn.Sequential`, the fused Adam, a Python loop; on one thread or all, whichever is faster.

The last batch is smaller. The penalty is the optimizer's `weight_decay` on the kernels, whose gradient is the same.
"""

import time

import numpy as np
import torch
from torch import nn

from experiments.benchmarks.machine import cores
from experiments.benchmarks.networks import Contestant, Job


def contestant(job: Job) -> Contestant:
    """Return the peer's side of a job."""
    (x, y), (test_x, test_y) = ([torch.from_numpy(x), torch.from_numpy(y).long()] for x, y in job.data)
    layers = []
    for a, b in zip(job.widths[:-1], job.widths[1:], strict=True):
        layers += [nn.Linear(a, b), nn.ReLU(), *([nn.Dropout(job.dropout)] if job.dropout else [])]
    model = nn.Sequential(*layers[: -2 if job.dropout else -1])
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    criterion, size, rate = nn.CrossEntropyLoss(), job.network.batch, job.network.learning_rate
    optimizer = None

    def reset():
        nonlocal optimizer
        torch.manual_seed(0)
        model.train()
        with torch.no_grad():
            for layer, (kernel, bias) in zip(linear, job.parameters, strict=True):
                layer.weight.copy_(torch.from_numpy(kernel.T.copy()))
                layer.bias.copy_(torch.from_numpy(bias.copy()))
        groups = [
            {"params": [layer.weight for layer in linear], "weight_decay": job.penalty},
            {"params": [layer.bias for layer in linear]},
        ]
        make = torch.optim.SGD if job.variant == "SGD" else torch.optim.Adam
        optimizer = make(groups, lr=rate, fused=True)

    def train(orders):
        found = []
        for order in orders:
            shuffled, labels = x[order], y[order]
            total = torch.zeros(())
            for i in range(0, len(x), size):
                part = labels[i : i + size]
                optimizer.zero_grad(set_to_none=True)
                loss = criterion(model(shuffled[i : i + size]), part)
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(part)
            found.append(float(total) / len(x))
        return found

    def on_threads():
        torch.set_num_threads(threads)
        return train([torch.randperm(len(x)) for _ in range(job.network.epochs)])

    def losses(orders):
        reset()
        return train([torch.from_numpy(order).long() for order in orders])

    def accuracy():
        model.eval()
        with torch.no_grad():
            return float((model(test_x).argmax(1) == test_y).float().mean())

    seconds = {}
    for threads in {cores(), 1}:
        reset()
        on_threads()
        reset()
        start = time.perf_counter()
        on_threads()
        seconds[threads] = time.perf_counter() - start
    threads = min(seconds, key=seconds.get)
    return Contestant(reset, on_threads, losses, accuracy, note=f"{threads} thread{'s' if threads > 1 else ''}")


def elementwise(x: np.ndarray, dy: np.ndarray):
    """Return the arrays of an elementwise race."""
    return torch.from_numpy(x).requires_grad_(), torch.from_numpy(dy)
