"""`withdraw`: a new release made of an old one without what a list of removals names. The corpus is not needed.

What goes: the documents that the list names, and those that were kept in place of a duplicate that it names. Documents that are
kept have been held against each other by the run, so nothing else in the release is like them. What the run had dropped as a
duplicate of one that goes is not brought back: its text is in the corpus alone.

Documents and tokens are counted anew; bounds of the synthetic share are widened to what they could be at worst, whatever it
was that went; all other numbers of the release are as they were before, and say so. The suite judges once more.
"""

import collections
import dataclasses
import posixpath
import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console

from expectations import contracts, wording
from expectations.judge import gx_json
from expectations.judge.verdict import Verdict, judge
from expectations.paths import open_for_reading
from expectations.structures.systems_file import load_systems
from expectations.suite.suite import load_suite
from expectations.wording import plural
from pipeline.assembly import (
    GX_SUITE,
    GX_VALIDATION,
    QUEUE,
    REPORT,
    WITHDRAWAL,
    Publication,
    as_json,
    done_path,
    entry_of,
    write_card,
    write_file,
    write_report,
)
from pipeline.commands.verify import QUARANTINE, verify_release
from pipeline.places import STAGING
from pipeline.reading.descent import Descent, descent, descent_lines, said_of
from pipeline.reading.document_text import released_recipe
from pipeline.recipe import RELEASE_NAME, RecipeError
from pipeline.runner import day, rules_of, suite_params
from pipeline.swap import releasing, swap
from transforms.dedup.earlier_releases import FOLDER as SIGNATURES
from transforms.dedup.earlier_releases import MANIFEST
from transforms.engine import files, folders
from transforms.exclusions.personal_data import numbers_in
from transforms.exclusions.removals import TOMBSTONES, Removals, for_manifest, is_tombstones, read_removals
from transforms.ingest.sources import Splits
from transforms.kernels.text.columns import from_hexadecimal, hexadecimal
from transforms.measures.metrics import in_table
from transforms.release.gate import with_rules
from transforms.release.ledger import ABOUT
from transforms.release.read_release import (
    LEDGER,
    METRICS,
    STRUCTURES,
    SUITE,
    VERDICT,
    by_id,
    counts,
    is_there,
    ledger_files,
    masked,
    parquet_files,
    read_ledger,
    read_manifest,
    read_metrics,
    read_signed,
    reading,
)
from transforms.release.shards import DATA
from transforms.signals.corpus import Corpus
from transforms.signals.store import SignalStore, as_parquet

SHOWN_QUARANTINE = 20
STAND_IN = (
    "exact_duplicate",
    "near_duplicate",
    "same_url",
)  # why a document may have been dropped for one that is kept
WITHDRAWN = "withdrawn"


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


@dataclasses.dataclass(frozen=True)
class _Old:
    """A release, and what of it goes.

    Attributes:
      gone: ids of the documents of the release that go, sorted, in hexadecimal.
      named: how many of them the list names; the others stand for duplicates that it names.
    """

    folder: str
    manifest: dict[str, Any]
    sha256: str
    gone: pa.StringArray
    named: int


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
    verified, good = verify_release(release, console)
    if not good:
        raise RecipeError(f"{release}: {verified.splitlines()[-1]}; restore the release first")
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
    signed = bool(parquet_files(posixpath.join(release, SIGNATURES)))
    if not signed and (asked := removals.kinds() & {"url", "content_hash"}):
        raise RecipeError(
            f"{release} has no signatures, which alone know its addresses and contents; name documents by id instead of "
            f"{' and '.join(sorted(asked))}"
        )
    with reading(ledger_files(release)[0]):
        columns = pq.read_schema(ledger_files(release)[0]).names
    missing = [kind for kind, column in (("domain", "host"), ("author", "author")) if column not in columns]
    if asked := removals.kinds() & set(missing):
        raise RecipeError(
            f"{release} is of a version whose ledger has no {' and no '.join(sorted(asked))}; name documents by id or url"
        )


def _find(release: str, manifest: dict[str, Any], digest: str, removals: Removals) -> _Old:
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
        duplicate = pc.is_in(rows["reason"], pa.array(STAND_IN)).to_numpy()
        stand_in.append(rows["survivor_id"].filter(pa.array(mask & duplicate)))
    direct = _joined(named).unique()
    candidates = pa.concat_arrays([direct, _joined(stand_in)]).unique()
    gone = candidates.filter(pc.is_in(candidates, _joined(kept)))
    return _Old(release, manifest, digest, gone.take(pc.sort_indices(gone)), len(direct))


