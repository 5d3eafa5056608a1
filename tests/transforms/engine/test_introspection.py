"""Beam looks at a function and at its options once, and finds what it found before."""

import collections
import inspect
import weakref

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions, TypeOptions
from apache_beam.transforms import core, userstate
from apache_beam.typehints import decorators

from transforms.engine import introspection


class Twice(beam.DoFn):
    def process(self, element: int, at=beam.DoFn.TimestampParam, times: int = 2):  # type: ignore[no-untyped-def]
        yield element * times


class Counting(beam.DoFn):
    STATE = beam.DoFn.StateParam(userstate.CombiningValueStateSpec("n", sum))

    def process(self, pair: tuple[int, int], state=STATE):  # type: ignore[no-untyped-def]
        yield pair


SEEN: list[int] = []


def see(number: int) -> None:
    SEEN.append(number)


@pytest.fixture(autouse=True)
def _remembers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(introspection, "_signatures", weakref.WeakKeyDictionary())
    introspection.remember()
    introspection.remember()  # and nothing is wrapped twice


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
    assert userstate.is_stateful_dofn(Counting())
    assert not userstate.is_stateful_dofn(Twice())


def test_what_is_set_in_one_view_is_seen_in_all() -> None:
    options = PipelineOptions(["--runner=FnApiRunner"])
    options.view_as(StandardOptions).runner = "Another"
    assert options.view_as(StandardOptions).runner == "Another"
    assert options.view_as(TypeOptions).view_as(StandardOptions).runner == "Another"
    assert PipelineOptions(["--runner=FnApiRunner"]).view_as(StandardOptions).runner == "FnApiRunner"
