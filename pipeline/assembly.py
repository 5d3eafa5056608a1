"""The last step of the graph: what the stages left becomes a whole release, or a rejection, in the attempt's own folder.

A rejection has report, ledger and verdict but no shard and no manifest. Nothing outside of the attempt is touched, and nothing
in it is moved: done twice, by a worker that was thought dead, this makes two equal folders. The launcher puts one of them in its
place (pipeline/swap.py).
"""

import dataclasses
import hashlib
import posixpath
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import apache_beam as beam
import orjson
import pyarrow as pa

from expectations import parquet
from expectations.judge import gx_json
from expectations.judge.verdict import Verdict
from expectations.paths import open_for_reading
from expectations.report.card import card
from expectations.report.report import render
from pipeline.advice.examples import examples
from pipeline.advice.page import Told, report_input
from transforms.dedup.earlier_releases import FOLDER as SIGNATURES
from transforms.dedup.earlier_releases import MANIFEST
from transforms.engine import counted, files, folders
from transforms.engine.stage import Stage
from transforms.engine.staged import Staged
from transforms.engine.threads import spread
from transforms.exclusions.removals import TOMBSTONES
from transforms.ingest.sources import Piece
from transforms.measures.reference import FILE as SKETCHES
from transforms.release.ledger import Recorded
from transforms.release.read_release import STRUCTURES, SUITE, counts, masked
from transforms.release.shards import DATA, Shard
from transforms.signals.corpus import Corpus
from transforms.signals.kept import Kept
from transforms.signals.store import as_parquet

QUEUE = "review/queue.parquet"
REPORT = "report/index.html"
GX_SUITE, GX_VALIDATION = "great_expectations/suite.json", "great_expectations/validation.json"
WITHDRAWAL = "withdrawal.json"
SHOWN_QUARANTINE = 20


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One attempt at a release.

    Attributes:
      output: folder of releases.
      release: its name.
      staging: this attempt's own folder.
    """

    output: str
    release: str
    staging: str


@dataclasses.dataclass(frozen=True)
class Publication(Attempt, Staged):
    """What the launcher knows of a release before the run.

    Attributes:
      recipe, suite: the resolved recipe, and the suite it names, as YAML: a release can be judged again from what it holds.
      about: facts for the manifest that need no run (recipe fingerprint, versions, detector, signature, inputs), JSON.
    """

    recipe: str
    suite: str
    about: str
    corpus: Corpus
    tombstones: tuple[Piece, ...] = ()  # of what was withdrawn from earlier releases
    structures: str = ""  # systems of structures as YAML, terms written out; empty: there are none
    texts: Kept | None = None  # beginnings of documents that earlier runs read

    def located(self) -> "Publication":
        """The same, with its folders as a worker finds them."""
        output, staging = files.absolute(self.output), files.absolute(self.staging)
        return dataclasses.replace(self, output=output, staging=staging)


class Made(NamedTuple):
    """What the stages made of a corpus, of which a release is put together."""

    verdict: beam.PCollection[str]
    metrics: beam.PCollection[pa.RecordBatch]
    sketches: beam.PCollection[bytes]
    recorded: beam.PCollection[Recorded]
    shards: beam.PCollection[Shard]
    review: beam.PCollection[pa.RecordBatch]


@dataclasses.dataclass(eq=False)
class Publish(Stage):
    """What the stages made -> path of the folder to be published."""

    publication: Publication

    def expand(self, made: Made) -> beam.PCollection[str]:
        """One element, from the verdict; its side inputs make it wait for every stage."""
        return made.verdict | "PublishRelease" >> counted.ParDo(
            "the verdict to its release",
            _PublishRelease(self.publication),
            beam.pvalue.AsSingleton(made.metrics),
            beam.pvalue.AsSingleton(made.sketches),
            beam.pvalue.AsSingleton(made.recorded | "Recorded" >> counted.ToList("parts of the ledger to publish")),
            beam.pvalue.AsSingleton(made.shards | "Shards" >> counted.ToList("shards to publish")),
            beam.pvalue.AsSingleton(made.review),
        )


class _PublishRelease(beam.DoFn):
    def __init__(self, publication: Publication) -> None:
        self.publication = publication

    def process(
        self,
        verdict: str,
        metrics: pa.RecordBatch,
        sketches: bytes,
        recorded: list[Recorded],
        shards: list[Shard],
        review: pa.RecordBatch,
    ) -> Iterator[str]:
        yield publish(self.publication, Verdict.from_json(verdict), metrics, sketches, recorded, shards, review)


def publish(
    publication: Publication,
    verdict: Verdict,
    metrics: pa.RecordBatch,
    sketches: bytes,
    recorded: Iterable[Recorded],
    shards: Iterable[Shard],
    review: pa.RecordBatch,
) -> str:
    """Put everything together in a folder of its own in the attempt's; the manifest last. Returns the folder."""
    folder = posixpath.join(publication.staging, f"built-{uuid.uuid4().hex}")
    folders.mark(folder, folders.Mark("release" if verdict.passed else "rejection", publication.release))
    shown: list[dict[str, object]] = []  # of the quarantine
    entries = [
        *_place_shards([shard for shard in shards if shard.folder == DATA], folder),
        *_place_signatures([shard for shard in shards if shard.folder == SIGNATURES], folder),
        *_place_ledger(recorded := list(recorded), folder),
        *_write_quarantine(publication, folder, shown),
        write_file(folder, QUEUE, as_parquet(review)) | {"rows": review.num_rows},
        write_file(folder, "metrics.parquet", as_parquet(metrics)),
        write_file(folder, "verdict.json", verdict.to_json().encode()),
        write_file(folder, GX_SUITE, as_json(gx_json.suite(verdict))),
        write_file(folder, GX_VALIDATION, as_json(gx_json.validation(verdict))),
        write_file(folder, "recipe.yaml", publication.recipe.encode()),
        write_file(folder, SUITE, publication.suite.encode()),
    ]
    if publication.structures:
        entries.append(write_file(folder, STRUCTURES, publication.structures.encode()))
    dropped = tuple(examples(publication.corpus, recorded, publication.texts))
    entries.append(write_report(folder, publication, metrics, verdict, entries, shown, dropped))
    if verdict.passed:
        entries += _place_tombstones(recorded, publication.tombstones, folder)
        entries.append(write_file(folder, SKETCHES, sketches))
        entries.append(write_card(folder, publication.release, metrics, verdict, entries))
        entries.sort(key=lambda entry: str(entry["path"]))
        manifest = {
            "format": "lowbackground.release/1",
            "release": publication.release,
            **orjson.loads(publication.about),
            "counts": counts(metrics),
            "masked": masked(metrics),
            "fingerprints": fingerprints(metrics),
            "files": entries,
        }
        write_file(folder, MANIFEST, as_json(manifest))
    files.write(done_path(publication), folder.encode())
    return folder


