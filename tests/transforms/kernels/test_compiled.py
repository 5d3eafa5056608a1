import importlib
import pkgutil
import subprocess
import sys

import numpy as np
import pytest
from numba.core import types

import transforms
from transforms.kernels import compiled
from transforms.kernels.similarity import lsh


def test_a_kernel_has_one_set_of_types_whatever_it_is_called_with() -> None:
    keys = np.arange(4, dtype=np.uint64)
    lsh.note_keys(lsh.no_keys(8), keys)
    keys.flags.writeable = False
    lsh.note_keys(lsh.no_keys(8), keys)
    assert len(lsh._note.signatures) == 1


@pytest.mark.parametrize("keys", [np.arange(4, dtype=np.int32), np.arange(8, dtype=np.uint64)[::2]])
def test_an_array_of_another_type_is_refused_and_not_compiled_for(keys: np.ndarray) -> None:
    with pytest.raises(TypeError, match="No matching definition"):
        lsh.note_keys(lsh.no_keys(8), keys)
    assert len(lsh._note.signatures) == 1


def test_what_is_read_only_cannot_be_given_to_be_written() -> None:
    seen = lsh.no_keys(8)
    seen.flags.writeable = False
    with pytest.raises(TypeError, match="No matching definition"):
        lsh.note_keys(seen, np.arange(4, dtype=np.uint64))


def test_types_by_their_names() -> None:
    read, written = compiled._type("u8[]"), compiled._type("f32[,]!")
    assert compiled._type("i64") == types.int64
    assert (read.dtype, read.ndim, read.layout, read.mutable) == (types.uint8, 1, "C", False)
    assert (written.dtype, written.ndim, written.layout, written.mutable) == (types.float32, 2, "C", True)


def test_every_kernel_compiles_for_the_types_that_it_declares_and_for_no_other() -> None:
    for module in pkgutil.walk_packages(transforms.__path__, "transforms."):
        importlib.import_module(module.name)
    assert len(compiled.KERNELS) > 50
    for one in compiled.KERNELS:
        one.ready()
        assert [tuple(found) for found in one.signatures] == [one.declared], one.__name__


SCRIPT = """
import numpy as np
from transforms.kernels import compiled
from transforms.kernels.similarity import lsh
before = compiled.n_compiled()[0]
lsh.note_keys(lsh.no_keys(8), np.arange(4, dtype=np.uint64))
print(before, compiled.n_compiled()[0])
"""


def test_it_is_compiled_once_for_a_machine_and_counted(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))

    def counts() -> str:
        return subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout.strip()

    assert [counts(), counts()] == ["0 1", "0 0"]
    # One set of types, so one file of code, and no process can write another's over it.
    assert len(list(tmp_path.rglob("*_note*.nbc"))) == 1


FOUR = """
import sys
import numpy as np
from transforms.kernels.similarity import lsh, minhash
print("ready", flush=True)
sys.stdin.read()  # until all are
values = np.arange(64, dtype=np.uint64) << np.uint64(58)
values.flags.writeable = sys.argv[1] == "0"
offsets = np.arange(0, 65, 8)
offsets.flags.writeable = sys.argv[1] == "1"
hashes = np.arange(64, dtype=np.uint32)
hashes.flags.writeable = sys.argv[1] == "2"
seen = lsh.no_keys(8)
lsh.note_keys(seen, values)
print(seen.tobytes().hex(), minhash.sign(offsets, hashes, 8).tobytes().hex())
"""


@pytest.mark.slow
def test_four_processes_that_compile_at_once_into_one_cache_say_the_same_and_a_fifth_loads_it(
    tmp_path, monkeypatch
) -> None:
    """Each has arrays of another kind, for which Numba by itself compiles another function under the same file name."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    command, pipe = [sys.executable, "-c", FOUR], subprocess.PIPE
    four = [subprocess.Popen([*command, str(kind)], stdin=pipe, stdout=pipe, text=True) for kind in range(4)]
    assert [process.stdout.readline() for process in four] == ["ready\n"] * 4
    for process in four:
        process.stdin.close()
    said = {process.stdout.read() for process in four}
    assert [process.wait() for process in four] == [0] * 4
    assert len(said) == 1
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb[ci]")}
    assert sum(path.suffix == ".nbi" for path in files) == sum(path.suffix == ".nbc" for path in files) >= 2
    fifth = subprocess.check_output([*command, "0"], stdin=subprocess.DEVNULL, text=True)
    assert {fifth.removeprefix("ready\n")} == said
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb[ci]")} == files
