"""The law of every combiner, through its CombineFn as the engine uses it: any order and any tree of merges, one output."""

import dataclasses
import importlib
import pathlib
import pickle
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.plan_scale import CASES, SOURCES, offer
from expectations import contracts
from tests.transforms.measures.test_tally import filled
from tests.transforms.measures.test_triggers import corpus, measured
from transforms.dedup.clusters import EDGE, ForestFn
from transforms.dedup.repeated_paragraphs import COUNTED, SeenParagraphs, SortedFn
from transforms.detector.detector import load_detector
from transforms.engine import counted
from transforms.engine.counted import _CountedFn, rows_of
from transforms.ingest.sources import Piece, Source, Split
from transforms.measures.measure import NeighboursFn
from transforms.mixture.balance import EdgesFn, ScoresFn, WeighedFn
from transforms.mixture.cells import Rule, count_scores, opinion, weigh
from transforms.mixture.config import RatioConfig
from transforms.mixture.selection import edges
from transforms.mixture.targets import aim
from transforms.release.review_queue import DISPUTED, QUEUED, FirstFn, QueueFn
from transforms.signals.store import SignalStore

PARTS = 6
ROOM = pathlib.Path(__file__).parents[2] / "transforms"
# Those whose law is held elsewhere: of the tally in measures/test_merge_order.py; of band keys it is that of `SeenFn`, which
# `SeenParagraphs` stands for; and the counting one is around each of the others here.
ELSEWHERE = {"TallyFn", "SeenBands", "SeenFn", "_CountedFn"}


class Case(NamedTuple):
    fn: beam.CombineFn
    inputs: list[Any]


def forest(_: pathlib.Path) -> Case:
    sides = [(np.arange(9) * k % 23, np.arange(9) * (k + 3) % 29) for k in range(1, PARTS + 1)]
    batches = [pa.RecordBatch.from_arrays([pa.array(s.astype(np.uint64)) for s in two], schema=EDGE) for two in sides]
    return Case(ForestFn(), batches)


def seen(folder: pathlib.Path) -> Case:
    store = SignalStore(str(folder), (("source 0", "one"),))
    splits = [Split(k, 0, (Piece(f"{k}", "text", "", 1, f"{k}"),), 1) for k in range(PARTS)]
    for split in splits:
        hashes = (np.arange(1, 40, dtype=np.uint64) * np.uint64(split.index + 1)) << np.uint64(50)
        columns = [pa.array(np.sort(hashes)), pa.array(1 + np.arange(len(hashes)) % 2)]
        store.write(split, [pa.RecordBatch.from_arrays(columns, schema=COUNTED)], COUNTED)
    return Case(SeenParagraphs(store, 16), splits)


def sorted_numbers(_: pathlib.Path) -> Case:
    return Case(SortedFn(), [np.arange(k, 60, PARTS, dtype=np.uint64) for k in range(PARTS)])


def rows(schema: pa.Schema, n: int, **columns: object) -> pa.RecordBatch:
    return filled(contracts.Contract("rows", schema), n, **columns)


def first(_: pathlib.Path) -> Case:
    parts = [
        rows(
            DISPUTED,
            8,
            doc_id=[bytes([k, i]) + bytes(14) for i in range(8)],
            split=[k] * 8,
            ordinal=range(8),
            conflict=[1 + i % 3 for i in range(8)],
        )
        for k in range(PARTS)
    ]
    return Case(FirstFn("salt", 5), parts)


def queue(_: pathlib.Path) -> Case:
    return Case(QueueFn(), [rows(QUEUED, 3, id=[f"{k}"] * 3, place=[k, k + 10, k + 20]) for k in range(PARTS)])


def neighbours(_: pathlib.Path) -> Case:
    _, parts = measured(corpus("a phrase of its own", 100), PARTS)
    return Case(NeighboursFn(), parts)


def mixture(step: str) -> Callable[[pathlib.Path], Case]:
    def case(_: pathlib.Path) -> Case:
        sources = tuple(Source(name=f"s{n:02d}", path="x") for n in range(SOURCES))
        config = RatioConfig.model_validate(CASES["floors and caps"])
        rule = Rule.of(config, sources, "salt", load_detector().calibration)
        offers = [offer(number, 300) for number in range(PARTS)]
        scores = [count_scores(one, rule) for one in offers]
        fn: beam.CombineFn = ScoresFn(rule)
        if step == "scores":
            return Case(fn, scores)
        thought = opinion(one_after_another(fn, scores), rule)
        weighed = [weigh(one, rule, thought) for one in offers]
        if step == "weighed":
            return Case(WeighedFn(), weighed)
        aimed = aim(one_after_another(WeighedFn(), weighed), rule, thought)
        return Case(EdgesFn(), [edges(one, rule, aimed) for one in offers])

    return case


