"""Sweeps on other processes: an executor's workers give the same rows, and a lost worker costs only time."""

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading

import jax
import numpy as np
import pytest
from test_sweep import BASE, fingerprints, sweep

import funcnet as fn

TRIALS = fn.grid(BASE, {"seed": range(12), "optimizer.learning_rate": [0.01, 0.03]})


def test_experiments_travel():
    """Records survive the way to another process: equal structure, equal numbers."""
    trials = [*TRIALS, fn.replace(BASE, {"optimizer": fn.preset("torch", "adam", learning_rate=0.1)})]
    assert pickle.loads(pickle.dumps(trials)) == trials


@pytest.mark.filterwarnings("ignore")  # Dask's own
def test_dask_gives_the_same_rows_though_a_worker_is_killed():
    """A local cluster of two processes, one of them killed in mid-sweep: the table is that of this process."""
    distributed = pytest.importorskip("distributed")
    environment = {"JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"}
    reference = fingerprints(sweep(TRIALS))
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, env=environment
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        killed, pids = threading.Event(), []

        def kill():
            """Kill the first worker that is seen at work."""
            while not killed.is_set():
                busy = [address for address, keys in client.processing().items() if keys]
                if busy:
                    worker = next(w for w in cluster.workers.values() if w.worker_address == busy[0])
                    pids.append(worker.process.process.pid)
                    os.kill(pids[0], signal.SIGKILL)
                    killed.set()

        thread = threading.Thread(target=kill)
        thread.start()
        try:
            results = sweep(TRIALS, executor=client.get_executor())
        finally:
            killed.set()
            thread.join()
        assert pids, "no worker was killed"
        assert fingerprints(results) == reference


PROCESS = """
import sys
sys.path.insert(0, {tests!r})
import jax
jax.config.update("jax_num_cpu_devices", 1)
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize("localhost:{port}", 2, {process})
assert len(jax.devices()) == 2 and len(jax.local_devices()) == 1
import pickle
from test_sweep import fingerprints, sweep
from test_distributed import TRIALS, network_on
run = network_on(jax.devices())
results = sweep(TRIALS, devices=jax.devices(), store={store!r})
if {process} == 0:
    open({out!r}, "wb").write(pickle.dumps((fingerprints(results), run)))
"""


def network_on(devices):
    """Train a network whose batches have moments and masks of their own, and return its history and first kernel."""
    rng = np.random.default_rng(0)
    data = rng.normal(size=(40, 9, 3)), rng.integers(0, 3, 40)
    layers = fn.Conv(4, 3), fn.BatchNorm(), fn.relu, fn.Flatten(), fn.Dropout(0.2), fn.Dense(3)
    experiment = fn.Experiment(fn.Chain(*layers), fn.SoftmaxCrossEntropy(), fn.Adam(0.01), epochs=3, batch_size=16)
    run = fn.train(experiment, data, data, devices=devices, progress=False)
    return run.history, np.asarray(run.params[0]["kernel"])


@pytest.mark.every
def test_two_processes_share_one_mesh(tmp_path):
    """Two processes that `jax.distributed` has joined run one sweep, and train one network, as one process does."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    out, store = tmp_path / "rows", tmp_path / "sweep.sqlite"
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                PROCESS.format(
                    tests=os.path.dirname(__file__), port=port, process=process, store=str(store), out=str(out)
                ),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for process in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    rows, (history, kernel) = pickle.loads(out.read_bytes())
    assert rows == fingerprints(sweep(TRIALS))
    wanted, alone = network_on(jax.local_devices()[:1])
    np.testing.assert_allclose(kernel, alone, rtol=1e-8)
    for name, column in wanted.items():
        np.testing.assert_allclose(history[name], column, rtol=1e-8, err_msg=name)
    assert len(sweep(TRIALS, store=store)) == len(TRIALS)
