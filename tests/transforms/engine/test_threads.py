"""Work beside other work has the outcome of the same work one after the other."""

import time

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that
from apache_beam.typehints import with_output_types
from hypothesis import given
from hypothesis import strategies as st

from transforms.engine.threads import THREADS, Beside, ahead, spread


def slow_if_early(number: int) -> int:
    """The sooner an item came, the longer it takes."""
    time.sleep(0.02 / (1 + number))
    if number == 13:
        raise ValueError("thirteen")
    return -number


@given(st.lists(st.integers(0, 12), max_size=9))
def test_items_come_in_order(numbers):
    assert list(ahead(iter(numbers))) == numbers
    assert list(spread(slow_if_early, iter(numbers))) == [-n for n in numbers]


def test_an_error_comes_where_its_item_would_have():
    found = []
    with pytest.raises(ValueError, match="thirteen"):
        found.extend(spread(slow_if_early, iter([1, 2, 13, 4])))
    items = spread(slow_if_early, iter([1, 2, 13, 4]))
    assert [next(items), next(items)] == [-1, -2]


@with_output_types(int)
class Negative(Beside[int, int]):
    def work(self, element: int, *_: object) -> tuple[int]:
        return (slow_if_early(element),)


@given(st.lists(st.integers(0, 12), max_size=9))
def test_a_dofn_that_works_beside_itself_gives_the_outputs_of_a_bundle_in_order(numbers):
    dofn = Negative()
    dofn.start_bundle()
    found = [one for number in numbers for one in dofn.process(number)]
    assert len(numbers) - len(found) <= THREADS
    found += [windowed.value for windowed in dofn.finish_bundle()]
    assert found == [-n for n in numbers]


@pytest.mark.parametrize("numbers", [[], [3], list(range(12))])
def test_in_a_pipeline_nothing_is_lost(numbers):
    with beam.Pipeline(runner="FnApiRunner") as root:
        found = root | beam.Create(numbers).with_output_types(int) | beam.ParDo(Negative())
        assert found.element_type is int
        assert_that(found, lambda got: got == [-n for n in numbers] or pytest.fail(f"{got}"))


def test_in_a_pipeline_an_error_is_an_error():
    with pytest.raises(Exception, match="thirteen"), beam.Pipeline(runner="FnApiRunner") as root:
        _ = root | beam.Create([1, 13, 2]) | beam.ParDo(Negative())
