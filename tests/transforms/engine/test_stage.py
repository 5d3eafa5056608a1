"""Beam checks the types of every collection that goes into a stage and comes out of it, and is shown its settings."""

import dataclasses
import pathlib
from typing import NamedTuple

import apache_beam as beam
import pytest
from apache_beam.transforms.display import DisplayData
from apache_beam.typehints import TypeCheckError

from transforms.dedup.candidates import DedupConfig
from transforms.engine.job_graph import JobGraph
from transforms.engine.stage import Stage


class Halves(NamedTuple):
    numbers: beam.PCollection[int]
    words: beam.PCollection[str]


@dataclasses.dataclass(eq=False)
class Swap(Stage):
    config: DedupConfig
    names: tuple[str, ...]
    long: str = "x" * 1000

    def expand(self, halves: Halves) -> tuple[beam.PCollection[str], beam.PCollection[int]]:
        return halves.words, halves.numbers


@dataclasses.dataclass(eq=False)
class Numbers(Stage):
    def expand(self, inputs: tuple[beam.PCollection[str], tuple[beam.PCollection[int], ...]]) -> beam.PCollection[int]:
        return inputs[1][0] if inputs[1] else inputs[0] | beam.Map(len)


@dataclasses.dataclass(eq=False)
class Liar(Stage):
    def expand(self, numbers: beam.PCollection[int]) -> Halves:
        return Halves(numbers, numbers)


def collections(root: beam.Pipeline) -> Halves:
    numbers = root | "Numbers" >> beam.Create([1]).with_output_types(int)
    return Halves(numbers, root | "Words" >> beam.Create(["a"]).with_output_types(str))


def test_each_input_and_each_output_has_its_type(caplog: pytest.LogCaptureFixture) -> None:
    numbers, words = collections(beam.Pipeline(runner="DirectRunner"))
    swapped = Halves(numbers, words) | Swap(DedupConfig(), ())
    assert [one.element_type for one in swapped] == [str, int]
    assert ((words, (numbers,)) | "One" >> Numbers()).element_type is int
    assert ((words, ()) | "None" >> Numbers()).element_type is int
    assert not [record for record in caplog.records if "will be ignored" in record.message]


def test_a_collection_of_another_type_is_refused_wherever_it_is() -> None:
    numbers, words = collections(beam.Pipeline(runner="DirectRunner"))
    with pytest.raises(TypeCheckError, match="position 0"):
        _ = Halves(words, words) | "TwoWords" >> Swap(DedupConfig(), ())
    with pytest.raises(TypeCheckError, match="position 1"):
        _ = Halves(numbers, numbers) | "TwoNumbers" >> Swap(DedupConfig(), ())
    with pytest.raises(TypeCheckError, match="expected <class 'int'>"):
        _ = (words, (words,)) | "Nested" >> Numbers()
    with pytest.raises(TypeCheckError, match="Output type hint violation"):
        _ = numbers | "Lies" >> Liar()


def test_its_settings_are_shown_and_nothing_long() -> None:
    (item,) = DisplayData.create_from(Swap(DedupConfig(), ("a", "b"))).items
    assert {"config.bands=14", "config.paragraphs.remove=False", "names=2"} < set(item.value.split(", "))
    assert "long" not in item.value


def test_a_pipeline_that_is_not_run_leaves_no_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither ours, nor one of Beam's in a test."""
    ours, beams = JobGraph(runner="DirectRunner"), beam.Pipeline(runner="DirectRunner")
    assert not pathlib.Path(ours.local_tempdir).exists()
    assert pathlib.Path(beams.local_tempdir).is_relative_to(tmp_path_factory.getbasetemp())
