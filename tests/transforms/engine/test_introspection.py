"""Beam looks at a function and at its options once, and finds what it found before."""

import collections
import functools
import inspect

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions, TypeOptions
from apache_beam.runners.portability.fn_api_runner import worker_handlers
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms import core, userstate
from apache_beam.typehints import decorators, typehints
from apache_beam.typehints.decorators import IOTypeHints

from transforms.engine import introspection


class Twice(beam.DoFn):
    def process(self, element: int, at=beam.DoFn.TimestampParam, times: int = 2):  # type: ignore[no-untyped-def]
        yield element * times


class Counting(beam.DoFn):
    STATE = beam.DoFn.StateParam(userstate.CombiningValueStateSpec("n", sum))

    def process(self, pair: tuple[int, int], state=STATE):  # type: ignore[no-untyped-def]
        yield pair


class Wrong(beam.DoFn):
    def process(self, element: str) -> int:  # type: ignore[override]
        yield 1
        return [element]


SEEN: list[int] = []


def see(number: int) -> None:
    SEEN.append(number)


@pytest.fixture(autouse=True)
def _remembers() -> None:
    introspection.remember()
    before = core.get_function_args_defaults, userstate.get_dofn_specs, IOTypeHints.from_callable
    introspection.remember()  # and nothing is wrapped twice
    assert before == (core.get_function_args_defaults, userstate.get_dofn_specs, IOTypeHints.from_callable)
    for remembering in before:
        remembering.answers.clear()


def test_a_run_looks_at_every_method_once_and_at_every_kind_of_options_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked, made = collections.Counter(), collections.Counter()
    signature, init = decorators.get_signature, PipelineOptions.__init__

    def counted_signature(function: object) -> inspect.Signature:
        if inspect.ismethod(function):
            looked[function.__func__] += 1
        return signature(function)

    def counted_init(self: PipelineOptions, *args: object, **options: object) -> None:
        made[type(self)] += 1
        init(self, *args, **options)

    monkeypatch.setattr(core, "get_signature", counted_signature)
    monkeypatch.setattr(PipelineOptions, "__init__", counted_init)
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        numbers = pipeline | beam.Create([1, 2])
        for step in range(5):
            numbers = numbers | f"Twice {step}" >> beam.ParDo(Twice())
        numbers | beam.Map(see)
    assert sorted(SEEN) == [32, 64]
    assert looked[Twice.process] == 1
    assert made[TypeOptions] <= 2  # the launcher and the worker have options of their own: 60 without it


def test_a_method_has_the_arguments_that_it_had() -> None:
    for _ in range(2):
        names, defaults = core.get_function_args_defaults(Twice().process)
        assert (names, defaults) == (["element", "at", "times"], [beam.DoFn.TimestampParam, 2])
        names.clear()  # what is given is the asker's own
        assert core.get_function_args_defaults(Twice.process)[0] == ["self", "element", "at", "times"]
        assert core.get_function_args_defaults(len)[0] == ["obj"]


def test_state_is_still_found() -> None:
    for _ in range(2):
        assert userstate.is_stateful_dofn(Counting())
        assert not userstate.is_stateful_dofn(Twice())
    called = [core.CallableWrapperDoFn(lambda pair, times=times: [pair * times]) for times in (2, beam.DoFn.KeyParam)]
    for _ in range(2):
        assert [core.get_function_arguments(one, "process")[1] for one in called] == [[2], [beam.DoFn.KeyParam]]


def test_types_are_found_where_they_are_said_and_only_there() -> None:
    def said(number: int) -> str:
        return str(number)

    for _ in range(2):
        assert Twice().get_type_hints().input_types == ((int, typehints.Any, int), {})
        assert IOTypeHints.from_callable(said).simple_output_type("") is str
        assert IOTypeHints.from_callable(Wrong().process).simple_output_type("") is int
        assert IOTypeHints.from_callable(lambda number: number) is None
        assert IOTypeHints.from_callable(functools.wraps(said)(lambda number: number)).simple_output_type("") is str


def test_a_function_that_yields_and_returns_is_found_every_time() -> None:
    for _ in range(2):
        assert core._check_fn_use_yield_and_return(Wrong().process)
        assert not core._check_fn_use_yield_and_return(Twice().process)


def test_the_local_worker_keeps_no_side_input_twice_and_they_are_read_as_often_as_they_are_asked_for() -> None:
    assert worker_handlers.STATE_CACHE_SIZE_MB == 0
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        side = beam.pvalue.AsIter(pipeline | "Side" >> beam.Create([10, 20]))
        sums = pipeline | beam.Create([1, 2]) | beam.Map(lambda n, more: (n + sum(more), n + sum(more)), side)
        assert_that(sums, equal_to([(31, 31), (32, 32)]))


def test_what_is_set_in_one_view_is_seen_in_all() -> None:
    options = PipelineOptions(["--runner=FnApiRunner"])
    options.view_as(StandardOptions).runner = "Another"
    assert options.view_as(StandardOptions).runner == "Another"
    assert options.view_as(TypeOptions).view_as(StandardOptions).runner == "Another"
    assert PipelineOptions(["--runner=FnApiRunner"]).view_as(StandardOptions).runner == "FnApiRunner"