def _joined(columns: Sequence[pa.ChunkedArray]) -> pa.StringArray:
    chunks = [chunk for column in columns for chunk in column.chunks]
    return pa.concat_arrays(chunks) if chunks else pa.array([], pa.string())


def _read(path: str, columns: list[str] | None = None) -> pa.Table:
    with reading(path), open_for_reading(path) as file:
        return pq.read_table(pa.PythonFile(file, mode="r"), columns=columns, partitioning=None)


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
    publication: Publication, old: _Old, removals: Removals, today: str, found: Descent
) -> tuple[dict[str, Any], bool]:
    """The new release in the attempt's folder. Returns the receipt, and whether it passed."""
    folder = posixpath.join(publication.staging, f"built-{uuid.uuid4().hex}")
    folders.mark(folder, folders.Mark("release", publication.release))
    removed = _removed_rows(old)
    metrics = _metrics(read_metrics(old.folder), removed, old)
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
        *_shards(old, folder),
        *_filtered(old, folder, SIGNATURES, "doc_id"),
        *_ledger(old, folder),
        *_tombstones(old, folder),
        *_same(old, folder),
        write_file(folder, METRICS, as_parquet(metrics)),
        write_file(folder, VERDICT, verdict.to_json().encode()),
        write_file(folder, GX_SUITE, as_json(gx_json.suite(verdict))),
        write_file(folder, GX_VALIDATION, as_json(gx_json.validation(verdict))),
        write_file(folder, WITHDRAWAL, as_json({"format": "lowbackground.withdrawal/1", "withdrawals": receipts})),
    ]
    if is_there(old.folder, QUEUE):
        queue = by_id(_read(posixpath.join(old.folder, QUEUE)))
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


CREDENTIALS = "credentials.documents"
COUNTED = ["id", "source", "language", "origin", "origin_basis", "generator", "n_tokens", "copies", "created"]


def _entries(old: _Old, under: str) -> list[dict[str, Any]]:
    return [entry for entry in old.manifest["files"] if posixpath.dirname(entry["path"]) == under]


def _removed_rows(old: _Old) -> pa.Table:
    """What the measures count of the documents that go."""
    paths = [posixpath.join(old.folder, entry["path"]) for entry in _entries(old, DATA)]
    names = pq.read_schema(paths[0]).names if paths else []
    more = [name for name in ("licence", "evidence", "masked") if name in names]  # not in older releases
    parts = [_read(path, COUNTED + more) for path in paths]
    return pa.concat_tables([part.filter(pc.is_in(part["id"], old.gone)) for part in parts])


def _shards(old: _Old, folder: str) -> Iterator[dict[str, Any]]:
    """The shards, without the documents that go; one that has none of them is the same file, one that is left empty is none."""
    kept = []
    for entry in _entries(old, DATA):
        ids = _read(posixpath.join(old.folder, entry["path"]), ["id"])["id"]
        hit = int(pc.sum(pc.is_in(ids, old.gone)).as_py() or 0)
        if hit < len(ids):
            kept.append((entry, hit))
    for number, (entry, hit) in enumerate(kept):
        name = f"{DATA}/train-{number:05d}-of-{len(kept):05d}.parquet"
        source, target = posixpath.join(old.folder, entry["path"]), posixpath.join(folder, name)
        if not hit:
            files.second_name(source, target)
            yield entry | {"path": name}
            continue
        rows, tokens = _without(source, target, old.gone)
        yield entry_of(folder, name, entry["what"]) | {"rows": rows, "tokens": tokens}


