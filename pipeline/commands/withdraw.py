"""`withdraw`: a new release made of an old one without what a list of removals names. The corpus is not needed.

What goes: the documents that the list names, and those that were kept in place of a duplicate that it names. Documents that are
kept have been held against each other by the run, so nothing else in the release is like them. What the run had dropped as a
duplicate of one that goes is not brought back: its text is in the corpus alone.

Documents and tokens are counted anew; bounds of the synthetic share are widened to what they could be at worst, whatever it
was that went; all other numbers of the release are as they were before, and say so. The suite judges once more.
"""

import dataclasses
import posixpath
import re
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from expectations import contracts, wording
from expectations.judge import gx_json
from expectations.judge.verdict import Verdict, judge
from expectations.paths import open_for_reading
from expectations.structures.systems_file import load_systems
from expectations.suite.suite import load_suite
from pipeline.assembly import (
    GX_SUITE,
    GX_VALIDATION,
    QUEUE,
    SHOWN_QUARANTINE,
    WITHDRAWAL,
    Publication,
    as_json,
    done_path,
    write_card,
    write_file,
    write_report,
)
from pipeline.commands.verify import refuse_unless_good
from pipeline.commands.withdrawn_files import (
    Withdrawn,
    filtered,
    ledger,
    removed_rows,
    shards,
    tombstones,
    unchanged,
)
from pipeline.commands.withdrawn_metrics import metrics_left
from pipeline.places import STAGING
from pipeline.reading.answer import for_programs
from pipeline.reading.descent import Descent, descent, descent_lines, said_of
from pipeline.reading.document_text import released_recipe
from pipeline.recipe import RELEASE_NAME, RecipeError
from pipeline.runner import day, rules_of, suite_params
from pipeline.swap import releasing, swap
from transforms.dedup.earlier_releases import FOLDER as SIGNATURES
from transforms.dedup.earlier_releases import MANIFEST
from transforms.engine import files, folders
from transforms.exclusions.removals import Removals, for_manifest, read_removals
from transforms.ingest.sources import Splits
from transforms.kernels.text.columns import from_hexadecimal, hexadecimal
from transforms.release.gate import with_rules
from transforms.release.read_release import (
    METRICS,
    QUARANTINE,
    STRUCTURES,
    SUITE,
    VERDICT,
    by_id,
    counts,
    files_of,
    is_there,
    ledger_files,
    masked,
    opened,
    read_ledger,
    read_manifest,
    read_metrics,
    read_signed,
    read_table,
    reading,
)
from transforms.signals.corpus import Corpus
from transforms.signals.store import SignalStore, as_parquet


@dataclasses.dataclass(frozen=True)
class Receipt:
    """What was withdrawn.

    Attributes:
      folder: of the new release.
      said: for the manifest of the new release, and for programs.
      passed: whether the suite lets the new release pass.
      descent: releases and models that what went is in, or went into.
    """

    folder: str
    said: dict[str, Any]
    passed: bool
    descent: Descent


def withdraw(
    release: str,
    lists: Sequence[str],
    name: str | None,
    console: Console,
    today: str | None = None,
    cards: str | None = None,
) -> Receipt:
    """Make a release without what lists of removals name, beside the old one.

    Args:
      release: folder of the old release, which stays as it is.
      lists: files.
      name: of the new release; None: that of the old one with "-withdrawn" behind it.
      console: where progress goes.
      today: the day of it, as 2027-01-31; None: today's in UTC.
      cards: folder of models' cards, to be named if what they were trained on was the release or descends from it.

    Raises:
      ReleaseError, RecipeError: there is no such release, it is damaged, the name is taken, nothing of it is named, or the
        folder has no cards.
      RemovalError: a list cannot be used.
    """
    manifest, digest = read_manifest(release)
    refuse_unless_good(release, console)
    removals = read_removals(lists, [one["source"] for one in manifest["inputs"]])
    assert removals is not None
    _refuse_unanswerable(release, removals)
    old = _find(release, manifest, digest, removals)
    if not len(old.gone):
        raise RecipeError(f"{release}: the lists name none of its documents, so it stays as it is")
    new = name or f"{manifest['release']}-withdrawn"
    if not re.fullmatch(RELEASE_NAME, new):
        raise RecipeError(f"--name {new!r}: must be letters, digits, '.', '_' or '-', and start with a letter or digit")
    release = release.rstrip("/")
    output = posixpath.dirname(release) or "."
    staging = posixpath.join(output, STAGING, f"{new}-{uuid.uuid4().hex}")
    publication = _publication(release, output, new, staging, manifest)
    found = descent(release, old.gone, cards)
    with releasing(publication, replace=False):
        said, passed = _build(publication, old, removals, day(today).isoformat(), found)
        folder = swap(publication, replace=False)
    return Receipt(folder, said, passed, found)


