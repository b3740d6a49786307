"""Files: whole or absent, given back as given, refused in words when damaged, and no code run when read."""

import collections
import dataclasses
import errno
import hashlib
import json
import os
import pathlib
import struct
import sys
import tracemalloc
import types
import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet.files import as_path, write_whole
from funcnet.io import from_bytes, to_bytes
from funcnet.records import Number, choice, number, record
from funcnet.training.state import Data

SENTENCE = "must be a whole file of this version's fn.save"


class Moments(NamedTuple):
    """A state as optimizers from elsewhere have it."""

    count: object
    mean: object = None


@record
class Stranger:
    """A record of another module."""

    rate: Number = number(0.5, at_least=0)
    kind: str = choice("plain")


def experiment():
    """Return an experiment with vectors, schedules, nested chains and a record from elsewhere."""
    return fn.Experiment(
        fn.Chain(fn.Dense(4), fn.LeakyReLU(0.1), fn.Chain(fn.Dropout(0.2), fn.Dense(3))),
        fn.SoftmaxCrossEntropy(class_weight=(1.0, 2.0, 0.5)),
        fn.Adam(fn.schedules.Piecewise((0.1, 0.01), (5,))),
        fn.L2(0.1),
        (fn.EarlyStopping(3), fn.Convergence(1e-3, of="objective")),
        seed=3,
    )


TREE = {
    "params": ({"kernel": jnp.asarray([[1.5, -2.0]], jnp.bfloat16), "bias": jnp.asarray([0.1], jnp.float32)}, ()),
    "deep": [jnp.asarray(3, jnp.int32), None, {"er": jnp.asarray([1e-300], jnp.float64)}],
    "numpy": [np.ones(2), np.zeros((0, 3), np.uint8), np.arange(6, dtype=np.int16).reshape(2, 3).T, np.array(True)],
    "eight bits": (jnp.ones(3, jnp.float8_e4m3fn), np.ones((2, 2), jnp.float8_e5m2)),
    "scalars": (0.1, 3, True, "text", -(2**63), 2**64 - 1, float("-inf"), -0.0, "\udc80\0 é", ""),
    "of numpy": (np.float32(0.1), np.int8(-3), np.bool_(True), np.float64(0.1)),
    "ordered": collections.OrderedDict(b=1, a={}),
    "": {"": jnp.ones(1), "a.b": jnp.zeros(2), "a": {"b": jnp.ones(2)}, "__metadata__": jnp.ones(3)},
    "named": Moments(jnp.zeros((), jnp.int32), Moments(1.5)),
    "state": fn.Adam(0.1).init({"w": jnp.ones((2, 3))}),
    "data": Data(jnp.ones((2, 3)), jnp.ones(2)),
    "records": (experiment(), Stranger(0.25, "other"), fn.relu),
}


def same(a, b):
    """Tell whether two trees are equal in every type, dtype, shape and bit."""
    if type(a) is not type(b):
        return isinstance(a, jax.Array) and isinstance(b, jax.Array) and same(np.asarray(a), np.asarray(b))
    if isinstance(a, (np.ndarray, np.generic, jax.Array)):
        a, b = np.asarray(a), np.asarray(b)
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    return (a, str(a)) == (b, str(b))


def test_everything_comes_back_as_it_was(tmp_path):
    """Every container, number and dtype, of JAX and of NumPy, records and named tuples, bit for bit."""
    fn.save(tmp_path / "tree", TREE)
    back = fn.load(tmp_path / "tree")
    assert list(back) == list(TREE)
    for name, value in TREE.items():
        assert same(back[name], value), name
    assert jax.tree.structure(back) == jax.tree.structure(TREE)
    for mine, other in zip(jax.tree.leaves(back), jax.tree.leaves(TREE), strict=True):
        assert isinstance(mine, jax.Array) == isinstance(other, jax.Array)
    assert back["numpy"][0].flags.writeable
    assert same(from_bytes(to_bytes(np.float32(2.0))), np.float32(2.0))
    assert not same(from_bytes(to_bytes(np.float32(2.0))), 2.0)
    assert sorted(os.listdir(tmp_path)) == ["tree"]


