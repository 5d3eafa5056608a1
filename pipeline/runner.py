"""From a recipe to an exit code: plan, run the graph, say what came of it."""

import dataclasses
import datetime
import itertools
import os
import posixpath
import re
import unicodedata
import uuid
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from expectations import contracts, wording
from expectations.judge.verdict import Verdict
from expectations.loading import as_yaml
from expectations.storage import StorageError
from expectations.structures.structure import Classifier
from expectations.structures.system import StructuresError, System
from expectations.structures.systems_file import load_systems, systems_yaml
from expectations.suite.suite import Suite, load_suite
from expectations.versions import version
from pipeline.assembly import Publication
from pipeline.dependencies import boilerplate, code, decided_by, measured_by, shown_by, signal_store
from pipeline.engines import load_engine, refuse_unsafe
from pipeline.execution import RunError, execute, n_bytes, n_files, put_in
from pipeline.graph import Job, build, with_what_is_kept
from pipeline.jobs import SentJob, endpoint_of
from pipeline.places import STAGING, can_be_a_folder, refuse_inputs_as_outputs, refuse_unseen
from pipeline.recipe import Recipe, RecipeError, rebased
from pipeline.redaction import redact_options, without_passwords
from pipeline.swap import releasing, store_in_use, swap
from transforms.dedup.earlier_releases import plan_earlier
from transforms.detector.detector import load_detector
from transforms.engine import files
from transforms.engine.threads import THREADS
from transforms.exclusions.contamination import Items, load_items
from transforms.exclusions.exclusions import Exclusions
from transforms.exclusions.removals import TOMBSTONES, Removals, for_manifest, read_removals
from transforms.ingest.sources import Split, Splits, files_by_source, plan
from transforms.kernels.similarity import minhash
from transforms.kernels.statistics.structures import Cores
from transforms.measures.metrics import MeasureConfig
from transforms.measures.reference import load_reference
from transforms.measures.unread_input import not_read
from transforms.mixture.balance import Rule
from transforms.origin.review_labels import Reviewed, read_reviewed
from transforms.origin.watermarks import fingerprint
from transforms.origin.witnesses import Witnesses, load_witnesses
from transforms.release.gate import with_rules
from transforms.release.read_release import (
    counts,
    ledger_batches,
    ledger_files,
    read_manifest,
    read_metrics,
    read_verdict,
)
from transforms.release.shards import EmitConfig
from transforms.signals.corpus import Corpus
from transforms.signals.kept import Kept
from transforms.structures.classify import with_samples
from transforms.structures.find import Systems
from transforms.structures.shares import from_metrics
from transforms.survey.text_to_signals import SurveyConfig
from transforms.survey.tokenizers import TokenizerModel, load_tokenizer