def counts(_: pathlib.Path) -> Case:
    return Case(counted.CountsFn(), [("pairs", f"end {k % 2}", k, 2 * k) for k in range(PARTS)])


CASES_OF = {
    "CountsFn": counts,
    "ForestFn": forest,
    "SeenParagraphs": seen,
    "SortedFn": sorted_numbers,
    "FirstFn": first,
    "QueueFn": queue,
    "NeighboursFn": neighbours,
    "ScoresFn": mixture("scores"),
    "WeighedFn": mixture("weighed"),
    "EdgesFn": mixture("edges"),
}


def one_after_another(fn: beam.CombineFn, inputs: Iterable[Any]) -> Any:
    total = fn.create_accumulator()
    for one in inputs:
        total = fn.add_input(total, pickle.loads(pickle.dumps(one)))
    return fn.extract_output(total)


def plain(value: Any) -> Any:
    """What can be compared with `==`, to the last bit, whatever holds it."""
    if isinstance(value, pa.RecordBatch):
        return value.to_pydict()
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {repr(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Case, Any]]:
    made = {name: make(tmp_path_factory.mktemp(name)) for name, make in CASES_OF.items()}
    return {name: (case, plain(one_after_another(case.fn, case.inputs))) for name, case in made.items()}


def test_every_combiner_has_a_law() -> None:
    for path in ROOM.rglob("*.py"):
        if "CombineFn" in path.read_text():
            importlib.import_module(".".join(path.relative_to(ROOM.parent).with_suffix("").parts))
    known, waiting = set(), [beam.CombineFn]
    while waiting:
        for one in waiting.pop().__subclasses__():
            waiting.append(one)
            known |= {one.__name__} if one.__module__.startswith("transforms.") else set()
    assert known == CASES_OF.keys() | ELSEWHERE


@pytest.mark.parametrize("name", sorted(CASES_OF))
@settings(max_examples=20)
@given(data=st.data())
def test_any_order_and_any_tree_of_merges_give_one_output(
    cases: dict[str, tuple[Case, Any]], name: str, data: st.DataObject
) -> None:
    case, expected = cases[name]
    fn = _CountedFn(case.fn)
    coder = fn.get_accumulator_coder()
    totals = [fn.create_accumulator()]
    for number in data.draw(st.permutations(range(len(case.inputs)))):
        # More than one of them now and then: a worker that had nothing sends the accumulator of nothing.
        totals += [fn.create_accumulator() for _ in range(data.draw(st.integers(0, 2), label="other workers"))]
        totals[-1] = fn.add_input(totals[-1], pickle.loads(pickle.dumps(case.inputs[number])))
    while len(totals) > 1:
        at = data.draw(st.integers(0, len(totals) - 2), label="merge with the next")
        pair = [coder.decode(coder.encode(fn.compact(total))) for total in totals[at : at + 2]]
        totals[at : at + 2] = [fn.merge_accumulators(iter(pair))]
    output, elements, found = fn.extract_output(totals[0])
    assert plain(output) == expected
    assert (elements, found) == (len(case.inputs), sum(map(rows_of, case.inputs)))


@pytest.mark.parametrize("name", sorted(CASES_OF))
def test_merged_in_groups_first_it_is_the_same(
    cases: dict[str, tuple[Case, Any]], name: str, tmp_path: pathlib.Path
) -> None:
    """As the engine does it where there are very many splits, with its own steps in between."""
    case, expected = cases[name]
    found = tmp_path / "found"
    with beam.Pipeline(runner="FnApiRunner") as root:
        inputs = root | beam.Create(case.inputs, reshuffle=False).with_output_types(type(case.inputs[0]))
        together = counted.CombineGlobally("inputs", case.fn, without_defaults=True, most=counted.FAN_OUT_FROM)
        output = inputs | together
        assert "SplitHotCold" in str(root.to_runner_api())
        output | beam.Map(lambda output: found.write_bytes(pickle.dumps(plain(output))))
        root | counted.Total(str(tmp_path / "counts"))
    assert pickle.loads(found.read_bytes()) == expected
    counted.check(counted.counts(str(tmp_path / "counts")), {})
