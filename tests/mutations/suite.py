r"""The mutation suite over whole registries, in several processes.

Most of the time goes into compiling, which one process does one program after another.
"""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from funcnet.checking.registry import cases
from funcnet.checking.subject import is_optimizer
from mutations.planted import Trial, trials
from mutations.protocol import protocol_trials


def judge_example(registries: Sequence[str], number: int, seeds: int) -> list[Trial]:
    """Judge one example and its mutants; it is given by its number, since not every record can be sent to a process."""
    example = cases(*registries)[number]
    run = protocol_trials if is_optimizer(example.rule) else trials
    return list(run(example, range(seeds)))


def judge_registries(registries: Sequence[str], seeds: int, jobs: int) -> list[Trial]:
    """Judge all examples of the registries (all of them, if none is named) in so many processes."""
    numbers = range(len(cases(*registries)))
    if jobs <= 1:
        return [trial for number in numbers for trial in judge_example(registries, number, seeds)]
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        parts = pool.map(judge_example, [registries] * len(numbers), numbers, [seeds] * len(numbers), chunksize=2)
        return [trial for part in parts for trial in part]
