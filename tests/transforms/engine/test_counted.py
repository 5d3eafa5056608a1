"""Every way from one stage to another counts what goes in and what comes out, and a loss or a double is an error."""

import tempfile
from collections.abc import Callable

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import worker_handlers
from apache_beam.runners.worker import bundle_processor, data_plane

from transforms.engine import coders, counted
from transforms.engine.flush_timer import stop_timed_flush

assert coders  # registers the coder of batches


def batch(rows: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"x": list(range(rows))})


@beam.typehints.with_input_types(pa.RecordBatch)
@beam.typehints.with_output_types(list[int])
class SizesFn(beam.CombineFn):
    """Batches -> how large they are."""

    def create_accumulator(self) -> list[int]:
        return []

    def add_input(self, sizes: list[int], one: pa.RecordBatch) -> list[int]:
        return [*sizes, one.num_rows]

    def merge_accumulators(self, parts: list[list[int]]) -> list[int]:
        return [size for part in parts for size in part]

    def extract_output(self, sizes: list[int]) -> list[int]:
        return sorted(sizes)


class Plus(beam.DoFn):
    def process(self, pair: tuple[int, pa.RecordBatch], total: int):  # type: ignore[no-untyped-def]
        yield pair[1].num_rows + total


SEEN: list[object] = []


def see(element: object) -> None:
    SEEN.append(element)


Pairs = beam.PCollection[tuple[int, pa.RecordBatch]]


def batches(pairs: Pairs) -> beam.PCollection[pa.RecordBatch]:
    return pairs | "Values" >> beam.Map(lambda pair: pair[1]).with_output_types(pa.RecordBatch)


def waiting(pairs: Pairs) -> beam.PCollection[int]:
    total = batches(pairs) | "Sizes" >> beam.Map(len) | "Total" >> beam.CombineGlobally(sum)
    return pairs | counted.ParDo("crossing", Plus().with_output_types(int), beam.pvalue.AsSingleton(total))


WAYS: dict[str, tuple[Callable[[Pairs], beam.PCollection], list[object]]] = {
    "group": (lambda p: p | counted.GroupByKey("crossing") | beam.MapTuple(lambda k, v: (k, sorted(map(len, v)))),
              [(0, [0, 2, 4]), (1, [1, 3])]),
    "reshuffle": (lambda p: batches(p) | counted.Reshuffle("crossing") | beam.Map(len), [0, 1, 2, 3, 4]),
    "combine": (lambda p: batches(p) | counted.CombineGlobally("crossing", SizesFn()), [[0, 1, 2, 3, 4]]),
    "list": (lambda p: batches(p) | beam.Map(len) | counted.ToList("crossing") | beam.Map(sorted), [[0, 1, 2, 3, 4]]),
    "flatten": (lambda p: (batches(p), p | "More" >> beam.Map(lambda _: batch(1)).with_output_types(pa.RecordBatch))
                | counted.Flatten("crossing") | beam.Map(len), [0, 1, 1, 1, 1, 1, 1, 2, 3, 4]),
    "side input": (waiting, [10, 11, 12, 13, 14]),
}  # fmt: skip


def run(way: Callable[[Pairs], beam.PCollection], workers: int = 1) -> counted.Counts:
    stop_timed_flush()
    flags = ["--runner=FnApiRunner"]
    if workers > 1:
        flags += ["--direct_running_mode=multi_threading", f"--direct_num_workers={workers}"]
    root = beam.Pipeline(options=PipelineOptions(flags))
    pairs = (
        root
        | beam.Create(range(5))
        | beam.Map(lambda n: (n % 2, batch(n))).with_output_types(tuple[int, pa.RecordBatch])
    )
    SEEN.clear()
    way(pairs) | "See" >> beam.Map(see)
    with tempfile.TemporaryDirectory() as folder:
        root | "Counts" >> counted.Total(f"{folder}/counts")
        root.run().wait_until_finish()
        return counted.counts(f"{folder}/counts")


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("name", WAYS)
def test_what_goes_in_comes_out_and_both_are_counted(name: str, workers: int) -> None:
    way, expected = WAYS[name]
    found = run(way, workers)
    assert sorted(SEEN, key=repr) == sorted(expected, key=repr)
    n = len(expected) if name == "flatten" else 5
    rows = {"flatten": 15, "list": 5}.get(name, 10)
    assert {(end, what): found["crossing"][end, what] for end, what in found["crossing"]} == {
        ("sent", "elements"): n, ("arrived", "elements"): n, ("sent", "rows"): rows, ("arrived", "rows"): rows,
    }  # fmt: skip
    counted.check(found, {})


@pytest.mark.parametrize("times", [0, 2])
@pytest.mark.parametrize("name", WAYS)
def test_an_element_that_the_engine_loses_or_doubles_is_an_error(
    name: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beam's own output is made to write the batch of four rows never, or twice, wherever that crosses the crossing."""
    write = bundle_processor.DataOutputOperation.process
    broken: list[str] = []

    def faulty(self, windowed):  # type: ignore[no-untyped-def]
        crossing = "Create" not in self.name_context.step_name and "Total" not in self.name_context.step_name
        value = windowed.value
        while isinstance(value, tuple):  # a key, or what a reshuffle puts about it
            value = next((part for part in value if isinstance(part, (tuple, pa.RecordBatch))), None)
        hit = crossing and not broken and isinstance(value, pa.RecordBatch) and len(value) == 4
        broken.extend(["here"] * hit)
        for _ in range(times if hit else 1):
            write(self, windowed)

    monkeypatch.setattr(bundle_processor.DataOutputOperation, "process", faulty)
    found = run(WAYS[name][0])
    if name in ("combine", "list"):  # five inputs are one accumulator before they cross
        assert not broken
        return
    assert broken
    with pytest.raises(counted.LostRowsError, match=r"crossing: 1[05] rows went in and"):
        counted.check(found, {})


def test_rows_are_counted_by_what_carries_them() -> None:
    assert counted.rows_of(batch(3)) == 3
    assert counted.rows_of((7, batch(3))) == 3
    assert counted.rows_of((7, [batch(3), batch(2)])) == 5
    assert counted.rows_of(np.zeros(4)) == 4
    assert counted.rows_of("a document") == 1


def test_both_ends_are_compared_and_the_words_say_what_is_missing() -> None:
    whole = {("sent", "elements"): 2, ("arrived", "elements"): 2, ("sent", "rows"): 1500, ("arrived", "rows"): 1500}
    counted.check({"pairs": whole}, {})
    for change, words in (
        ({("arrived", "rows"): 1498}, "pairs: 1,500 rows went in and 1,498 came out; 2 lost"),
        ({("arrived", "rows"): 1501}, "pairs: 1,500 rows went in and 1,501 came out; 1 too many"),
        ({("arrived", "elements"): 1}, "pairs: 2 elements went in and 1 came out; 1 lost"),
    ):
        with pytest.raises(counted.LostRowsError) as error:
            counted.check({"pairs": whole | change}, {})
        assert str(error.value) == words
    with pytest.raises(counted.LostRowsError, match="splits: 3 elements went in and 0 came out; 3 lost"):
        counted.check({}, {"splits": 3})  # no counts came


def test_local_workers_have_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer empties a buffer that is being written: docs/decisions/0025."""
    made: list[object] = []
    monkeypatch.setattr(data_plane.TimeBasedBufferingClosableOutputStream, "__init__", lambda *a, **k: made.append(a))
    run(WAYS["group"][0], workers=4)
    assert made == []
    assert worker_handlers.DATA_BUFFER_TIME_LIMIT_MS == 0
