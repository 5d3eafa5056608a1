"""The whole flow, on one screen. Every edge is typed; a test walks the graph and fails on `Any`."""

import dataclasses
import datetime
from collections.abc import Iterator
from typing import NamedTuple

import apache_beam as beam

from expectations import contracts
from expectations.suite.suite import Suite
from pipeline.assembly import Made, Publication, Publish
from pipeline.recipe import Recipe
from transforms.dedup.candidates import FindClusters
from transforms.dedup.clusters import dedup_parts
from transforms.dedup.repeated_paragraphs import BoilerplateConfig, FindBoilerplate
from transforms.dedup.survivors import ChooseSurvivors
from transforms.engine import counted
from transforms.engine.threads import spread
from transforms.exclusions.exclusions import Exclusions
from transforms.ingest.paragraph_removal import MaybeUnwanted
from transforms.ingest.sources import Split, Splits
from transforms.measures.kept_vocabularies import VOCABULARIES
from transforms.measures.measure import Measure
from transforms.measures.metrics import MeasureConfig
from transforms.measures.unread_input import NotRead
from transforms.mixture.balance import Balance, Decided, Rule
from transforms.mixture.left_by_dedup import DecidedBefore, Offer, decisions_of, was_decided
from transforms.origin.attribute import Attribute, attributed
from transforms.origin.review_labels import Reviewed
from transforms.release.earlier_shards import find_files
from transforms.release.gate import Gate
from transforms.release.kept_measures import (
    MEASURES,
    KeepMeasures,
    MeasuredBefore,
    Measures,
    MeasuresAndLedger,
    RecordedBefore,
    recorded_before,
)
from transforms.release.ledger import Record
from transforms.release.review_queue import Review
from transforms.release.shards import Emit, EmitConfig
from transforms.signals.corpus import BySplit, Corpus
from transforms.signals.kept import Kept
from transforms.survey.text_to_signals import Survey, SurveyConfig


@dataclasses.dataclass(frozen=True)
class Job:
    """A recipe, and what the launcher found out about it before the run."""

    recipe: Recipe
    suite: Suite
    params: tuple[tuple[str, float], ...]
    corpus: Corpus
    earlier: Splits  # signatures of the releases that the recipe is compared with
    reviewed: Reviewed | None  # what people said of documents
    exclusions: Exclusions  # what may not be in the release
    boilerplate: BoilerplateConfig | None  # None: no paragraph is removed
    survey: SurveyConfig
    decisions: Kept  # of dedup
    rule: Rule
    measure: MeasureConfig
    measures: Kept
    emit: EmitConfig
    publication: Publication
    today: datetime.date  # that waivers of the suite are held against
    is_decided: bool = False  # dedup's decisions are kept, of this very corpus
    is_measured: bool = False  # and so are the measures
    is_recorded: bool = False  # and the ledger
    is_released: bool = False  # and earlier releases have the shards
    has_words: bool = False  # or what all documents say, whatever the mixture

    @property
    def splits(self) -> Splits:
        """What is read."""
        return self.corpus.splits

    @property
    def unread(self) -> tuple[NotRead, ...]:
        """What lies beside it."""
        return self.measure.unread


class Decisions(NamedTuple):
    """The decisions of dedup, split by split; and the paragraphs that are removed, if any are."""

    decided: beam.PCollection[Decided]
    unwanted: MaybeUnwanted


def with_what_is_kept(job: Job) -> Job:
    """The job, with what earlier runs left for it: results (transforms/signals/kept.py), and shards in their releases.

    It is asked while nobody may clean the store.
    """
    kept, splits = job.decisions, job.splits
    is_decided = all(spread(lambda split: was_decided(kept, split), iter(splits)))
    made_of = decisions_of(kept, splits) if is_decided else None
    is_measured, has_words = job.measures.has(MEASURES, made_of), kept.has(VOCABULARIES, made_of)
    emit = dataclasses.replace(job.emit, released=find_files(job.publication.output))
    recorded = recorded_before(job.measures, splits) if is_measured else []
    is_released = bool(recorded) and all(spread(kept.signals.has_quarantine, iter(splits)))
    is_released = is_released and emit.has_all(recorded, kept.signals)
    return dataclasses.replace(
        job,
        is_decided=is_decided,
        is_measured=is_measured,
        is_recorded=bool(recorded),
        is_released=is_released,
        has_words=has_words,
        emit=emit,
    )


class Surveyed(NamedTuple):
    """Splits that have signals; and the paragraphs that are removed, if any are."""

    splits: beam.PCollection[Split]
    unwanted: MaybeUnwanted


