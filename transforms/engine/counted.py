"""Beam's transforms between stages, with what goes in and what comes out counted, in every run and on every runner.

An engine may lose rows without an error (docs/decisions/0025), so wherever data crosses from one stage to another, whoever
sends it counts it and so does whoever gets it: elements, and the rows in them. What a bundle has counted comes out of it beside
its elements, so an engine keeps it or throws it away with them, and `Total` adds all of it up into one file of the attempt.
The launcher compares the two ends of every *crossing* when the pipeline has finished and before anything is published: `check`.
Beam's own counters will not do (docs/decisions/0058): engines lose some, and count bundles twice that are run twice.

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
import orjson
from apache_beam.coders import TupleCoder, VarIntCoder
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.pvalue import EmptySideInput, TaggedOutput
from apache_beam.transforms.window import GlobalWindow, GlobalWindows

from transforms.engine import files
from transforms.engine.progress import TALLY
from transforms.engine.stage import Stage

COUNTS = "counts"  # the tag of what comes out beside the elements
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


Counted = tuple[str, str, int, int]  # crossing, end, elements, rows


class _Counting(beam.DoFn):
    """One end of a crossing. What a bundle counts comes out of it when it ends."""

    def __init__(self, crossing: str, end: str) -> None:
        self.crossing, self.end = crossing, end

    def start_bundle(self) -> None:
        self.elements = self.rows = 0

    def add(self, elements: int, rows: int) -> None:
        self.elements += elements
        self.rows += rows
        TALLY.tell()

    def finish_bundle(self) -> Iterator[TaggedOutput]:
        if self.elements or self.rows:
            found = self.crossing, self.end, self.elements, self.rows
            yield TaggedOutput(COUNTS, GlobalWindows.windowed_value(found, GlobalWindow().max_timestamp()))


class _Count(_Counting):
    """Elements as they are, counted on the bundle's own thread. Side inputs only say what they wait for.

    Raises:
      LostRowsError: what they wait for, one element, did not come.
    """

    def process(self, element: Any, *sides: Any) -> Iterator[Any]:
        if any(isinstance(side, EmptySideInput) for side in sides):
            raise LostRowsError(f"{self.crossing}: what they wait for was lost on the way; run again")
        self.add(1, rows_of(element))
        yield element


def _end(
    elements: beam.PCollection[Any], label: str, dofn: _Counting, output: Any, *sides: Any
) -> beam.PCollection[Any]:
    """What a DoFn that counts makes of elements. Its counts are a second output, which `Total` finds.

    It is what `with_outputs` does, without the two steps that it puts around each of a hundred.
    """
    made = elements | label >> beam.ParDo(dofn, *sides).with_output_types(output)
    counts = beam.PCollection(made.pipeline, tag=COUNTS, element_type=Counted, is_bounded=made.is_bounded)
    counts.producer = made.producer
    made.producer.transform.output_tags.add(COUNTS)
    made.producer.add_output(counts, COUNTS)
    return made


def _sent(crossing: str, elements: beam.PCollection[Any], label: str = "Send") -> beam.PCollection[Any]:
    return _end(elements, label, _Count(crossing, SENT), elements.element_type)


def _arrived(crossing: str, elements: beam.PCollection[Any], *sides: Any) -> beam.PCollection[Any]:
    return _end(elements, "Arrive", _Count(crossing, ARRIVED), elements.element_type, *sides)


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
        return _end(elements, "Count", _CountRows(self.crossing, self.end, self.rows), type(None))


class _CountRows(_Counting):
    def __init__(self, crossing: str, end: str, rows_of: Callable[[Any], int]) -> None:
        super().__init__(crossing, end)
        self.rows_of = rows_of

    def process(self, element: Any) -> None:
        self.add(0, self.rows_of(element))


@dataclasses.dataclass(eq=False)
class GroupByKey(beam.PTransform):
    """(key, value) -> (key, [value]): all values of a key, as a list that any thread can read.

    Beam's own is an iterable that, on some runners, is fetched piece by piece and only on the bundle's thread.
    """

    crossing: str

    def expand(self, pairs: beam.PCollection[tuple[Any, Any]]) -> beam.PCollection[tuple[Any, Iterable[Any]]]:
        """Count, group, count."""
        return _grouped(self.crossing, _sent(self.crossing, pairs))


def _grouped(crossing: str, sent: beam.PCollection[tuple[Any, Any]]) -> beam.PCollection[tuple[Any, Iterable[Any]]]:
    grouped = sent | "Group" >> beam.GroupByKey()
    return _end(grouped, "Arrive", _Listed(crossing, ARRIVED), grouped.element_type)


@dataclasses.dataclass(eq=False)
class GroupTogether(Stage):
    """Several collections of (key, value) -> (key, [value]): the values of a key in all of them."""

    crossing: str

    def expand(
        self, parts: tuple[beam.PCollection[tuple[Any, Any]], ...]
    ) -> beam.PCollection[tuple[Any, Iterable[Any]]]:
        """Count each, put together, group, count."""
        sent = [_sent(self.crossing, part, f"Send{number}") for number, part in enumerate(parts)]
        return _grouped(self.crossing, sent | "Together" >> beam.Flatten())


class _Listed(_Counting):
    def process(self, group: tuple[Any, Iterable[Any]]) -> Iterator[tuple[Any, list[Any]]]:
        key, values = group[0], list(group[1])
        self.add(len(values), rows_of(values))
        yield key, values


@dataclasses.dataclass(eq=False)
class Reshuffle(beam.PTransform):
    """Elements to whoever has time. Beam's own takes seven steps for it, and a random number for each element."""

    crossing: str

    def expand(self, elements: beam.PCollection[Any]) -> beam.PCollection[Any]:
        """Count, shuffle, count."""
        return _shuffled(self.crossing, elements, "Send", _Numbered(self.crossing, SENT), elements.element_type)


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
        seed = root | beam.Impulse()
        return _shuffled(self.crossing, seed, "Unfold", _Unfold(self.values), self.element_type)