def _refuse_unanswerable(release: str, removals: Removals) -> None:
    if not files_of(release, SIGNATURES) and (asked := removals.kinds() & {"url", "content_hash"}):
        raise RecipeError(
            f"{release} has no signatures, which alone know its addresses and contents; name documents by id instead of "
            f"{' and '.join(sorted(asked))}"
        )
    with opened(ledger_files(release)[0]) as ledger_part:
        columns = ledger_part.schema_arrow.names
    missing = [kind for kind, column in (("domain", "host"), ("author", "author")) if column not in columns]
    if asked := removals.kinds() & set(missing):
        raise RecipeError(
            f"{release} is of a version whose ledger has no {' and no '.join(sorted(asked))}; name documents by id or url"
        )


def _find(release: str, manifest: dict[str, Any], digest: str, removals: Removals) -> Withdrawn:
    """Which documents of a release go."""
    signed = read_signed(release)
    named, stand_in, kept = [], [], []
    for path in ledger_files(release):
        rows = read_ledger(path)
        mask = np.zeros(rows.num_rows, bool)
        sources = rows["source"].combine_chunks()
        columns = _as_signals(rows, signed)
        for source in sources.unique().to_pylist():
            mask |= removals.of(columns, source) & pc.equal(sources, source).to_numpy(zero_copy_only=False)
        is_kept = rows["kept"].to_numpy()
        kept.append(rows["id"].filter(pa.array(is_kept)))
        named.append(rows["id"].filter(pa.array(mask & is_kept)))
        duplicate = pc.is_in(rows["reason"], pa.array(contracts.DUPLICATE_HERE)).to_numpy()
        stand_in.append(rows["survivor_id"].filter(pa.array(mask & duplicate)))
    direct = _joined(named).unique()
    candidates = pa.concat_arrays([direct, _joined(stand_in)]).unique()
    gone = candidates.filter(pc.is_in(candidates, _joined(kept)))
    return Withdrawn(release, manifest, digest, gone.take(pc.sort_indices(gone)), len(direct))


def _joined(columns: Sequence[pa.ChunkedArray]) -> pa.StringArray:
    chunks = [chunk for column in columns for chunk in column.chunks]
    return pa.concat_arrays(chunks) if chunks else pa.array([], pa.string())


def _as_signals(rows: pa.Table, signed: pa.Table | None) -> dict[str, pa.Array]:
    """The columns of SIGNALS that requests look at; null where a release does not know them."""
    n = rows.num_rows
    found = {
        "doc_id": from_hexadecimal(rows["id"].combine_chunks()),
        "id": rows["input_id"].combine_chunks(),
        **{
            name: rows[name].combine_chunks() if name in rows.column_names else pa.nulls(n, pa.string())
            for name in ("host", "author")
        },
        "url_hash": pa.nulls(n, pa.uint64()),
        "content_hash": pa.nulls(n, contracts.HASH),
    }
    if signed is not None:
        at = pc.index_in(rows["id"].combine_chunks(), hexadecimal(signed["doc_id"].combine_chunks()))
        found |= {name: signed[name].combine_chunks().take(at) for name in ("url_hash", "content_hash")}
    return found


def _publication(release: str, output: str, new: str, staging: str, manifest: dict[str, Any]) -> Publication:
    def text(name: str) -> str:
        if not is_there(release, name):
            return ""
        with open_for_reading(posixpath.join(release, name)) as file:
            return str(file.read().decode())

    about = {
        name: value
        for name, value in manifest.items()
        if name not in ("format", "release", "counts", "masked", "files")
    }
    return Publication(
        output=output,
        release=new,
        staging=staging,
        recipe=text("recipe.yaml"),
        suite=text(SUITE),
        about=orjson.dumps(about).decode(),
        corpus=Corpus((), Splits(()), SignalStore("", ())),  # there is none
        structures=text(STRUCTURES),
    )


