"""What a run no longer needs is not held: by Beam's workers, or by an allocator with a heap for every thread."""

import gc
import subprocess
import sys

import apache_beam as beam
import pytest
from apache_beam.runners.worker.bundle_processor import DataOutputOperation

from transforms.engine.memory import free_outputs


def test_no_worker_keeps_what_it_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    finish = getattr(DataOutputOperation.finish, "__wrapped__", DataOutputOperation.finish)
    monkeypatch.setattr(DataOutputOperation, "finish", finish)

    def kept() -> int:
        before = {id(one) for one in gc.get_objects() if isinstance(one, DataOutputOperation)}
        workers: list[DataOutputOperation] = []
        set_output_stream = DataOutputOperation.set_output_stream
        with monkeypatch.context() as patch:
            patch.setattr(
                DataOutputOperation,
                "set_output_stream",
                lambda self, stream: (workers.append(self), set_output_stream(self, stream))[1],
            )
            with beam.Pipeline("FnApiRunner") as root:
                numbers = root | beam.Create(range(100)) | beam.Map(lambda n: (n % 7, "word" * n)) | beam.GroupByKey()
                _ = numbers | beam.Map(len) | beam.Reshuffle()
        written = [one for one in workers if id(one) not in before]
        assert written
        return sum(one.output_stream is not None for one in written)

    assert kept() > 0  # else Beam does it by itself
    free_outputs()
    free_outputs()
    assert kept() == 0


HEAPS = """\
import ctypes, sys, threading
if sys.argv[1:]:
    from pipeline import heap
    heap.keep_one()
together = threading.Barrier(4)
def work():
    together.wait()
    held = [bytearray(1000) for _ in range(100)]
    together.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
[one.start() for one in threads]
[one.join() for one in threads]
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="arenas are glibc's")
@pytest.mark.parametrize(("arguments", "expected"), [([], False), (["one"], True)])
def test_all_threads_share_one_heap(arguments: list[str], expected: bool) -> None:
    command = [sys.executable, "-c", HEAPS, *arguments]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    if not said:
        pytest.skip("this C library does not say")
    assert (said.count("Arena ") == 1) == expected, said