PASSED, FAILED, WRONG, UNUSABLE, BROKE = range(5)  # exit codes


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of a run."""

    exit_code: int
    folder: str
    verdict: Verdict
    counts: dict[str, int]


def day(text: str | None) -> datetime.date:
    """The day that waivers are held against: `text`, or today's in UTC.

    Raises:
      RecipeError: it is no date.
    """
    try:
        return datetime.datetime.now(datetime.UTC).date() if text is None else datetime.date.fromisoformat(text)
    except ValueError:
        raise RecipeError(f"--today {text}: not a date; write it as 2027-01-31") from None


def prepare(recipe: Recipe, base_dir: str, today: str | None = None) -> Job:
    """Everything that is found out before the run: the splits, the suite, the detector, where things go.

    Raises:
      InputError, SuiteError, DetectorError, PhraseError, WatermarkError, LabelError: the recipe does not fit the world.
    """
    date = day(today)
    refuse_unsafe(recipe.runner)
    load_engine(recipe.runner)
    refuse_unseen(recipe)
    located = rebased(recipe, os.getcwd())  # as workers are told: they may work in another folder
    can_be_a_folder(recipe.output.path)
    own = load_suite(recipe.expectations, base_dir)
    systems = with_samples(load_systems(recipe.structures, base_dir))
    suite = with_rules(own, **rules_of(recipe), systems=systems)
    params = suite_params(recipe)
    suite.resolve(params)  # a suite that cannot be resolved is refused before any work
    detector = load_detector(recipe.detector.model)
    held_against = load_reference(recipe.reference, recipe.output.path)
    planned = plan(recipe.sources, recipe.ingest.split_bytes)
    splits, few_splits = planned.splits, len(planned.splits) < THREADS
    refuse_inputs_as_outputs(recipe, base_dir, splits)
    earlier = Splits(plan_earlier(recipe.dedup.against, _signature(recipe), len(splits)))
    checker = load_detector(recipe.detector.cross_check) if recipe.detector.cross_check else None
    detectors = detector.sha256 + (checker.sha256 if checker else "")
    witnesses = load_witnesses(recipe.evidence)
    looked_for = _looked_for(_located(systems))
    items = load_items(recipe.contamination) if recipe.contamination.against else None
    tokenizer = load_tokenizer(recipe.tokenizer) if recipe.tokenizer else None
    unit = wording.TOKENS if tokenizer else wording.WORDS
    store = signal_store(located, detectors, witnesses, splits, looked_for, items, tokenizer)
    corpus = Corpus(recipe.sources, splits, store, recipe.ingest.limits, recipe.personal_data.mask)
    staging = posixpath.join(recipe.output.path, STAGING, f"{recipe.release}-{uuid.uuid4().hex}")
    reviewed = read_reviewed(recipe.review)
    removals = read_removals(recipe.removals, corpus.names)
    if detector.calibration is None and recipe.ratio.count == "estimate":
        raise RecipeError("ratio.count: estimate needs a detector with a calibration; use upper_bound or labelled")
    earlier_human = _earlier_human(recipe, tokenizer)
    rule = Rule.of(recipe.ratio, recipe.sources, recipe.salt, detector.calibration, earlier_human, systems, unit)
    measure = MeasureConfig(
        detector=located.detector.model,
        cross_check=located.detector.cross_check,
        systems=looked_for,
        undecided_below=recipe.dedup.undecided_below,
        near=recipe.dedup.min_similarity,
        reference=held_against,
        unread=not_read(recipe.sources, planned.found),
        against=items,
        unit=unit,
        lineage=_names(recipe, "derived_from") or _names(recipe, "verifier"),
        mask=recipe.personal_data.mask,
    )
    decided = decided_by(recipe, splits, earlier, reviewed, removals, systems)
    return Job(
        recipe=recipe,
        suite=suite,
        params=tuple(sorted(params.items())),
        corpus=corpus,
        earlier=earlier,
        reviewed=reviewed,
        exclusions=Exclusions(items is not None and recipe.contamination.on_match == "drop", removals, recipe.licences),
        boilerplate=boilerplate(located, few_splits) if recipe.dedup.paragraphs.remove else None,
        survey=SurveyConfig(
            detector=located.detector.model,
            cross_check=located.detector.cross_check,
            evidence=located.evidence,
            ngram=recipe.dedup.ngram,
            num_perm=recipe.dedup.num_perm,
            systems=looked_for,
            against=items,
            tokenizer=(located.tokenizer, tokenizer.sha256) if located.tokenizer and tokenizer else None,
            personal_data=recipe.personal_data.is_counted,
            mask=recipe.personal_data.mask,
            few_splits=few_splits,
        ),
        decisions=Kept(store, decided),
        rule=rule,
        measure=measure,
        measures=Kept(store, measured_by(recipe, decided, systems, measure, earlier_human)),
        emit=EmitConfig(recipe.output, files.absolute(staging), recipe.dedup.num_perm, code()),
        publication=Publication(
            output=recipe.output.path,
            release=recipe.release,
            staging=staging,
            recipe=resolved(recipe),
            suite=resolved(own),
            about=_about(
                recipe, splits, detector.sha256, witnesses, suite, systems, reviewed, items, removals, tokenizer
            ),
            corpus=corpus,
            tombstones=tuple(split.pieces[0] for split in earlier if split.pieces[0].format == TOMBSTONES),
            structures=systems_yaml(systems) if systems else "",
            texts=Kept(store, shown_by(recipe)),
        ),
        today=date,
    )


def _names(recipe: Recipe, field: str) -> bool:
    """Whether a source has a column that says of what its documents were made (`derived_from`), or who accepted them."""
    return any(getattr(source.fields, field) for source in recipe.sources)


def rules_of(recipe: Recipe) -> dict[str, bool]:
    """Which rules a recipe puts before its suite: keywords of `with_rules`."""
    return {
        "fail_on_shortage": recipe.ratio.on_shortage == "fail",
        "fail_on_source_loss": recipe.dedup.on_source_loss == "fail",
        "has_limits": not recipe.ratio.is_budget_only,
        "has_reference": recipe.reference is not None,
        "has_lineage": _names(recipe, "derived_from"),
        "has_verifier": _names(recipe, "verifier"),
        "fail_on_contamination": bool(recipe.contamination.against) and recipe.contamination.on_match == "fail",
    }


def _earlier_human(recipe: Recipe, tokenizer: TokenizerModel | None) -> int:
    """The human text of the earlier releases, in the unit of the ratio, as their ledgers say. A document counts once, in however
    many releases it is.

    Raises:
      RecipeError: they were counted in another unit.
    """
    parts, sha256 = [], tokenizer.sha256 if tokenizer else None
    for release in recipe.dedup.against if recipe.ratio.retain_human is not None else ():
        theirs = read_manifest(release)[0].get("tokenizer") or {}
        if recipe.ratio.unit == "tokens" and theirs.get("sha256") != sha256:
            counted_by = f"the tokenizer {theirs['name']}" if theirs else "words"
            raise RecipeError(
                f"ratio.retain_human: {release} was counted by {counted_by}, which this recipe's `tokenizer` is not; use the "
                "same, or `ratio.unit: documents`"
            )
        for path in ledger_files(release):
            for rows in ledger_batches(path, ["id", "kept", "origin", "n_tokens"]):
                held = rows.filter(pc.and_(rows["kept"], pc.equal(rows["origin"], "human")))
                parts.append(held.select(["id", "n_tokens"]))
    if not parts:
        return 0
    once = pa.Table.from_batches(parts).group_by("id").aggregate([("n_tokens", "max")])
    return once.num_rows if recipe.ratio.unit == "documents" else pc.sum(once["n_tokens_max"]).as_py() or 0


def _located(systems: tuple[System, ...]) -> tuple[System, ...]:
    """The systems with the files of classifiers where a worker finds them."""

    def located(one: Any) -> Any:
        is_file = isinstance(one, Classifier) and one.model is not None
        return one.model_copy(update={"model": files.absolute(one.model)}) if is_file else one

    return tuple(one.model_copy(update={"structures": tuple(map(located, one.structures))}) for one in systems)


def _looked_for(systems: tuple[System, ...]) -> Systems:
    """The systems, with what the releases that they name say of them."""

    def reference(system: System) -> Cores | None:
        folder = system.reference.release
        if folder is None:
            return None
        if not files.exists(posixpath.join(folder, "metrics.parquet")):
            raise StructuresError(
                f"structures: system {system.id!r}: {folder} is not a release (it has no metrics.parquet)"
            )
        return from_metrics(read_metrics(folder), system, folder)

    found = Systems(systems, tuple(map(reference, systems)))
    assert found.words is None or len(found.words.owner)  # built here, so that a bad term is refused before any work
    return found


def suite_params(recipe: Recipe) -> dict[str, float]:
    """The numbers of a recipe that a suite may name as `$parameter`."""
    return {
        "max_synthetic_share": recipe.ratio.max_synthetic_share,
        "max_bad_fraction": recipe.ingest.max_bad_fraction,
        "max_source_loss": recipe.dedup.max_source_loss,
    }


def resolved(what: Recipe | Suite) -> str:
    """A recipe or a suite as YAML with every default written out, and without secrets."""
    said = what.model_dump(mode="json")
    if isinstance(what, Recipe):
        said["runner"]["options"] = [*redact_options(what.runner.options)]
    return as_yaml(without_passwords(said))


def _signature(recipe: Recipe) -> dict[str, Any]:
    """How signatures are made: two that differ in any of it cannot be compared."""
    return {
        "scheme": minhash.SCHEME,
        "seed": minhash.SEED,
        "num_perm": recipe.dedup.num_perm,
        "ngram": recipe.dedup.ngram,
        "ngram_unit": "word",
        "form": minhash.FORM,
    }


def _about(
    recipe: Recipe,
    splits: tuple[Split, ...],
    detector_sha256: str,
    witnesses: Witnesses,
    suite: Suite,
    systems: tuple[System, ...],
    reviewed: Reviewed | None,
    items: Items | None,
    removals: Removals | None,
    tokenizer: TokenizerModel | None,
) -> str:
    inputs = []
    for source, pieces in zip(recipe.sources, files_by_source(splits, recipe.sources), strict=True):
        size = sum(piece.size for piece in pieces)
        said = {"source": source.name, "files": len(pieces), "bytes": size, "licence": source.licence}
        of_hub = (piece.path for piece in pieces if piece.path.startswith("hf://"))
        revisions = sorted({found[0] for path in of_hub if (found := re.match(r"hf://[^@]+@[0-9a-f]{40}", path))})
        inputs.append(said | {"revisions": revisions} if revisions else said)
    packages = ("lowbackground", "apache-beam", "pyarrow", "numpy", "numba", "datasketch", "great_expectations")
    about = {
        "recipe_sha256": recipe.fingerprint(),
        "suite_sha256": suite.sha256(),
        "structures": [
            {
                "id": system.id,
                "owner": system.owner.team,
                "rationale": system.rationale,
                "sha256": system.sha256(),
                "definition_sha256": system.definition(),
            }
            for system in systems
        ],
        "detector_sha256": detector_sha256,
        "evidence_sha256": witnesses.fingerprint(),
        "watermarks": fingerprint(witnesses.plugins),
        "labels_sha256": reviewed.sha256 if reviewed else [],
        "contamination": {"sha256": items.sha256, "sets": items.count()} if items else None,
        "removals": for_manifest(removals),
        "unit": wording.TOKENS if tokenizer else wording.WORDS,
        "tokenizer": {"name": tokenizer.name, "sha256": tokenizer.sha256} if tokenizer else None,
        "salt": recipe.salt,
        "reference": recipe.reference,
        "sketches": contracts.SKETCHES_FORM,
        "signature": _signature(recipe),
        "limit": recipe.ratio.max_synthetic_share,
        "inputs": inputs,
        "versions": {name: version(name) for name in packages} | {"unicode": unicodedata.unidata_version},
    }
    return orjson.dumps(about, option=orjson.OPT_SORT_KEYS).decode()


def run(recipe: Recipe, job: Job, console: Console, replace: bool = False, wait: bool = True) -> Result:
    """Run a prepared job to its end.

    Raises:
      JobLeftError: it was not to wait for that, or was interrupted, and the job is left at work.
      RecipeError: the release exists and is not to be replaced.
      FolderError: somebody is at work on it, or a folder is not ours.
      RunError: a worker failed, or the release could not be put in its place.
    """
    try:
        with releasing(job.publication, replace), store_in_use(recipe.output.path):
            job = with_what_is_kept(job)
            if left := execute(recipe, job, console, build, job.publication.staging, wait):
                raise _sent(job, left, replace).leave()
            folder = swap(job.publication, replace)
    except StorageError as error:
        raise RunError(
            f"{error}. The next run, or `lowbackground clean {recipe.output.path}`, ends what was begun"
        ) from error
    except OSError as error:
        raise RunError(
            f"{error.filename or recipe.output.path}: {error.strerror or error}; nothing was released. The next run, or "
            f"`lowbackground clean {recipe.output.path}`, puts right what is left"
        ) from error
    return read_result(folder)


def _sent(job: Job, name: str, replace: bool) -> SentJob:
    its, config = job.publication.located(), job.recipe.runner
    attempt = its.output, its.release, its.staging
    return SentJob(*attempt, config.name, endpoint_of(config), name, replace, put_in(job), n_files(job), n_bytes(job))


def read_result(folder: str) -> Result:
    """The result that a run left in a folder."""
    verdict = read_verdict(folder)
    return Result(exit_code(verdict), folder, verdict, counts(read_metrics(folder)))


def exit_code(verdict: Verdict) -> int:
    """What a verdict means to a shell. The rules of every run come first in it, those of the input before all others."""
    of_input = itertools.takewhile(
        lambda one: one.metric == "input.bad_fraction" or (one.metric, one.stage) == ("documents", "before"),
        verdict.expectations,
    )
    if any(one.severity == "critical" and one.status != "pass" and not one.waived for one in of_input):
        return UNUSABLE
    return PASSED if verdict.passed else FAILED