def _shuffled(
    crossing: str, elements: beam.PCollection[Any], label: str, numbered: beam.DoFn, output: Any
) -> beam.PCollection[Any]:
    """What a DoFn makes of elements under different numbers, spread over the workers, without the numbers."""
    pairs = tuple[int, output]  # type: ignore[valid-type]
    if isinstance(numbered, _Counting):
        sent = _end(elements, label, numbered, pairs)
    else:
        sent = elements | label >> beam.ParDo(numbered).with_output_types(pairs)
    return _end(sent | "Spread" >> beam.GroupByKey(), "Arrive", _Spread(crossing, ARRIVED), output)


class _Numbered(_Counting):
    """Elements under numbers that differ within a bundle."""

    def process(self, element: Any) -> Iterator[tuple[int, Any]]:
        self.add(1, rows_of(element))
        yield self.elements, element


class _Unfold(beam.DoFn):
    def __init__(self, values: Sequence[Any]) -> None:
        self.values = values

    def process(self, _: bytes) -> Iterator[tuple[int, Any]]:
        yield from enumerate(self.values)


class _Spread(_Counting):
    def process(self, group: tuple[int, Iterable[Any]]) -> Iterator[Any]:
        for element in group[1]:
            self.add(1, rows_of(element))
            yield element


@dataclasses.dataclass(eq=False)
class Flatten(Stage):
    """Several collections of one type as one."""

    crossing: str

    def expand(self, parts: tuple[beam.PCollection[Any], ...]) -> beam.PCollection[Any]:
        """Count each, put together, count."""
        sent = [_sent(self.crossing, part, f"Send{number}") for number, part in enumerate(parts)]
        return _arrived(self.crossing, sent | "Together" >> beam.Flatten())


class ParDo(beam.PTransform):
    """A ParDo with side inputs: the elements wait for them, outside of any stage, and are counted before and after that."""

    def __init__(self, crossing: str, dofn: beam.DoFn, *sides: Any) -> None:
        super().__init__()
        self.crossing, self.dofn, self.sides = crossing, dofn, sides

    def expand(self, elements: beam.PCollection[Any]) -> beam.PCollection[Any]:
        """Count; wait, count and work."""
        # It takes the same side inputs, or it would count before the wait.
        arrived = _arrived(self.crossing, _sent(self.crossing, elements), *self.sides)
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

    def expand(self, elements: beam.PCollection[Any]) -> beam.PCollection[Any]:
        """Count, combine, count."""
        output = self.fn.get_type_hints().simple_output_type("")
        return self._combined(elements, output)

    def _combined(self, elements: beam.PCollection[Any], output: Any) -> beam.PCollection[Any]:
        fn = _CountedFn(self.fn).with_input_types(elements.element_type).with_output_types(tuple[output, int, int])
        # Beam's `CombineGlobally` has a step before this to put one key on, and one behind it to take that off.
        combine = beam.CombinePerKey(fn)
        if self.most >= FAN_OUT_FROM:
            # As many groups as there are elements in each: then the longest line of merges is the shortest.
            combine = combine.with_hot_key_fanout(math.isqrt(self.most))
        one_key = tuple[None, elements.element_type]  # type: ignore[name-defined]
        keyed = _end(elements, "Send", _CountOfOneKey(self.crossing, SENT), one_key)
        merged = keyed | "Combine" >> combine
        if self.bare:
            return _end(merged, "Arrive", _Unpacked(self.crossing, ARRIVED), output)
        # Beam's own way to what comes out of nothing takes eleven steps more, a shuffle among them.
        once = elements.pipeline | "Once" >> beam.Impulse()
        either = _UnpackedOrNothing(self.crossing, fn)
        return _end(once, "Arrive", either, output, beam.pvalue.AsSingleton(merged, default_value=None))


