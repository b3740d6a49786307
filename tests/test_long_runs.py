"""Training as people run it: interrupted, killed, resumed, from sources, with weights, metrics, starts, frozen parts.

A run killed at random moments is the run that was not: FUNCNET_KILLS=25 kills it that often; the suite does two.
"""

import dataclasses
import io
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet.status import StatusLine
from funcnet.training.drawing import curves, table
from funcnet.training.loop import _runner
from funcnet.training.preparing import prepare
from funcnet.training.progress import TrainProgress
from funcnet.training.sources import SourceError, as_stream
from tests.helpers import sampled


def data(samples=50, seed=0):
    """Draw three clouds."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, samples).astype(np.int32)
    return rng.normal(size=(samples, 4)) + 1.5 * np.eye(3, 4)[y], y


def experiment(**changes):
    """Return a small classifier with dropout."""
    parts = {"network": fn.mlp(8, 3, dropout=0.2), "loss": fn.SoftmaxCrossEntropy(), "optimizer": fn.Adam(0.01)}
    return fn.Experiment(**(parts | {"batch_size": 16, "epochs": 6, "seed": 3} | changes))


def same(a, b):
    """Tell whether two trees are equal, bit for bit."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(x, y, equal_nan=True) for x, y in pairs)


class Rows:
    """A source that counts what it is asked for."""

    def __init__(self, *arrays, fails_at=None):
        self.arrays, self.asked, self.fails_at, self.threads = arrays, [], fails_at, set()

    def __len__(self):
        return len(self.arrays[0])

    def __getitem__(self, rows):
        self.asked.append(np.array(rows))
        self.threads.add(threading.current_thread())
        if self.fails_at is not None and len(self.asked) > self.fails_at:
            raise OSError("the disk is gone")
        return tuple(a[rows] for a in self.arrays)


