"""Beam's transforms between stages, with what goes in and what comes out counted, in every run and on every runner.

An engine may lose rows without an error (docs/decisions/0025), so wherever data crosses from one stage to another, whoever
sends it counts it and so does whoever gets it, in Beam's own counters: elements, and the rows in them. The launcher compares
the two ends of every *crossing* when the pipeline has finished and before anything is published: `check`.

The names are Beam's: `counted.GroupByKey("pairs by left split")` is `beam.GroupByKey()`, counted. A test walks the graph and
fails on one that is not. A side input of one element is not counted: Beam refuses two, and `ParDo` refuses none.
"""

import collections
import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.coders import TupleCoder, VarIntCoder
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.metrics.metric import MetricResults
from apache_beam.pvalue import EmptySideInput

from transforms.engine.stage import Stage

NAMESPACE = "lowbackground.counted"
SENT, ARRIVED = "sent", "arrived"
ELEMENTS, ROWS = "elements", "rows"
FAN_OUT_FROM = 4096  # elements of a combine, some 32 GB of splits: under it, two more steps cost more than they save


class LostRowsError(Exception):
    """What came out of a crossing is not what went in. The message is one line."""


def rows_of(element: object) -> int:
    """How many rows an element carries: of a batch its own, of a pair its value's, of a list the sum; 1 of anything else."""
    if type(element) is tuple:
        return rows_of(element[-1])
    if isinstance(element, list):
        return sum(map(rows_of, element))
    if isinstance(element, np.ndarray):
        return len(element)
    return int(getattr(element, "num_rows", 1))