def write_report(
    folder: str,
    publication: Publication,
    metrics: pa.RecordBatch,
    verdict: Verdict,
    entries: Sequence[dict[str, object]],
    quarantine: Sequence[dict[str, object]],
    examples: tuple[dict[str, object], ...] = (),
) -> dict[str, object]:
    """The page of a release or a rejection whose other files are there. Returns its entry of the manifest."""
    told = Told(
        recipe=publication.recipe,
        release=publication.release,
        about=orjson.loads(publication.about),
        structures=publication.structures,
        files=tuple((str(entry["path"]), str(entry["what"])) for entry in entries),
        quarantine=tuple(quarantine),
        examples=examples,
        splits=publication.corpus.splits,
    )
    return write_file(folder, REPORT, render(report_input(told, verdict, metrics)).encode())


def write_card(
    folder: str, release: str, metrics: pa.RecordBatch, verdict: Verdict, entries: Sequence[dict[str, object]]
) -> dict[str, object]:
    """README.md of a release whose shards are there. Returns its entry of the manifest."""
    shards = [entry for entry in entries if str(entry["path"]).startswith(f"{DATA}/")]
    schema = None
    if shards:
        with parquet.opened(posixpath.join(folder, str(shards[0]["path"]))) as file:
            schema = file.schema_arrow
    n_bytes = sum(int(str(entry["bytes"])) for entry in shards)
    return write_file(folder, "README.md", card(release, metrics, verdict, schema, n_bytes).encode())


def done_path(attempt: Attempt) -> str:
    """Where the last step leaves the name of the folder that it built."""
    return posixpath.join(attempt.staging, "built")


def fingerprints(metrics: pa.RecordBatch) -> dict[str, str]:
    """What was read of each source, whatever files it came in."""
    return {row["slice"]: row["note"] for row in metrics.to_pylist() if row["metric"] == "input.fingerprint"}