def test_numpy_keeps_64_bits_in_32_bit_mode(tmp_path):
    """What NumPy holds comes back whatever JAX's mode; arrays of JAX with 64 bits are refused in words."""
    fn.save(tmp_path / "double", {"jax": jnp.ones(2)})
    with jax.enable_x64(False):
        fn.save(tmp_path / "tree", {"means": np.full(2, 0.1), "t": 0.1, "w": jnp.ones(2)})
        back = fn.load(tmp_path / "tree")
        assert same(back["means"], np.full(2, 0.1))
        assert same(back["t"], 0.1)
        assert back["w"].dtype == np.float32
        with pytest.raises(ValueError, match=r"64-bit mode is off.*jax_enable_x64"):
            fn.load(tmp_path / "double")


def test_any_reader_of_the_format_finds_the_arrays(tmp_path):
    """Eight bytes, JSON, numbers: read here by the format's description alone, arrays under their places."""
    fn.save(tmp_path / "tree", TREE)
    content = (tmp_path / "tree").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    head = json.loads(content[8 : 8 + length])
    assert head.pop("__metadata__")["format"] == "funcnet-2"
    assert (8 + length) % 8 == 0
    bias = head["params.0.bias"]
    first, last = (8 + length + place for place in bias["data_offsets"])
    assert np.array_equal(np.frombuffer(content[first:last], "<f4"), np.asarray([0.1], "<f4"))
    assert head["params.0.kernel"] | {"data_offsets": 0} == {"dtype": "BF16", "shape": [1, 2], "data_offsets": 0}
    arrays = [leaf for leaf in jax.tree.leaves(TREE) if isinstance(leaf, (jax.Array, np.ndarray, np.generic))]
    assert len(head) == len(arrays)


def local():
    """Return a named tuple whose class no name leads to."""
    return collections.namedtuple("Local", "a")(1)