@pytest.mark.parametrize("batch_size", sampled([16, 25], lambda size: size == 16))
def test_a_source_is_the_data_in_memory(batch_size):
    """The same samples in the same order, the same history and parameters to rounding; read on a thread of its own."""
    trial = experiment(batch_size=batch_size, metrics=(fn.TopK(2),))
    memory = fn.train(trial, data(), data(23, 1))
    source, held = Rows(*data()), Rows(*data(23, 1))
    streamed = fn.train(trial, source, held)
    for name, column in memory.history.items():
        np.testing.assert_allclose(streamed.history[name], column, rtol=1e-9, err_msg=name)
    for a, b in zip(jax.tree.leaves(streamed.params), jax.tree.leaves(memory.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)
    epoch = [rows for rows in source.asked if len(rows) == batch_size]
    assert len(epoch) == 6 * -(-50 // batch_size)
    assert threading.main_thread() in source.threads  # the first rows, at the door
    assert len(source.threads) > 1


@pytest.mark.every
def test_a_source_with_weights_and_arrays_beside_it():
    """Weights of a source count as those in memory; a validation set may stay arrays."""
    weight = np.random.default_rng(5).integers(0, 3, 50).astype(float)
    memory = fn.train(experiment(), (*data(), weight), data(23, 1))
    streamed = fn.train(experiment(), Rows(*data(), weight), data(23, 1))
    for name, column in memory.history.items():
        np.testing.assert_allclose(streamed.history[name], column, rtol=1e-9, err_msg=name)


def test_a_source_that_fails_gives_the_run_so_far():
    """The rows are named, and the run up to there comes with the error."""
    with pytest.raises(SourceError, match=r"train failed with OSError at rows \d") as caught:
        fn.train(experiment(epochs=50), Rows(*data(), fails_at=30))
    assert 5 <= caught.value.run.epochs <= 7
    assert len(caught.value.run.history["train_loss"]) == caught.value.run.epochs
    assert len(caught.value.rows) == 16


class Changing(Rows):
    """A source whose rows change their width."""

    def __getitem__(self, rows):
        x, y = super().__getitem__(rows)
        return (x if len(self.asked) < 3 else x[:, :3]), y


class Short(Rows):
    """A source that gives fewer rows than it was asked for."""

    def __getitem__(self, rows):
        x, y = super().__getitem__(rows)
        return (x, y) if len(self.asked) < 3 else (x[:-1], y)


@pytest.mark.parametrize("kind", [Changing, Short])
def test_a_source_that_changes_is_refused(kind):
    with pytest.raises(SourceError, match="other shapes or dtypes at rows"):
        fn.train(experiment(), kind(*data()))


def test_blocks_of_a_source_change_no_bit_and_delay_nobody(monkeypatch):
    """Segments are as long as they are told, a source that fails is left at its batch, and a slow one gives few."""
    trial, threads = experiment(epochs=2), threading.active_count()

    def run(updates, source):
        _, runner, _ = _runner(trial, source, None, None)
        state = runner.begin(None)
        while int(state.epoch) < 2:
            before, step = runner.count * int(state.epoch) + int(state.batch), int(state.step)
            assert step == before
            state = runner.advance(state, 2, updates)
            assert int(state.step) == min(step + updates, 2 * runner.count)
        runner.close()
        return state

    whole = run(100, Rows(*data(130)))
    assert same(whole, run(4, Rows(*data(130))))
    for fails_at in (1, 3, 9, 10, 12):  # with the first rows at the door, batches from 0; nine make an epoch
        with pytest.raises(SourceError) as caught:
            fn.train(trial, Rows(*data(130), fails_at=fails_at))
        assert int(caught.value.run.state.step) == fails_at - 1
        assert same(fn.train(trial, Rows(*data(130)), resume=caught.value.run).state, whole)
        del caught
    assert threading.active_count() == threads
    monkeypatch.setattr("funcnet.training.sources.BLOCK_SECONDS", -1.0)
    assert same(whole, run(100, Rows(*data(130))))
    stream = as_stream(Rows(*data(130)), "train")
    assert [count for _, count in stream.blocks(np.arange(12).reshape(4, 3), 4)] == [1, 1, 1, 1]


def test_weight_two_is_the_sample_twice_and_zero_is_not_there():
    """Loss, metrics and gradient of the whole set."""
    x, y = data(20)
    weight = np.asarray([2.0] * 5 + [0.0] * 5 + [1.0] * 10)
    twice = np.r_[0:5, 0:5, 10:20]
    y_bad = y.copy()
    y_bad[5:10] = 99  # at weight 0
    settings = {"batch_size": None, "epochs": 4, "metrics": (fn.Accuracy(), fn.F1()), "network": fn.mlp(5, 3)}
    weighted = fn.train(experiment(**settings), (x, y_bad, weight), (x, y_bad, weight))
    plain = fn.train(experiment(**settings), (x[twice], y[twice]), (x[twice], y[twice]))
    for name, column in plain.history.items():
        np.testing.assert_allclose(weighted.history[name], column, rtol=1e-9, err_msg=name)
    for a, b in zip(jax.tree.leaves(weighted.params), jax.tree.leaves(plain.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)


@pytest.mark.every
def test_metrics_are_columns_of_the_whole_set_and_of_sweeps():
    """An uneven last batch counts by its samples; rules and the best epoch go by them, and so do sweeps."""
    trial = experiment(
        metrics=(fn.TopK(2), fn.F1()), best_by="validation_f1", network=fn.mlp(6, 3), optimizer=fn.SGD(0.3), epochs=8
    )
    run = fn.train(trial, data(), data(40, 1))
    outputs, y = run.predict(data(40, 1)[0]), data(40, 1)[1]
    at = run.best_epoch
    assert at == int(np.argmax(run.history["validation_f1"]))
    second = np.mean([label in np.argsort(-row, kind="stable")[:2] for row, label in zip(outputs, y, strict=True)])
    np.testing.assert_allclose(run.history["validation_top_2"][at], second, rtol=1e-6)
    still = fn.replace(trial, {"optimizer.learning_rate": 0.0, "epochs": 1, "best_by": None})
    begun = fn.train(still, data())
    ranked = np.argsort(-begun.predict(data()[0]), axis=1, kind="stable")[:, :2]
    right = np.mean([label in row for row, label in zip(ranked, data()[1], strict=True)])
    np.testing.assert_allclose(begun.history["train_top_2"][0], right, rtol=1e-6)  # 50 samples in batches of 16
    results = fn.sweep([trial], data(), data(40, 1), progress=False, lanes=2)
    np.testing.assert_allclose(results.curves(0)["validation_f1"], run.history["validation_f1"], rtol=1e-6)


def test_resuming_a_run_keeps_the_whole_history():
    """A run of 3 epochs resumed to 7 is the run of 7, to the bit; the first run is left as it was."""
    whole = fn.train(experiment(epochs=7), data(), data(20, 1))
    part = fn.train(experiment(epochs=3), data(), data(20, 1))
    on = fn.train(experiment(epochs=7), data(), data(20, 1), resume=part)
    assert same(on.state, whole.state)
    assert same(on.history, whole.history)
    assert len(part.history["train_loss"]) == part.epochs == 3
    with pytest.raises(ValueError, match=r"differ in optimizer\.learning_rate"):
        fn.train(fn.replace(experiment(), {"optimizer.learning_rate": 0.1}), data(), data(20, 1), resume=part)


def test_a_checkpoint_goes_on_bit_for_bit(tmp_path):
    """After on_epoch has ended it, from memory and from a source; refused for other experiments, data and files."""
    path = tmp_path / "run.checkpoint"
    for given, held in ((data(), data(20, 1)), (Rows(*data()), Rows(*data(20, 1)))):
        path.unlink(missing_ok=True)
        whole = fn.train(experiment(epochs=7), given, held)
        stopped = fn.train(experiment(epochs=7), given, held, checkpoint=path, on_epoch=lambda epoch, _: epoch == 2)
        assert (stopped.stopped, stopped.epochs) == ("on_epoch", 3)
        on = fn.train(experiment(epochs=7), given, held, checkpoint=path)
        assert same(on.state, whole.state)
        assert same(on.history, whole.history)
    path.unlink()
    fn.train(experiment(), data(), checkpoint=path)
    with pytest.raises(ValueError, match=r"differ in batch_size"):
        fn.train(experiment(batch_size=17), data(), checkpoint=path)
    with pytest.raises(ValueError, match="must be of these data"):
        fn.train(experiment(), data(seed=9), checkpoint=path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"fn\.save"):
        fn.train(experiment(), data(), checkpoint=path)
    fn.save(path, {"kernel": np.ones(2)})
    with pytest.raises(ValueError, match="must be a checkpoint"):
        fn.train(experiment(), data(), checkpoint=path)


def halved(x, key):
    return x / 2


def test_a_checkpoint_knows_a_transform_by_its_name(tmp_path):
    """A function has no readable form but its name; another one is another experiment."""
    path = tmp_path / "run.checkpoint"
    assert fn.train(experiment(transform=halved), data(), checkpoint=path).epochs == experiment().epochs
    assert fn.train(experiment(transform=halved), data(), checkpoint=path).epochs == experiment().epochs
    with pytest.raises(ValueError, match=r"differ in transform"):
        fn.train(experiment(), data(), checkpoint=path)


KILLED = """
import sys
import numpy as np
import funcnet as fn
import funcnet.training.checkpoints as checkpoints
import funcnet.training.loop as loop

checkpoints.SECONDS, loop.SEGMENT_SECONDS = 0.0, 0.02
rng = np.random.default_rng(0)
x, y = rng.normal(size=(600, 8)).astype(np.float32), rng.integers(0, 3, 600).astype(np.int32)
trial = fn.Experiment(fn.mlp(32, 3, dropout=0.2), fn.SoftmaxCrossEntropy(), fn.Adam(0.01), batch_size=7, epochs=150)
path = sys.argv[1]
run = fn.train(trial, (x, y), (x[:50], y[:50]), checkpoint=None if path == "-" else path)
kernel = float(np.sum(run.params[3]["kernel"])).hex()
print(run.epochs, run.stopped, float(run.history["train_loss"].sum()).hex(), kernel)
"""


@pytest.mark.every
def test_kill_9_loses_nothing(tmp_path):
    """Killed at random moments and called again, a run ends in the bits of the run that was not."""
    script = tmp_path / "train.py"
    script.write_text(KILLED)
    root = pathlib.Path(__file__).parent.parent
    environment = os.environ | {"PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu"}

    def start(path):
        command = [sys.executable, str(script), str(path)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    wanted, errors = start("-").communicate(timeout=300)
    assert wanted.startswith("150 epochs"), errors
    path, rng, kills = tmp_path / "run.checkpoint", np.random.default_rng(), int(os.environ.get("FUNCNET_KILLS", "2"))
    killed = 0
    for _ in range(10 * kills):
        process = start(path)
        before = path.stat().st_mtime_ns if path.exists() else 0
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if path.exists() and path.stat().st_mtime_ns != before:
                break
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.1)))
        alive = process.poll() is None
        process.kill()
        found, _ = process.communicate()
        killed += alive
        if not alive or killed == kills:
            break
    assert killed > 0
    found, errors = start(path).communicate(timeout=300)
    assert found == wanted, errors


def test_ctrl_c_ends_at_the_next_segment():
    """The run so far comes back, marked; nothing goes on behind."""
    seen = []

    def stop(epoch, metrics):
        seen.append(metrics["train_loss"])
        if epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    run = fn.train(experiment(epochs=10**6), data(), on_epoch=stop)
    assert run.stopped == "interrupted"
    assert 3 <= run.epochs <= 4
    assert seen == run.history["train_loss"].tolist()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_on_epoch_is_told_every_epoch():
    """By its number and the columns of the history; anything but True lets the run go on."""
    told = {}
    run = fn.train(experiment(), data(), data(20, 1), on_epoch=lambda epoch, metrics: told.update({epoch: metrics}))
    assert list(told) == list(range(6))
    for name, column in run.history.items():
        assert [told[epoch][name] for epoch in told] == column.tolist()
    assert run.stopped == "epochs"


def test_starting_parameters():
    """All of them, or some by path; another architecture is refused with the first leaf that differs."""
    given = fn.mlp(8, 3, dropout=0.2).init(jax.random.key(99), (4,))
    still = experiment(optimizer=fn.SGD(0.0), epochs=1)
    assert same(fn.train(still, data(), start=given).params, given)
    kernel = np.ones((8, 3))
    run = fn.train(still, data(), start={"3.kernel": kernel})
    drawn = fn.train(still, data())
    assert same(run.params[3]["kernel"], kernel)
    assert same(run.params[0], drawn.params[0])
    assert same(fn.train(still, data(), start={"3": {"kernel": kernel}}).params, run.params)
    for start, words in (
        (fn.mlp(9, 3, dropout=0.2).init(jax.random.key(0), (4,)), r"0\.bias has \[9\] where \[8\] is due"),
        ({"7.kernel": kernel}, "'7.kernel' leads nowhere|must hold every parameter"),
        ((given[0],), "is missing"),
    ):
        with pytest.raises(ValueError, match=words):
            fn.train(still, data(), start=start)


@pytest.mark.parametrize("optimizer", [fn.AdamW(0.1, weight_decay=0.1), fn.Lion(0.01), fn.SGD(0.1, momentum=0.9)])
def test_frozen_paths_stay(optimizer):
    """To the bit, whatever decays or pulls; the rest moves; a path that leads nowhere is refused."""
    trial = experiment(optimizer=optimizer, regularizer=fn.L2(0.1), freeze=("0", "3.bias"))
    begun = fn.train(fn.replace(trial, {"optimizer": fn.SGD(0.0), "regularizer": None}), data()).params
    run = fn.train(trial, data())
    assert same(run.params[0], begun[0])
    assert same(run.params[3]["bias"], begun[3]["bias"])
    assert not same(run.params[3]["kernel"], begun[3]["kernel"])
    with pytest.raises(ValueError, match="'hidden' leads nowhere"):
        fn.train(experiment(freeze=("hidden",)), data())


@pytest.mark.every
def test_bytes_stay_bytes_until_the_batch():
    """A transform inside the program gives what transformed data give; with a key it may draw."""
    x = np.random.default_rng(0).integers(0, 256, (50, 4)).astype(np.uint8)
    y = data()[1]
    scaled = fn.train(experiment(), (x / 255.0, y), (x[:9] / 255.0, y[:9]))
    turned = experiment(transform=lambda x, key: x.astype(jnp.float64) / 255)
    run = fn.train(turned, (x, y), (x[:9], y[:9]))
    for name, column in scaled.history.items():
        np.testing.assert_allclose(run.history[name], column, rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(run.predict(x[:5]), scaled.predict(x[:5] / 255.0), rtol=1e-9)

    def shaken(x, key):
        return x / 255.0 if key is None else x / 255.0 + jax.random.normal(key, x.shape)

    drawn = experiment(transform=shaken)
    assert not same(fn.train(drawn, (x / 1.0, y)).params, scaled.params)


@pytest.mark.every
def test_sixteen_bit_passes_keep_wide_parameters():
    """bfloat16 features are read in the parameters' dtype; computing in it is asked for by name."""
    x, y = data()
    low = fn.train(experiment(), (x.astype(jnp.bfloat16), y))
    assert {leaf.dtype for leaf in jax.tree.leaves(low.params)} == {jnp.zeros(()).dtype}
    run = fn.train(experiment(compute="bfloat16", dtype="float32"), (x, y))
    assert {leaf.dtype for leaf in jax.tree.leaves(run.params)} == {jnp.dtype(jnp.float32)}
    wide = fn.train(experiment(dtype="float32"), (x, y))
    np.testing.assert_allclose(run.history["train_loss"], wide.history["train_loss"], rtol=0.03)
    assert not same(run.params, wide.params)


@pytest.mark.every
def test_a_batch_over_two_devices_is_the_batch():
    """To rounding, from memory and from a source; a batch that does not divide is refused."""
    one = fn.train(experiment(), data(), data(20, 1))
    for given in (data(), Rows(*data())):
        two = fn.train(experiment(), given, data(20, 1), devices=jax.local_devices()[:2])
        for name, column in one.history.items():
            np.testing.assert_allclose(two.history[name], column, rtol=1e-8, err_msg=name)
        further = fn.train(experiment(epochs=8), given, data(20, 1), resume=two, devices=jax.local_devices()[:1])
        assert further.epochs == 8
    with pytest.raises(ValueError, match="must divide among the devices"):
        fn.train(experiment(batch_size=15), data(), devices=jax.local_devices()[:2])
    for devices in ([], ["cpu"], jax.local_devices()[:1] * 2):
        with pytest.raises(TypeError, match="devices must be different devices"):
            fn.train(experiment(), data(), devices=devices)


@pytest.mark.every
def test_a_batch_larger_than_the_set_is_the_set():
    """And it is said."""
    with pytest.warns(UserWarning, match="batch_size 64 is more than 50 samples"):
        run = fn.train(experiment(batch_size=64), data())
    assert same(run.params, fn.train(experiment(batch_size=None), data()).params)


def test_training_inside_a_transformation_is_refused():
    with pytest.raises(TypeError, match=r"fn\.begin and fn\.advance"):
        jax.jit(lambda x: fn.train(experiment(), (x, data()[1])).history)(jnp.asarray(data()[0]))


@pytest.mark.parametrize("value", [None, 3.0, ("a", 1)])
def test_checkpoint_must_be_a_path(value):
    if value is not None:
        with pytest.raises(TypeError, match="checkpoint must be the path"):
            fn.train(experiment(), data(), checkpoint=value)


@pytest.mark.every
def test_prediction_walks_blocks(monkeypatch):
    """Of any number of samples, as one pass gives; an empty set is refused."""
    run = fn.train(experiment(epochs=1), data())
    x = data(101, 7)[0]
    whole = run.experiment.network.apply(run.best_params, jnp.asarray(x))
    monkeypatch.setattr("funcnet.objective.BLOCK_BYTES", 16 * 256)
    np.testing.assert_allclose(run.predict(x), whole, rtol=1e-12)
    found = run.evaluate(x, data(101, 7)[1])
    matrix = run.evaluate(x, data(101, 7)[1], metrics=(fn.ConfusionMatrix(),))["confusion_matrix"]
    np.testing.assert_allclose(np.trace(matrix) / 101, found["accuracy"], rtol=1e-6)
    wanted = fn.evaluate(run.experiment.network, run.experiment.loss, run.best_params, x, data(101, 7)[1])
    np.testing.assert_allclose(found["loss"], wanted["loss"], rtol=1e-9)
    np.testing.assert_allclose(found["accuracy"], wanted["accuracy"], rtol=1e-6)
    with pytest.raises(ValueError, match="at least one sample"):
        run.predict(x[:0])


def test_one_line_and_nothing_for_a_short_run():
    """The line tells epochs, time left and metrics; before two seconds have passed nothing is written."""
    shown = TrainProgress(10, 4, stream=io.StringIO())
    shown.update(3, 0, {"train_loss": 0.25})
    shown.show(last=True)
    assert shown.stream.getvalue() == ""
    shown.started -= 40.0  # for two epochs of ten, five of which are left
    shown.update(5, 0, {"train_loss": 0.125})
    assert shown.stream.getvalue() == "epoch 5/10, 1 min 40 s left, train_loss 0.125\n"
    assert isinstance(shown, StatusLine)


def test_repr_is_three_lines():
    """Not the parameters."""
    run = fn.train(experiment(epochs=1), data())
    assert len(repr(run).splitlines()) == 3
    assert "67 parameters" in repr(run)
    early = dataclasses.replace(run, history={name: column[:0] for name, column in run.history.items()}, best_epoch=-1)
    assert repr(early).splitlines()[1] == "no best epoch"
    assert "67 parameters" in early._repr_html_()


def test_a_run_as_a_figure_and_as_a_table():
    """A panel a quantity, training and validation in it; the last epochs and the best one in the table."""
    pytest.importorskip("matplotlib")
    history = {
        "train_loss": np.linspace(3, 1, 12),
        "objective": np.linspace(4, 2, 12),
        "train_accuracy": np.linspace(0, 1, 12),
        "validation_loss": np.linspace(2, 3, 12),
    }
    figure = curves(history, 1, "a <heading>")
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy"]
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert set(lines) == {"train_loss", "objective", "validation_loss", "best epoch (2)"}
    assert np.array_equal(lines["validation_loss"].get_ydata(), history["validation_loss"])
    assert set(lines["best epoch (2)"].get_xdata()) == {2}
    shown = table(history, 1, "a <heading>")
    assert shown.count("<tr>") == 1 + 1 + 8
    assert "a &lt;heading&gt;" in shown
    assert "<b>2.818</b>" in shown
    run = fn.train(experiment(epochs=1), data())
    assert len(run.plot().axes) == 1
    assert "67 parameters" in run._repr_html_()


def test_prepare_is_checked_before_anything_compiles():
    """Columns that nobody measures are named."""
    with pytest.raises(ValueError, match=r"watches validation_f1.*one of train_loss"):
        prepare(experiment(stopping=fn.EarlyStopping(metric="validation_f1")), data())