def _without(source: str, target: str, gone: pa.StringArray) -> tuple[int, int]:
    """Write a shard without some of its documents, row group by row group. Returns its documents and their tokens."""
    rows = tokens = 0
    with open_for_reading(source) as file, files.whole(target) as out:
        shard = pq.ParquetFile(pa.PythonFile(file, mode="r"))
        words = ["source", "language", "origin", "origin_basis", "evidence", "generator"]
        with pq.ParquetWriter(
            out,
            shard.schema_arrow,
            compression="zstd",
            compression_level=3,
            use_dictionary=words,
            write_page_index=True,
        ) as writer:
            for group in range(shard.num_row_groups):
                table = shard.read_row_group(group)
                table = table.filter(pc.invert(pc.is_in(table["id"], gone)))
                if table.num_rows:
                    writer.write_table(table, row_group_size=table.num_rows)
                rows += table.num_rows
                tokens += int(pc.sum(table["n_tokens"]).as_py() or 0)
    return rows, tokens


def _filtered(old: _Old, folder: str, under: str, column: str) -> Iterator[dict[str, Any]]:
    """Files of hashes, one row a document, without the documents that go."""
    gone = from_hexadecimal(old.gone)
    for entry in _entries(old, under):
        table = _read(posixpath.join(old.folder, entry["path"]))
        table = table.filter(pc.invert(pc.is_in(table[column], gone)))
        with files.whole(posixpath.join(folder, entry["path"])) as out:
            pq.write_table(table, out, compression="NONE", use_dictionary=False, write_statistics=False)
        yield entry_of(folder, entry["path"], entry["what"]) | {"rows": table.num_rows}


def _ledger(old: _Old, folder: str) -> Iterator[dict[str, Any]]:
    """The ledger: what goes was withdrawn, and nothing more is said of whose it was."""
    for entry in _entries(old, LEDGER):
        source, target = posixpath.join(old.folder, entry["path"]), posixpath.join(folder, entry["path"])
        stored = _read(source)
        table = by_id(stored)
        goes = pc.and_(pc.is_in(table["id"], old.gone), table["kept"])
        if table is stored and not pc.any(goes).as_py():
            files.second_name(source, target)
            yield entry
            continue
        now = {
            "kept": False,
            "stage": "exclusions",
            "reason": WITHDRAWN,
            "copies": 0,
            **dict.fromkeys((*ABOUT, "masked")),
        }
        for name, value in now.items():
            if name in table.column_names:
                at = table.column_names.index(name)
                column = pc.if_else(goes, pa.scalar(value, table.schema.field(name).type), table[name])
                table = table.set_column(at, table.schema.field(name), column)
        with files.whole(target) as out:
            pq.write_table(table, out, compression="zstd")
        yield entry_of(folder, entry["path"], entry["what"]) | {"rows": table.num_rows}


def _tombstones(old: _Old, folder: str) -> Iterator[dict[str, Any]]:
    """What is known of what goes now, and of what went before."""
    earlier = [entry for entry in old.manifest["files"] if is_tombstones(entry["path"])]
    gone = from_hexadecimal(old.gone)
    parts = [_read(posixpath.join(old.folder, entry["path"])) for entry in _entries(old, SIGNATURES)]
    n = len(earlier) + bool(parts)
    if parts:
        table = pa.concat_tables([part.filter(pc.is_in(part["doc_id"], gone)) for part in parts])
        name = f"{TOMBSTONES}/part-00000-of-{n:05d}.parquet"
        with files.whole(posixpath.join(folder, name)) as out:
            pq.write_table(table, out, compression="NONE", use_dictionary=False, write_statistics=False)
        yield entry_of(
            folder, name, "hashes and signatures of what was withdrawn, so that it does not come back; no text"
        )
    for number, entry in enumerate(earlier, n - len(earlier)):
        name = f"{TOMBSTONES}/part-{number:05d}-of-{n:05d}.parquet"
        files.second_name(posixpath.join(old.folder, entry["path"]), posixpath.join(folder, name))
        yield entry | {"path": name}


MADE_ANEW = (METRICS, VERDICT, GX_SUITE, GX_VALIDATION, WITHDRAWAL, QUEUE, REPORT, "README.md")
MADE_BY_ROWS = (DATA, SIGNATURES, LEDGER, TOMBSTONES)


def _same(old: _Old, folder: str) -> Iterator[dict[str, Any]]:
    """All files that say nothing of single documents: recipe, suite, sketches, what could not be read."""
    for entry in old.manifest["files"]:
        if entry["path"] not in MADE_ANEW and posixpath.dirname(entry["path"]) not in MADE_BY_ROWS:
            files.second_name(posixpath.join(old.folder, entry["path"]), posixpath.join(folder, entry["path"]))
            yield entry