itself: list = []
itself.append(itself)
REFUSED = {
    "a function": ({"f": len}, r"got the function len at f"),
    "a run's method": ({"a": [{"f": "".join}]}, r"at a\.0\.f"),
    "text in an array": ({"names": np.array(["one"])}, r"tolist\(\) for text"),
    "objects": (np.array([None]), "at the top"),
    "complex numbers": (np.ones(2, complex), "saved arrays must be of"),
    "longdouble": (np.ones(2, np.longdouble), "saved arrays must be of"),
    "four bits": (jnp.ones(2, jnp.int4), "saved arrays must be of"),
    "dates": (np.array(["2024-02-29"], "datetime64[D]"), "saved arrays must be of"),
    "masked": (np.ma.masked_array([1.0, 2.0], [0, 1]), "plain arrays"),
    "keys": ({"key": jax.random.key(0)}, "plain arrays"),
    "whole-number keys": ({"a": {1: 2.0}}, r"keys of saved dicts must be text, but got 1 \(int\) in a"),
    "a default dict": (collections.defaultdict(list), "defaultdict"),
    "a set": ({1, 2}, "got a set of 2"),
    "a whole number of 65 bits": (2**64, "got 18446744073709551616"),
    "a whole number of many digits": (10**5000, "16610 bits"),
    "a complex number": (1j, "got 1j"),
    "bytes": (b"abc", "a bytes of 3"),
    "a class in a function": (local(), "top level of a module"),
    "a data class from elsewhere": (dataclasses.make_dataclass("Point", ["x"])(1), "got Point"),
    "itself": (itself, "holds itself"),
    "a module": (json, "module"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_come_back_is_refused_before_anything_is_written(tmp_path, name):
    """In words, with its place; the old file stays, and none stands beside it."""
    value, words = REFUSED[name]
    fn.save(tmp_path / "tree", {"old": 1})
    with pytest.raises(TypeError, match=words) as caught:
        fn.save(tmp_path / "tree", value)
    assert len(str(caught.value)) <= 300
    assert fn.load(tmp_path / "tree") == {"old": 1}
    assert os.listdir(tmp_path) == ["tree"]


def test_tracers_are_refused():
    """Inside a compiled function there is nothing to write yet."""
    with pytest.raises(TypeError, match="outside of jit"):
        jax.jit(lambda x: to_bytes({"x": x}))(1.0)


# -- damaged files ---------------------------------------------------------------------------------------------------


def sealed(header, data):
    """Return a file with this header, its checksum right."""
    start = '{"__metadata__":{"sha256":"'
    rest = header[len(start) + 64 :].encode()
    digest = hashlib.sha256(rest + data).hexdigest()
    return struct.pack("<Q", len(start) + 64 + len(rest)) + f"{start}{digest}".encode() + rest + data


def parts(content):
    """Return header and data of a file."""
    (length,) = struct.unpack("<Q", content[:8])
    return content[8 : 8 + length].decode(), content[8 + length :]


SMALL = {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "state": Moments(3), "t": (0.5, [None, "a"])}


def refusal(content):
    """Return the words with which a file is refused, None if it is not."""
    try:
        from_bytes(content)
    except ValueError as error:
        return str(error)
    return None


def test_damaged_files_end_in_one_sentence(rng):
    """Thousands of mutated files: always the promised error, never another, and none is accepted."""
    content = to_bytes(SMALL)
    assert refusal(content) is None
    for _ in range(3000):
        damaged = bytearray(content)
        place, kind = int(rng.integers(len(content))), int(rng.integers(5))
        if kind == 0:
            damaged[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del damaged[place:]
        elif kind == 2:
            del damaged[place : place + int(rng.integers(1, 9))]
        elif kind == 3:
            damaged[place:place] = rng.bytes(int(rng.integers(1, 9)))
        else:
            damaged[place : place + 8] = rng.bytes(8)
        words = refusal(bytes(damaged))
        assert damaged == content or (SENTENCE in words and len(words) <= 300)


def test_forged_headers_end_in_a_sentence(rng):
    """With a checksum that fits: a header that lies of sizes, dtypes, shapes and classes, or makes no sense."""
    header, data = parts(to_bytes(SMALL))
    sentences = (SENTENCE, "must be imported", "must have the fields")
    accepted = 0
    for _ in range(3000):
        letters, place = list(header), int(rng.integers(91, len(header)))
        letters[place : place + int(rng.integers(0, 3))] = rng.choice(
            list('{}[]":,0129-.ntF"'), int(rng.integers(0, 3))
        )
        words = refusal(sealed("".join(letters), data))
        # Another name or number is no damage that a reader could see.
        accepted += words is None
        assert words is None or any(sentence in words for sentence in sentences)
    assert 300 < accepted < 1500


FORGED = {
    "a giant shape": ('"shape":[2,3]', '"shape":[281474976710655,281474976710655]'),
    "a shape below 0": ('"shape":[2,3]', '"shape":[-2,-3]'),
    "a shape of floats": ('"shape":[2,3]', '"shape":[2.0,3]'),
    "a shape of very many axes": ('"shape":[2,3]', f'"shape":[{"1," * 99}6]'),
    "another dtype": ('"dtype":"F32"', '"dtype":"F64"'),
    "an unknown dtype": ('"dtype":"F32"', '"dtype":"F31"'),
    "another place": ('"data_offsets":[0,24]', '"data_offsets":[4,28]'),
    "a place without an end": ('"data_offsets":[0,24]', '"data_offsets":[0]'),
    "an array that is not there": ('{\\"numpy\\": \\"kernel\\"}', '{\\"numpy\\": \\"column\\"}'),
    "a library that is none": ('{\\"numpy\\": \\"kernel\\"}', '{\\"torch\\": \\"kernel\\"}'),
    "an empty node": ('{\\"numpy\\": \\"kernel\\"}', "{}"),
    "depth without end": ('{\\"numpy\\": \\"kernel\\"}', '{\\"list\\": [' * 9000 + "]}" * 9000),
    "digits without end": ('{\\"numpy\\": \\"kernel\\"}', "1" * 9000),
    "another format": ("funcnet-2", "funcnet-9"),
    "no metadata": ('"format":"funcnet-2"', '"from":"funcnet-2"'),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_headers(name):
    """One lie each, with a checksum that fits; nothing is set aside for it."""
    old, new = FORGED[name]
    header, data = parts(to_bytes(SMALL))
    assert old in header
    tracemalloc.start()
    assert SENTENCE in refusal(sealed(header.replace(old, new), data))
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    assert same(from_bytes(sealed(header, data)), SMALL)


FOREIGN = {
    "an archive of NumPy, as older versions wrote": lambda path: np.savez(path, a=np.ones(3)),
    "text": lambda path: path.write_text("a,b\n1,2\n" * 100),
    "nothing": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(10_000)),
    "the length alone": lambda path: path.write_bytes(struct.pack("<Q", 100)),
    "a pickle": lambda path: path.write_bytes(b"\x80\x04\x95" + bytes(99)),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_another_kind(tmp_path, name):
    """The sentence names the file."""
    path = tmp_path / "params.npz"
    FOREIGN[name](path)
    with pytest.raises(ValueError, match=rf"params\.npz {SENTENCE}"):
        fn.load(path)
    if "archive" in name:
        with pytest.raises(ValueError, match="as funcnet-1 wrote them"):
            fn.load(path)


# -- classes by name -------------------------------------------------------------------------------------------------


def renamed(content, old, new):
    """Return a file in which a piece of the description is another, its checksum right."""
    header, data = parts(content)
    old, new = (json.dumps(text)[1:-1] for text in (old, new))
    assert old in header
    return sealed(header.replace(old, new), data)


def test_classes_are_found_among_what_is_imported(tmp_path, monkeypatch):
    """A stranger's record is found by its name; where its module is not imported, the error says which to import."""
    module = types.ModuleType("elsewhere")
    made = type("Layer", (), {"__annotations__": {"rate": float}, "rate": number(0.5), "__module__": "elsewhere"})
    module.Layer = record(made)
    monkeypatch.setitem(sys.modules, "elsewhere", module)
    fn.save(tmp_path / "own", {"layer": module.Layer(0.25)})
    assert fn.load(tmp_path / "own")["layer"] == module.Layer(0.25)
    monkeypatch.delitem(sys.modules, "elsewhere")
    with pytest.raises(ValueError, match=r"there is no elsewhere\.Layer\. Try: import elsewhere"):
        fn.load(tmp_path / "own")


def test_no_class_but_data_is_made():
    """A name that leads to a function, to another class, or into an instance is refused like one that leads nowhere."""
    content = to_bytes(Stranger())
    for name in ("os:system", "subprocess:Popen", "builtins:exec", "builtins:tuple", "jax:Array", "funcnet.io:save"):
        with pytest.raises(ValueError, match="must be imported before"):
            from_bytes(renamed(content, f"{__name__}:Stranger", name))
    with pytest.raises(ValueError, match=r"no __main__\.Stranger\. Try: a module for that class, which both scripts"):
        from_bytes(renamed(content, f"{__name__}:Stranger", "__main__:Stranger"))


def test_records_of_other_versions():
    """A class of funcnet may have moved, a new field has its default; a field that is gone or wrong is said."""
    content = to_bytes((fn.SGD(0.25), Stranger(0.25)))
    assert from_bytes(renamed(content, "funcnet.optimizers.sgd:SGD", "funcnet.old:SGD")) == (
        fn.SGD(0.25),
        Stranger(0.25),
    )
    assert from_bytes(renamed(content, ', "kind": "plain"', ""))[1] == Stranger(0.25)
    with pytest.raises(ValueError, match=r"Stranger must have the fields rate, kind, but the content has rate, sort"):
        from_bytes(renamed(content, '"kind": "plain"', '"sort": "plain"'))
    with pytest.raises(ValueError, match=r"SGD must have the fields learning_rate"):
        from_bytes(renamed(content, '"learning_rate": 0.25, ', ""))
    with pytest.raises(ValueError, match=r"Stranger\.rate must be at least 0, but got -0\.25"):
        from_bytes(renamed(content, '"rate": 0.25', '"rate": -0.25'))


# -- writing ---------------------------------------------------------------------------------------------------------


def test_a_file_is_whole_or_the_old_one(tmp_path):
    """Whatever ends the writing, the old file stays; while it lasts, the name leads to the old one."""
    path = tmp_path / "file"
    write_whole(path, lambda file: file.write("old"))

    def failing(error):
        def write(file):
            file.write("half of the new")
            file.flush()
            assert path.read_text() == "old"
            raise error

        return write

    full = OSError(errno.ENOSPC, "No space left on device")
    for error in (full, KeyboardInterrupt(), SystemExit(), RuntimeError("any")):
        with pytest.raises(type(error)) as caught:
            write_whole(path, failing(error))
        assert path.read_text() == "old"
        assert os.listdir(tmp_path) == ["file"]
        if error is full:
            assert str(caught.value) == (
                f"{path} must be writable, but No space left on device. Try: another place, or room on the disk."
            )
    write_whole(path, lambda file: file.write(b"new"), binary=True)
    assert path.read_bytes() == b"new"


def test_a_kill_leaves_the_old_file(tmp_path):
    """kill -9 in the midst of writing: the old parameters can be read."""
    path = tmp_path / "params"
    fn.save(path, {"old": 1})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX warns of forks; this one computes nothing
        child = os.fork()
    if child == 0:
        try:
            write_whole(path, lambda file: (file.write(b"half"), file.flush(), os.kill(os.getpid(), 9)), binary=True)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 9
    assert fn.load(path) == {"old": 1}


def test_links_and_permissions_stay(tmp_path):
    """A link is followed, not replaced; the new file has the permissions of the old one."""
    (tmp_path / "far").mkdir()
    path, link = tmp_path / "far" / "file", tmp_path / "link"
    fn.save(path, 1)
    path.chmod(0o640)
    link.symlink_to(path)
    fn.save(link, 2)
    assert link.is_symlink()
    assert fn.load(path) == 2
    assert path.stat().st_mode & 0o777 == 0o640


def test_the_home_folder(tmp_path, monkeypatch):
    """A leading ~ is the user's folder, as in a shell."""
    monkeypatch.setenv("HOME", str(tmp_path))
    fn.save("~/params", 1)
    assert fn.load("~/params") == 1
    assert (tmp_path / "params").exists()


PLACES = {
    "a folder": (lambda folder: folder, IsADirectoryError, "must be a file, but it is a folder"),
    "below a file": (lambda folder: folder / "file" / "a", NotADirectoryError, "must be writable"),
    "no folder": (lambda folder: folder / "no" / "a", FileNotFoundError, "a folder that exists"),
    "a device": (lambda folder: pathlib.Path("/dev/null"), OSError, "must be a regular file"),
    "NUL": (lambda folder: "a\0b", ValueError, r"a path must be one that the file system can have, but got 'a\\x00b'"),
    "a lone surrogate": (lambda folder: "a\ud800", ValueError, "must be one that the file system can have"),
    "a user that is none": (lambda folder: "~nobody_at_all/a", ValueError, "must be one that the file system can have"),
    "a number": (lambda folder: 3, TypeError, r"a string or a pathlib\.Path, but got 3 \(int\)"),
    "None": (lambda folder: None, TypeError, "but got None"),
    "bytes": (lambda folder: b"abc", TypeError, "but got a bytes of 3"),
    "a name that is too long": (lambda folder: folder / ("a" * 300), OSError, "must be writable"),
}


@pytest.mark.parametrize("name", PLACES)
def test_places_that_are_none(tmp_path, name):
    """Odd paths are refused in words, for writing and for reading."""
    make, kind, words = PLACES[name]
    fn.save(tmp_path / "file", 1)
    with pytest.raises(kind, match=words) as caught:
        fn.save(make(tmp_path), {"w": np.ones(3)})
    assert len(str(caught.value)) <= 300
    str(caught.value).encode()
    with pytest.raises((OSError, ValueError, TypeError), match=r"Try: ") as caught:
        fn.load(make(tmp_path))
    assert len(str(caught.value)) <= 300
    assert (tmp_path / "file").exists()
    with pytest.raises(FileNotFoundError, match="must exist, but nothing is there"):
        fn.load(tmp_path / "missing")
    assert as_path("a") == pathlib.Path("a")