class _Ends:
    """The counters of one end of a crossing."""

    def __init__(self, crossing: str, end: str) -> None:
        self.name = crossing, end
        self.elements = Metrics.counter(NAMESPACE, f"{crossing}|{end}|{ELEMENTS}")
        self.rows = Metrics.counter(NAMESPACE, f"{crossing}|{end}|{ROWS}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Short: the graph has a hundred of them."""
        return _Ends, self.name

    def add(self, elements: int, rows: int) -> None:
        self.elements.inc(elements)
        self.rows.inc(rows)


class _Count(beam.DoFn):
    """Elements as they are, counted on the bundle's own thread. Side inputs only say what they wait for.

    Raises:
      LostRowsError: what they wait for, one element, did not come.
    """

    def __init__(self, crossing: str, end: str) -> None:
        self.crossing, self.end = crossing, _Ends(crossing, end)

    def process(self, element: Any, *sides: Any) -> Iterator[Any]:
        if any(isinstance(side, EmptySideInput) for side in sides):
            raise LostRowsError(f"{self.crossing}: what they wait for was lost on the way; run again")
        self.end.add(1, rows_of(element))
        yield element


def _counted(crossing: str, end: str, like: beam.PCollection[Any], *sides: Any) -> beam.PTransform:
    return beam.ParDo(_Count(crossing, end), *sides).with_output_types(like.element_type)


@dataclasses.dataclass(eq=False)
class RowsOf(beam.PTransform):
    """Nothing comes out: the rows of the elements are counted at one end of a crossing, and not how many elements they are in.

    For what has to be the same number at two places of the graph, however it was cut in between.
    """

    crossing: str
    end: str
    rows: Callable[[Any], int] = rows_of

    def expand(self, elements: beam.PCollection[Any]) -> beam.PCollection[None]:
        """Count."""
        return elements | "Count" >> beam.ParDo(_CountRows(self.crossing, self.end, self.rows))


@beam.typehints.with_output_types(type(None))
class _CountRows(beam.DoFn):
    def __init__(self, crossing: str, end: str, rows: Callable[[Any], int]) -> None:
        self.end, self.rows = _Ends(crossing, end), rows

    def process(self, element: Any) -> None:
        self.end.add(0, self.rows(element))


@dataclasses.dataclass(eq=False)
class GroupByKey(beam.PTransform):
    """(key, value) -> (key, [value]): all values of a key, as a list that any thread can read.

    Beam's own is an iterable that, on some runners, is fetched piece by piece and only on the bundle's thread.
    """

    crossing: str

    def expand(self, pairs: beam.PCollection[tuple[Any, Any]]) -> beam.PCollection[tuple[Any, Iterable[Any]]]:
        """Count, group, count."""
        grouped = pairs | "Send" >> _counted(self.crossing, SENT, pairs) | "Group" >> beam.GroupByKey()
        return grouped | "Arrive" >> beam.ParDo(_Listed(self.crossing)).with_output_types(grouped.element_type)


class _Listed(beam.DoFn):
    def __init__(self, crossing: str) -> None:
        self.end = _Ends(crossing, ARRIVED)

    def process(self, group: tuple[Any, Iterable[Any]]) -> Iterator[tuple[Any, list[Any]]]:
        key, values = group[0], list(group[1])
        self.end.add(len(values), rows_of(values))
        yield key, values


@dataclasses.dataclass(eq=False)
class Reshuffle(beam.PTransform):
    """Elements to whoever has time."""

    crossing: str

    def expand(self, elements: beam.PCollection[Any]) -> beam.PCollection[Any]:
        """Count, shuffle, count."""
        sent = elements | "Send" >> _counted(self.crossing, SENT, elements)
        return sent | "Shuffle" >> beam.Reshuffle() | "Arrive" >> _counted(self.crossing, ARRIVED, elements)


class Create(beam.PTransform):
    """What the launcher has, as elements, spread over the workers. How many they are it says itself, to `check`.

    Unlike Beam's, the graph holds one seed and not every element: the values are in the DoFn, where a `Staged` sequence is
    only the name of a file.
    """

    def __init__(self, crossing: str, values: Sequence[Any], element_type: Any) -> None:
        super().__init__()
        self.crossing, self.values, self.element_type = crossing, values, element_type

    def expand(self, root: beam.pvalue.PBegin) -> beam.PCollection[Any]:
        """Unfold, shuffle, and count."""
        unfolded = (
            root | beam.Impulse() | "Unfold" >> beam.ParDo(_Unfold(self.values)).with_output_types(self.element_type)
        )
        return unfolded | "Spread" >> beam.Reshuffle() | "Arrive" >> _counted(self.crossing, ARRIVED, unfolded)


class _Unfold(beam.DoFn):
    def __init__(self, values: Sequence[Any]) -> None:
        self.values = values

    def process(self, _: bytes) -> Iterator[Any]:
        yield from self.values


@dataclasses.dataclass(eq=False)
class Flatten(Stage):
    """Several collections of one type as one."""

    crossing: str

    def expand(self, parts: tuple[beam.PCollection[Any], ...]) -> beam.PCollection[Any]:
        """Count each, put together, count."""
        sent = [part | f"Send{number}" >> _counted(self.crossing, SENT, part) for number, part in enumerate(parts)]
        return sent | "Together" >> beam.Flatten() | "Arrive" >> _counted(self.crossing, ARRIVED, parts[0])


class ParDo(beam.PTransform):
    """A ParDo with side inputs: the elements wait for them, outside of any stage, and are counted before and after that."""

    def __init__(self, crossing: str, dofn: beam.DoFn, *sides: Any) -> None:
        super().__init__()
        self.crossing, self.dofn, self.sides = crossing, dofn, sides

    def expand(self, elements: beam.PCollection[Any]) -> beam.PCollection[Any]:
        """Count; wait, count and work."""
        sent = elements | "Send" >> _counted(self.crossing, SENT, elements)
        # It takes the same side inputs, or it would count before the wait.
        arrived = sent | "Arrive" >> _counted(self.crossing, ARRIVED, elements, *self.sides)
        return arrived | "Work" >> beam.ParDo(self.dofn, *self.sides)


class CombineGlobally(beam.PTransform):
    """All elements as one, with how many they are counted inside the accumulators that are merged.

    Args:
      crossing: its name.
      fn: what to combine with. Its types are declared.
      without_defaults: nothing comes out of nothing.
      most: elements that may come, or 0 for few. Of very many, groups are merged first, each by a worker of its own.
    """

    def __init__(self, crossing: str, fn: beam.CombineFn, without_defaults: bool = False, most: int = 0) -> None:
        super().__init__()
        self.crossing, self.fn, self.bare, self.most = crossing, fn, without_defaults, most

    def display_data(self) -> dict[str, Any]:
        """What crosses, and how."""
        return {"crossing": self.crossing, "combine_fn": type(self.fn), "most": self.most}

    def expand(self, elements: beam.PCollection[Any]) -> beam.PCollection[Any]:
        """Count, combine, count."""
        output = self.fn.get_type_hints().simple_output_type("")
        return self._combined(elements, output)

    def _combined(self, elements: beam.PCollection[Any], output: Any) -> beam.PCollection[Any]:
        fn = _CountedFn(self.fn).with_input_types(elements.element_type).with_output_types(tuple[output, int, int])
        combine = beam.CombineGlobally(fn)
        if self.most >= FAN_OUT_FROM:
            # As many groups as there are elements in each: then the longest line of merges is the shortest.
            combine = combine.with_fanout(math.isqrt(self.most))
        sent = elements | "Send" >> _counted(self.crossing, SENT, elements)
        merged = sent | "Combine" >> combine.without_defaults()
        if self.bare:
            return merged | "Arrive" >> beam.ParDo(_Unpacked(self.crossing)).with_output_types(output)
        # Beam's own way to what comes out of nothing takes eleven steps more, a shuffle among them.
        waiting = beam.ParDo(_UnpackedOrNothing(self.crossing, fn), beam.pvalue.AsSingleton(merged, default_value=None))
        return elements.pipeline | "Once" >> beam.Impulse() | "Arrive" >> waiting.with_output_types(output)


class ToList(CombineGlobally):
    """All elements as one list, in any order."""

    def __init__(self, crossing: str) -> None:
        super().__init__(crossing, beam.combiners.ToListCombineFn())

    def expand(self, elements: beam.PCollection[Any]) -> beam.PCollection[list[Any]]:
        """Count, combine, count."""
        return self._combined(elements, list[elements.element_type])  # type: ignore[name-defined]


class _CountedFn(beam.CombineFn):
    """Another CombineFn's accumulator, and the elements and rows that are in it."""

    def __init__(self, fn: beam.CombineFn) -> None:
        self.fn = fn

    def setup(self) -> None:
        self.fn.setup()

    def create_accumulator(self) -> tuple[Any, int, int]:
        return self.fn.create_accumulator(), 0, 0

    def add_input(self, total: tuple[Any, int, int], element: Any) -> tuple[Any, int, int]:
        rows = rows_of(element)  # before `fn`, which may use it up
        return self.fn.add_input(total[0], element), total[1] + 1, total[2] + rows

    def merge_accumulators(self, totals: Iterable[tuple[Any, int, int]]) -> tuple[Any, int, int]:
        found = [0, 0]

        def parts() -> Iterator[Any]:  # one at a time, because some are large
            for part, elements, rows in totals:
                found[0] += elements
                found[1] += rows
                yield part

        merged = self.fn.merge_accumulators(parts())
        return merged, found[0], found[1]

    def compact(self, total: tuple[Any, int, int]) -> tuple[Any, int, int]:
        return self.fn.compact(total[0]), *total[1:]

    def extract_output(self, total: tuple[Any, int, int]) -> tuple[Any, int, int]:
        return self.fn.extract_output(total[0]), *total[1:]

    def teardown(self) -> None:
        self.fn.teardown()

    def get_accumulator_coder(self) -> TupleCoder:
        return TupleCoder([self.fn.get_accumulator_coder(), VarIntCoder(), VarIntCoder()])


class _Unpacked(beam.DoFn):
    def __init__(self, crossing: str) -> None:
        self.end = _Ends(crossing, ARRIVED)

    def process(self, merged: tuple[Any, int, int]) -> Iterator[Any]:
        result, elements, rows = merged
        self.end.add(elements, rows)
        yield result


class _UnpackedOrNothing(beam.DoFn):
    """What was combined, or what comes out of nothing."""

    def __init__(self, crossing: str, fn: _CountedFn) -> None:
        self.unpacked, self.fn = _Unpacked(crossing), fn

    def process(self, _: bytes, merged: tuple[Any, int, int] | None) -> Iterator[Any]:
        if merged is None:
            self.fn.setup()
            merged = self.fn.extract_output(self.fn.create_accumulator())
            self.fn.teardown()
        yield from self.unpacked.process(merged)


Counts = dict[str, dict[tuple[str, str], int]]  # by crossing: by (end, what is counted)


def counts(metrics: MetricResults) -> Counts:
    """What was counted in a run. Of a bundle that was run again counts what was committed, where the runner tells."""
    found: Counts = collections.defaultdict(collections.Counter)  # type: ignore[arg-type]
    for result in metrics.query(MetricsFilter().with_namespace(NAMESPACE))["counters"]:
        crossing, end, what = result.key.metric.name.rsplit("|", 2)
        found[crossing][end, what] += (result.attempted if result.committed is None else result.committed) or 0
    return dict(found)


def check(found: Counts, sent: Mapping[str, int]) -> None:
    """Compare both ends of every crossing.

    Args:
      found: what was counted.
      sent: by crossing, elements that the launcher itself put in.

    Raises:
      LostRowsError: a crossing gave more or less than it took; the first of them by name.
    """
    for crossing in sorted({*found, *sent}):
        ends = found.get(crossing, {})
        for what in (ELEMENTS,) if crossing in sent else (ROWS, ELEMENTS):
            took, gave = sent.get(crossing, ends.get((SENT, what), 0)), ends.get((ARRIVED, what), 0)
            if took != gave:
                change = f"{abs(took - gave):,} {'lost' if gave < took else 'too many'}"
                raise LostRowsError(f"{crossing}: {took:,} {what} went in and {gave:,} came out; {change}")