def _quarantine(folder: str) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    for name in parquet_files(posixpath.join(folder, QUARANTINE)):
        if len(shown) < SHOWN_QUARANTINE:
            shown += _read(posixpath.join(folder, QUARANTINE, name), ["path", "row", "reason", "detail"]).to_pylist()
    return shown[:SHOWN_QUARANTINE]


def _metrics(metrics: pa.RecordBatch, removed: pa.Table, old: _Old) -> pa.RecordBatch:
    """METRICS of what is left: counts that are exact, bounds that hold, and of the rest what it was before."""
    lost = _lost(removed)
    rows: list[dict[str, Any]] = metrics.to_pylist()
    before = {(row["metric"], row["slice_kind"], row["slice"]): row["value"] for row in rows if row["stage"] == "after"}
    note = f"of {old.manifest['release']}, before the withdrawal of {plural(removed.num_rows, 'document')}"
    dropped: dict[tuple[str, str], float] = {("overall", ""): removed.num_rows, ("reason", WITHDRAWN): removed.num_rows}
    for source, n in collections.Counter(removed["source"].to_pylist()).items():
        dropped["source_reason", f"{source}/{WITHDRAWN}"] = n
    for row in rows:
        at = row["slice_kind"], row["slice"]
        unit = row["metric"].rpartition(".")[2]
        if row["metric"] in lost and row["stage"] == "after":
            row["value"] -= lost[row["metric"]][at]
        elif row["metric"] == "documents.dropped":
            row["value"] += dropped.pop(at, 0)
        elif row["stage"] != "before":
            if row["metric"].startswith("synthetic_share.") and (whole := before.get((unit, *at))) is not None:
                _widen(row, whole, lost[unit][at])
            row["note"] = f"{note}; {row['note']}" if row["note"] else note
    sources = {tuple(at): n for at, n in dropped.items()}
    template = next(row for row in rows if row["metric"] == "documents.dropped")
    rows += [template | {"slice_kind": kind, "slice": name, "value": n} for (kind, name), n in sources.items()]
    return in_table(rows, wording.unit_of(rows))  # type: ignore[arg-type]


def _lost(removed: pa.Table) -> dict[str, collections.Counter[tuple[str, str]]]:
    """Documents, tokens, documents with a credential and what was masked that go, by the slices of these metrics."""
    found: dict[str, collections.Counter[tuple[str, str]]] = {
        name: collections.Counter() for name in ("documents", "tokens", CREDENTIALS, "personal.masked")
    }
    years = pc.fill_null(pc.year(removed["created"].cast(pa.timestamp("us"))).cast(pa.string()), "unknown")
    for row in removed.set_column(removed.column_names.index("created"), "year", years).to_pylist():
        language = row["language"] or "unknown"
        generator = (row["generator"] or "unknown") if row["origin"] == "synthetic" else ""
        slices = [
            ("overall", ""),
            ("source", row["source"]),
            ("language", language),
            ("year", row["year"]),
            ("origin", row["origin"]),
            ("source_origin", f"{row['source']}/{row['origin']}"),
            ("origin_basis", f"{row['origin']}/{row['origin_basis']}"),
            *([("generator", generator)] if generator else []),
            *([("licence", row["licence"])] if "licence" in row else []),
        ]
        for at in slices:
            found["documents"][at] += 1
            found["tokens"][at] += row["n_tokens"] * row["copies"]
        if has := re.search(r"credential:(\w+)", row.get("evidence", "")):
            found[CREDENTIALS].update([("overall", ""), ("source", row["source"]), ("credential", has[1])])
        for kind, n in numbers_in(row.get("masked")).items():
            found["personal.masked"]["personal", kind] += n
            found["personal.masked"]["source_personal", f"{row['source']}/{kind}"] += n
    return found


def _widen(row: dict[str, Any], whole: float, lost: float) -> None:
    """Bounds of a share of what is left, whatever went: all of it human for the upper one, all synthetic for the lower one."""
    left = whole - lost
    if left <= 0:
        row["value"] = row["lower"] = row["upper"] = None
        return
    if row["upper"] is not None:
        row["upper"] = min(1.0, row["upper"] * whole / left)
    if row["lower"] is not None:
        row["lower"] = max(0.0, (row["lower"] * whole - lost) / left)


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
    return orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode() + "\n"