def _build(
    publication: Publication, old: Withdrawn, removals: Removals, today: str, found: Descent
) -> tuple[dict[str, Any], bool]:
    """The new release in the attempt's folder. Returns the receipt, and whether it passed."""
    folder = posixpath.join(publication.staging, f"built-{uuid.uuid4().hex}")
    folders.mark(folder, folders.Mark("release", publication.release))
    removed = removed_rows(old)
    metrics = metrics_left(read_metrics(old.folder), removed, old)
    verdict = _judged(old.folder, publication, metrics, today)
    said = {
        "from": {"release": old.manifest["release"], "manifest_sha256": old.sha256},
        "on": today,
        "lists": for_manifest(removals),
        "documents": removed.num_rows,
        "tokens": int(pc.sum(pc.multiply(removed["n_tokens"], removed["copies"])).as_py() or 0),
        "unit": wording.unit_of(metrics.to_pylist()),
        "named": old.named,
        "like_named": len(old.gone) - old.named,
        "suite": "passed" if verdict.passed else "failed",
        **said_of(found),
    }
    receipts = [*_receipts(old.folder), said]
    entries = [
        *shards(old, folder),
        *filtered(old, folder, SIGNATURES, "doc_id"),
        *ledger(old, folder),
        *tombstones(old, folder),
        *unchanged(old, folder),
        write_file(folder, METRICS, as_parquet(metrics)),
        write_file(folder, VERDICT, verdict.to_json().encode()),
        write_file(folder, GX_SUITE, as_json(gx_json.suite(verdict))),
        write_file(folder, GX_VALIDATION, as_json(gx_json.validation(verdict))),
        write_file(folder, WITHDRAWAL, as_json({"format": "lowbackground.withdrawal/1", "withdrawals": receipts})),
    ]
    if is_there(old.folder, QUEUE):
        queue = by_id(read_table(posixpath.join(old.folder, QUEUE)))
        queue = queue.filter(pc.invert(pc.is_in(queue["id"], old.gone)))
        entries.append(write_file(folder, QUEUE, as_parquet(queue)) | {"rows": queue.num_rows})
    entries.append(write_report(folder, publication, metrics, verdict, entries, _quarantine(old.folder)))
    entries.append(write_card(folder, publication.release, metrics, verdict, entries))
    entries.sort(key=lambda entry: str(entry["path"]))
    manifest = old.manifest | {
        "release": publication.release,
        "counts": counts(metrics),
        "masked": masked(metrics),
        "files": entries,
        "removals": [*old.manifest.get("removals", []), *for_manifest(removals)],
        "withdrawn_from": said["from"],
    }
    write_file(folder, MANIFEST, as_json(manifest))
    files.write(done_path(publication), folder.encode())
    return said, verdict.passed


def _receipts(folder: str) -> list[Any]:
    if not is_there(folder, WITHDRAWAL):
        return []
    with reading(posixpath.join(folder, WITHDRAWAL)), open_for_reading(posixpath.join(folder, WITHDRAWAL)) as file:
        return list(orjson.loads(file.read())["withdrawals"])


def _quarantine(folder: str) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    for path in files_of(folder, QUARANTINE):
        if len(shown) < SHOWN_QUARANTINE:
            shown += read_table(path, ["path", "row", "reason", "detail"]).to_pylist()
    return shown[:SHOWN_QUARANTINE]


def _judged(release: str, publication: Publication, metrics: pa.RecordBatch, today: str) -> Verdict:
    """The verdict of the release's own suite on what is left."""
    recipe = released_recipe(release)
    systems = load_systems([STRUCTURES], release) if publication.structures else ()
    rules = with_rules(load_suite(SUITE, release, kept=True), **rules_of(recipe), systems=systems)
    return judge(pa.Table.from_batches([metrics]), rules, suite_params(recipe), day(today))


def receipt_text(receipt: Receipt, old: str) -> str:
    """What was done, for a person."""
    said = receipt.said
    lines = [
        f"{receipt.folder} is {old} without",
        f"  documents   {said['documents']:,}, of {wording.amount(said['tokens'], said['unit'])}",
        f"  of these    {said['named']:,} are named, {said['like_named']:,} were kept in place of a duplicate that is named",
        f"  receipt     {receipt.folder}/{WITHDRAWAL}",
        f"  the suite   {said['suite']}" + ("" if receipt.passed else "; see its report before you give it to anybody"),
    ]
    lines += descent_lines(receipt.descent, old)
    lines.append(f"  {old} is as it was; delete it, and all copies of it, yourself")
    return "\n".join(lines)


def receipt_json(receipt: Receipt) -> str:
    """The same for programs."""
    answer = {
        "format": "lowbackground.withdraw/1",
        "folder": receipt.folder,
        "receipt": receipt.said,
        "passed": receipt.passed,
        **dataclasses.asdict(receipt.descent),
        "descend": list(receipt.descent.descend),
    }
    return for_programs(answer)
