"""The whole flow, on one screen. Every edge is typed; a test walks the graph and fails on `Any`."""

import dataclasses
import datetime
from collections.abc import Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa

from expectations import contracts
from expectations.suite.suite import Suite
from pipeline.publish import Publication, Publish
from pipeline.recipe import Recipe
from transforms.dedup.candidates import FindClusters
from transforms.dedup.repeated_paragraphs import BoilerplateConfig, FindBoilerplate
from transforms.dedup.survivors import ChooseSurvivors
from transforms.engine import counted
from transforms.ingest.sources import Split
from transforms.kernels.text.columns import split_by
from transforms.measures.input_loss import NotRead
from transforms.measures.measure import Measure
from transforms.measures.reference import Asked
from transforms.mixture.balance import Balance, Decided, Rule
from transforms.mixture.left_by_dedup import Offer, OfferStore
from transforms.origin.attribute import Attribute, attributed
from transforms.origin.review_labels import Reviewed
from transforms.release.gate import Gate
from transforms.release.ledger import Record
from transforms.release.review_queue import Review
from transforms.release.shards import Emit, EmitConfig
from transforms.survey.survey import Survey, SurveyConfig


@dataclasses.dataclass(frozen=True)
class Job:
    """A recipe, and what the launcher found out about it before the run."""

    recipe: Recipe
    suite: Suite
    params: tuple[tuple[str, float], ...]
    splits: tuple[Split, ...]
    unread: tuple[NotRead, ...]  # what lies beside the input
    earlier: tuple[Split, ...]  # signatures of the releases that the recipe is compared with
    reviewed: Reviewed | None  # what people said of documents
    boilerplate: BoilerplateConfig | None  # None: no paragraph is removed
    survey: SurveyConfig
    emit: EmitConfig
    offers: OfferStore  # what dedup left, for the mixture
    rule: Rule
    held_against: Asked  # the reference of diversity
    publication: Publication
    today: datetime.date  # that waivers of the suite are held against


def decide(root: beam.Pipeline, job: Job) -> tuple[beam.PCollection[Decided], beam.PCollection[np.ndarray] | None]:
    """From files to the decisions of dedup, split by split; and the paragraphs that are removed, if any are."""
    recipe, splits, store = job.recipe, job.splits, job.survey.store
    sources, limits = recipe.sources, recipe.ingest.limits
    all_splits = splits + job.earlier

    # fmt: off
    tasks      = root | "Splits" >> counted.Create("splits", splits, Split) | "Spread" >> counted.Reshuffle("splits to workers")
    unwanted   = tasks | "Boilerplate" >> FindBoilerplate(job.boilerplate, splits) if job.boilerplate else None
    surveyed   = tasks | "Survey" >> Survey(job.survey, unwanted)                        # the text is read here
    earlier    = root | "Earlier" >> counted.Create("splits of earlier releases", job.earlier, Split)
    compared   = (surveyed, earlier) | "Both" >> counted.Flatten("splits to compare")
    labels     = compared | "FindClusters" >> FindClusters(recipe.dedup, store, all_splits)
    candidates = compared | "Attribute" >> Attribute(
        store, recipe.detector.model, sources, recipe.evidence.date_cutoff, job.reviewed)
    unique     = candidates | "ChooseSurvivors" >> ChooseSurvivors(
        recipe.dedup, sources, all_splits, store, limits, labels, unwanted)
    none_yet   = surveyed | "EverySplit" >> beam.ParDo(_NoDecision())                    # also one without documents
    with_empty = (unique | "BySplit" >> beam.ParDo(_BySplit()), none_yet) | "All" >> counted.Flatten("decisions of splits")
    by_split   = with_empty | "Group" >> counted.GroupByKey("decisions by split")
    decided    = by_split | "Offer" >> Offer(job.offers, splits, job.survey.systems.systems, sources)
    # fmt: on
    candidates | "Attributed" >> counted.RowsOf("documents to their decisions", counted.SENT, attributed)
    decided | "Decided" >> counted.RowsOf("documents to their decisions", counted.ARRIVED)
    return decided, unwanted


def build(root: beam.Pipeline, job: Job) -> beam.PCollection[str]:
    """Put the flow on a pipeline. The one element that comes out is the path of what was published."""
    recipe, splits, store = job.recipe, job.splits, job.survey.store

    # fmt: off
    decided, unwanted = decide(root, job)
    balanced, mixture = decided | "Balance" >> Balance(job.rule, job.offers, splits)
    recorded   = balanced | "Record" >> Record(recipe.sources, splits, store, job.emit.staging)
    metrics, sketches = balanced | "Measure" >> Measure(
        recipe.sources, splits, store, recipe.detector.model, recipe.detector.cross_check, mixture, job.survey.systems,
        recipe.dedup.undecided_below, job.held_against, recipe.dedup.min_similarity, job.unread)
    review     = balanced | "Review" >> Review(
        recipe.sources, splits, store, recipe.ingest.limits, recipe.salt, recipe.evidence.queue)
    verdict    = metrics | "Gate" >> Gate(job.suite, job.params, job.today)
    shards     = recorded | "Emit" >> Emit(job.emit, verdict, unwanted)                  # and here again, if it passed
    balanced | "Balanced" >> counted.RowsOf("decisions to the ledger", counted.SENT)
    recorded | "Recorded" >> counted.RowsOf("decisions to the ledger", counted.ARRIVED)
    return verdict | "Publish" >> Publish(job.publication, metrics, sketches, recorded, shards, review)  # the manifest last
    # fmt: on


class _BySplit(beam.DoFn):
    def process(self, decisions: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
        yield from split_by(decisions["split"].to_numpy(), decisions)


class _NoDecision(beam.DoFn):
    def process(self, split: Split) -> Iterator[tuple[int, pa.RecordBatch]]:
        yield split.index, contracts.DECISION.empty()