class _CountOfOneKey(_Counting):
    def process(self, element: Any) -> Iterator[tuple[None, Any]]:
        self.add(1, rows_of(element))
        yield None, element


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


class _Unpacked(_Counting):
    def process(self, merged: tuple[None, tuple[Any, int, int]]) -> Iterator[Any]:
        result, elements, rows = merged[1]
        self.add(elements, rows)
        yield result


class _UnpackedOrNothing(_Counting):
    """What was combined, or what comes out of nothing."""

    def __init__(self, crossing: str, fn: _CountedFn) -> None:
        super().__init__(crossing, ARRIVED)
        self.fn = fn

    def process(self, _: bytes, merged: tuple[None, tuple[Any, int, int]] | None) -> Iterator[Any]:
        if merged is None:
            self.fn.setup()
            merged = None, self.fn.extract_output(self.fn.create_accumulator())
            self.fn.teardown()
        result, elements, rows = merged[1]
        self.add(elements, rows)
        yield result


Counts = dict[str, dict[tuple[str, str], int]]  # by crossing: by (end, what is counted)


Sums = dict[tuple[str, str, str], int]  # by crossing, end, what is counted


@beam.typehints.with_input_types(Counted)
@beam.typehints.with_output_types(Sums)
class CountsFn(beam.CombineFn):
    """What bundles counted -> the sums."""

    def create_accumulator(self) -> Sums:
        """Nothing counted."""
        return collections.Counter()

    def add_input(self, sums: Sums, one: Counted) -> Sums:
        """Add what one bundle counted at one end."""
        crossing, end, elements, rows = one
        sums[crossing, end, ELEMENTS] += elements
        sums[crossing, end, ROWS] += rows
        return sums

    def merge_accumulators(self, parts: Iterable[Sums]) -> Sums:
        """Add sums up."""
        merged: collections.Counter[tuple[str, str, str]] = collections.Counter()
        for part in parts:
            merged.update(part)
        return merged

    def extract_output(self, sums: Sums) -> Sums:
        """The sums."""
        return sums


@dataclasses.dataclass(eq=False)
class Total(beam.PTransform):
    """What every end that a pipeline has so far counts, as one file. It goes on last."""

    path: str

    def expand(self, root: beam.pvalue.PBegin) -> beam.PCollection[None]:
        """Find the ends, add up, write. A count that is lost here is missing at one end, and ends the run as a lost row does."""
        ends: list[beam.PCollection[Any]] = []

        class Visitor(PipelineVisitor):
            def visit_transform(self, node: AppliedPTransform) -> None:
                ends.extend([node.outputs[COUNTS]] if COUNTS in node.outputs else [])

        root.pipeline.visit(Visitor())
        summed = ends | beam.Flatten() | "Sum" >> beam.CombineGlobally(CountsFn()).without_defaults()
        return summed | "Write" >> beam.ParDo(_Write(self.path)).with_output_types(type(None))


class _Write(beam.DoFn):
    def __init__(self, path: str) -> None:
        self.path = path

    def process(self, sums: Sums) -> None:
        files.write(self.path, orjson.dumps(sorted([*key, n] for key, n in sums.items())))


def counts(path: str) -> Counts:
    """What was counted in a run, of the file that `Total` wrote; nothing, if there is none."""
    found: Counts = collections.defaultdict(dict)
    try:
        data = files.read(path)
    except FileNotFoundError:
        return {}
    for crossing, end, what, n in orjson.loads(data):
        found[crossing][end, what] = n
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
