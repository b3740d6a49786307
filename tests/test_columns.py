"""How a sweep's lanes compute on a CPU: a chain in columns is the chain in rows, kernels transposed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet.checking import cases
from funcnet.sweeps import columns
from funcnet.sweeps.columns import Columns, computes_in_columns, transposed
from tests.helpers import one_in

NETWORKS = {
    "dense, with and without bias": fn.Chain(fn.Dense(4), fn.tanh, fn.Dense(3, bias=False)),
    "dropout": fn.Chain(fn.Dropout(0.3), fn.Dense(4), fn.relu, fn.Dropout(0.5), fn.Dense(3)),
    "softmax, a chain in a chain": fn.Chain(fn.Chain(fn.Dense(4), fn.softmax), fn.Chain(fn.Dense(3), fn.log_softmax)),
}


@pytest.mark.parametrize("example", one_in(2, cases(columns)), ids=str)
def test_its_cases_pass_the_checker(example):
    assert example.check()


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("name", one_in(2, NETWORKS))
def test_it_is_the_chain_in_rows(name, keyed, rng):
    """Initial values, forward, both gradients, the units that dropout drops: those of the plain chain."""
    rows, key = NETWORKS[name], jax.random.key(5) if keyed else None
    params = rows.init(jax.random.key(0), (6,), jnp.float64)
    turned = Columns(rows).init(jax.random.key(0), (6,), jnp.float64)
    jax.tree.map(np.testing.assert_array_equal, turned, transposed(params))
    x, dy = jnp.asarray(rng.normal(size=(5, 6))), jnp.asarray(rng.normal(size=(5, 3)))
    y, saved = rows.forward(params, x, key)
    found, kept = Columns(rows).forward(turned, x, key)
    np.testing.assert_allclose(found, y, rtol=1e-13)
    dparams, dx = rows.backward(params, saved, dy)
    found, found_dx = Columns(rows).backward(turned, kept, dy)
    np.testing.assert_allclose(found_dx, dx, rtol=1e-12, atol=1e-14)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14), transposed(found), dparams)


def test_what_has_no_form_in_columns_stays_in_rows():
    @fn.record
    class Other(fn.Dense):
        pass

    assert computes_in_columns(fn.mlp(4, 3, dropout=0.1))
    for network in (fn.Dense(3), fn.Chain(Other(3)), fn.Chain(fn.Dense(3), fn.Chain(Other(3)))):
        assert not computes_in_columns(network)
    with pytest.raises(TypeError, match="Columns takes a chain of Dense, Dropout and activations"):
        Columns(fn.Chain(Other(3)))