def survey(root: beam.Pipeline, job: Job) -> Surveyed:
    """From files to signals."""
    tasks = root | "Splits" >> counted.Create("splits", job.splits, Split)
    unwanted = (tasks | "Boilerplate" >> FindBoilerplate(job.boilerplate, job.corpus),) if job.boilerplate else ()
    if job.is_released:
        return Surveyed(tasks, unwanted)  # whoever reads signals all the same verifies them
    return Surveyed((tasks, unwanted) | "Survey" >> Survey(job.survey, job.corpus), unwanted)  # the text is read here


def decide(root: beam.Pipeline, job: Job) -> Decisions:
    """From files to the decisions of dedup."""
    recipe, corpus = job.recipe, job.corpus
    surveyed, unwanted = survey(root, job)
    and_earlier = corpus.with_earlier(job.earlier)
    parts = dedup_parts(and_earlier, recipe.runner.dedup_parts)
    known = Attribute(corpus, job.survey.detector, recipe.evidence.date_cutoff, job.reviewed, job.exclusions)

    # fmt: off
    if job.is_decided:
        surveyed | "Surveyed" >> counted.RowsOf("documents to their decisions", counted.SENT, corpus.store.count)
        decided = surveyed | "Decided" >> DecidedBefore(job.decisions)
        decided | "Arrived" >> counted.RowsOf("documents to their decisions", counted.ARRIVED)
        return Decisions(decided, unwanted)
    compared   = surveyed                                                       # as they come, beside those at work
    if job.earlier:
        earlier  = root | "Earlier" >> counted.Create("splits of earlier releases", job.earlier, Split)
        compared = (surveyed, earlier) | "Both" >> counted.Flatten("splits to compare")
    labels     = compared | "FindClusters" >> FindClusters(recipe.dedup, and_earlier, parts)
    candidates = compared | "Attribute" >> known
    unique     = (candidates, labels, unwanted) | "ChooseSurvivors" >> ChooseSurvivors(recipe.dedup, and_earlier, parts)
    none_yet   = surveyed | "EverySplit" >> beam.ParDo(_NoDecision())                    # also one without documents
    with_empty = (unique | "BySplit" >> beam.ParDo(BySplit()), none_yet) | "All" >> counted.Flatten("decisions of splits")
    by_split   = with_empty | "Group" >> counted.GroupByKey("decisions by split")
    decided    = (by_split, surveyed) | "Offer" >> Offer(job.decisions, corpus, job.survey.systems.systems)
    # fmt: on
    candidates | "Attributed" >> counted.RowsOf("documents to their decisions", counted.SENT, attributed)
    decided | "Decided" >> counted.RowsOf("documents to their decisions", counted.ARRIVED)
    return Decisions(decided, unwanted)


def build(root: beam.Pipeline, job: Job) -> beam.PCollection[str]:
    """Put the flow on a pipeline. The one element that comes out is the path of what was published."""
    recipe, corpus = job.recipe, job.corpus

    # fmt: off
    if job.is_recorded:
        surveyed, unwanted = survey(root, job)
        recorded = surveyed | "RecordedBefore" >> RecordedBefore(job.measures, job.emit.staging)
    else:
        decided, unwanted = decide(root, job)
        balanced = decided | "Balance" >> Balance(job.rule, job.decisions, corpus.splits)
        decisions = balanced.decisions
        recorded = decisions | "Record" >> Record(corpus, job.emit.staging, job.measures, job.survey.against)
        decisions | "Balanced" >> counted.RowsOf("decisions to the ledger", counted.SENT)
        recorded | "Recorded" >> counted.RowsOf("decisions to the ledger", counted.ARRIVED)
    if job.is_measured:
        found  = root | "Once" >> beam.Impulse() | "Measured" >> MeasuredBefore(job.measures)
    else:
        measured = balanced | "Measure" >> Measure(job.measure, corpus, job.decisions, job.emit.staging, job.has_words)
        review = decisions | "Review" >> Review(corpus, recipe.salt, recipe.evidence.queue, job.publication.texts)
        found  = Measures(measured.metrics, measured.sketches, review)
        MeasuresAndLedger(*found, recorded) | "KeepMeasures" >> KeepMeasures(job.measures, job.decisions, corpus.splits)
    verdict    = found.metrics | "Gate" >> Gate(job.suite, job.params, job.today)
    shards     = (recorded, verdict, unwanted) | "Emit" >> Emit(job.emit, corpus)        # and here again, if it passed
    made       = Made(verdict, found.metrics, found.sketches, recorded, shards, found.review)
    return made | "Publish" >> Publish(job.publication.located())                               # the manifest last
    # fmt: on


class _NoDecision(beam.DoFn):
    def process(self, split: Split) -> Iterator[Decided]:
        yield split.index, contracts.DECISION.empty()