def _placed(paths: Sequence[str], folder: str, stem: str) -> Iterator[str]:
    """Put files into a release under numbered names; yields each name once the file has it."""
    for number, path in enumerate(paths):
        name = f"{stem}-{number:05d}-of-{len(paths):05d}.parquet"
        files.second_name(path, posixpath.join(folder, name))  # the first is still there for whoever does this again
        yield name


def _place_shards(shards: Iterable[Shard], folder: str) -> Iterator[dict[str, object]]:
    ordered = sorted(shards, key=lambda shard: (shard.task, shard.number))
    for shard, name in zip(ordered, _placed([one.path for one in ordered], folder, "data/train"), strict=True):
        yield {
            "path": name,
            "what": "documents of the release",
            "bytes": shard.bytes,
            "sha256": shard.sha256,
            "rows": shard.rows,
            "tokens": shard.tokens,
        }


def _place_signatures(shards: Iterable[Shard], folder: str) -> Iterator[dict[str, object]]:
    ordered = sorted(shards, key=lambda shard: shard.task)
    for shard, name in zip(ordered, _placed([one.path for one in ordered], folder, f"{SIGNATURES}/part"), strict=True):
        yield {
            "path": name,
            "what": "MinHash signatures of the release, for later releases to be compared with",
            "bytes": shard.bytes,
            "sha256": shard.sha256,
            "rows": shard.rows,
        }


def _place_ledger(recorded: Iterable[Recorded], folder: str) -> Iterator[dict[str, object]]:
    parts = sorted(recorded, key=lambda part: part.split)
    for part, name in zip(parts, _placed([one.path for one in parts], folder, "ledger/ledger"), strict=True):
        yield entry_of(folder, name, "what was decided about each input document") | {"rows": part.documents}


def _place_tombstones(recorded: list[Recorded], earlier: tuple[Piece, ...], folder: str) -> Iterator[dict[str, object]]:
    """What was withdrawn from this release, and from those that it was compared with: a later one must know both."""
    own = [part.tombstones for part in sorted(recorded, key=lambda part: part.split) if part.tombstones]
    paths = [*own, *(piece.place for piece in earlier)]
    for name in _placed(paths, folder, f"{TOMBSTONES}/part"):
        yield entry_of(
            folder, name, "hashes and signatures of what was withdrawn, so that it does not come back; no text"
        )


def _write_quarantine(
    publication: Publication, folder: str, shown: list[dict[str, object]]
) -> Iterator[dict[str, object]]:
    """Each split's, of which there may be a hundred thousand, on a thread for each core; the first rows are put in `shown`."""
    splits = publication.corpus.splits
    for split, table in zip(splits, spread(publication.corpus.store.read_quarantine, iter(splits)), strict=True):
        if table.num_rows:
            first = table.slice(0, SHOWN_QUARANTINE - len(shown))
            shown.extend(first.select(["path", "row", "reason", "detail"]).to_pylist())
            name = f"quarantine/quarantine-{split.index:05d}.parquet"
            yield write_file(folder, name, as_parquet(table)) | {"rows": table.num_rows}


WHAT = {
    QUEUE: "documents whose evidence of origin disagrees, for a person to look at",
    "metrics.parquet": "every number, in long form",
    SKETCHES: "counts of words and of pairs, for later releases to be held against; no text",
    "verdict.json": "every expectation with its limit, what was measured, and whether it holds",
    "recipe.yaml": "the recipe as it was run, defaults written out",
    SUITE: "the suite it was judged by",
    GX_SUITE: "the same with its limits, in Great Expectations' own JSON",
    GX_VALIDATION: "what was found, in Great Expectations' own JSON",
    STRUCTURES: "what stakeholders declare diversity to be, with every term, and what they expect",
    "report/index.html": "this page",
    "README.md": "dataset card",
    WITHDRAWAL: "what was withdrawn from an earlier release to make this one, by which lists",
    MANIFEST: "checksums of all files, versions, inputs; written last",
}


def as_json(value: object) -> bytes:
    """A file of JSON."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


def write_file(folder: str, name: str, data: bytes) -> dict[str, object]:
    """Put a file into a release. Returns its entry in the manifest."""
    files.write(posixpath.join(folder, name), data)
    what = WHAT.get(name, "records that could not be read")
    return {"path": name, "what": what, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def entry_of(folder: str, name: str, what: str) -> dict[str, object]:
    """The manifest's entry of a file that is there."""
    digest, size = hashlib.sha256(), 0
    with open_for_reading(posixpath.join(folder, name)) as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    return {"path": name, "what": what, "bytes": size, "sha256": digest.hexdigest()}
