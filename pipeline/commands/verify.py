"""`verify`: every byte of a release against its manifest, every Parquet file read, and every document accounted for."""

import collections
import dataclasses
import posixpath
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from expectations.wording import message, plural
from pipeline.reading.answer import for_programs
from pipeline.reading.checksums import CARD, check_rejection, differs, listed
from pipeline.reading.signature import read_envelopes, signature_path, signed_by
from pipeline.recipe import RecipeError
from pipeline.swap import is_part
from transforms.dedup.earlier_releases import FOLDER as SIGNATURES
from transforms.dedup.earlier_releases import MANIFEST
from transforms.engine.files import below
from transforms.engine.folders import MARK
from transforms.exclusions.personal_data import numbers_in, sum_of
from transforms.kernels.text.personal import KINDS, count
from transforms.release.read_release import (
    LEDGER,
    QUARANTINE,
    TEXTS_AT_ONCE,
    VERDICT,
    ReleaseError,
    counts,
    files_of,
    is_there,
    ledger_batches,
    ledger_files,
    ledger_rows,
    open_release,
    opened,
    read_manifest,
    read_metrics,
    read_table,
    reading,
)
from transforms.release.shards import DATA

ATTRIBUTES = ".gitattributes"  # a hub puts it beside what is pushed: no part of a release
OF_LEDGER = ("id", "source", "path", "row", "kept", "reason")
ROWS_AT_ONCE = 1 << 16
MASKED = pa.schema([pa.field("id", pa.string()), pa.field("masked", pa.string())])
PLACES_IN_A_FILE = 1 << 40


@dataclasses.dataclass
class _LedgerFacts:
    """What the ledger says of the documents: how many, which are kept, why the others are not."""

    rows: int
    places: int  # different places that they were read from
    kept: npt.NDArray[np.bytes_]  # ids, sorted
    dropped: dict[str, int]  # by reason
    masked: pa.Table  # MASKED: the kept documents whose text was masked, by id


def verify_release(folder: str, console: Console, key: str | None = None) -> tuple[str, bool]:
    """Hold a release or a rejection against what it says of itself, and against who signed it.

    Args:
      folder: of a release or a rejection.
      console: where progress goes.
      key: PEM file of a public key that must have signed the release.

    Returns:
      A short table, and whether all of it holds.

    Raises:
      RecipeError: there is neither a release nor a rejection, or the key is none.
    """
    lines, wrong = _all_of(folder, console, key)
    more = [f"and {len(wrong) - 1:,} more like it"] if len(wrong) > 1 else []
    verdict = ["not good: " + wrong[0], *more] if wrong else ["good: every byte and every document is accounted for"]
    return "\n".join([*lines, *verdict]), not wrong


def refuse_unless_good(release: str, console: Console) -> None:
    """Read all of a release before something is made from it.

    Raises:
      RecipeError: there is none, or not all of it is as it says.
    """
    said, good = verify_release(release, console)
    if not good:
        raise RecipeError(f"{release}: {said.splitlines()[-1]}; restore the release first")


def _all_of(folder: str, console: Console, key: str | None) -> tuple[list[str], list[str]]:
    lines, wrong = examine(folder, console)
    return lines, wrong or [*_signed(folder, key, lines)]


def examine(folder: str, console: Console) -> tuple[list[str], list[str]]:
    """What was looked at of a release itself, a line each, and what is not as it says.

    Raises:
      RecipeError: there is neither a release nor a rejection.
    """
    has_manifest = is_there(folder, MANIFEST)
    if not has_manifest and not is_there(folder, VERDICT):
        raise RecipeError(f"{folder}: no release there (it has no {MANIFEST}); give the folder of one")
    lines: list[str] = []
    try:
        wrong = [*(_files(folder, lines, console) if has_manifest else _rejection(folder, lines))]
        wrong = wrong or [*_tables(folder, lines), *_conservation(folder, has_manifest, lines)]
    except ReleaseError as error:
        wrong = [str(error)]
    return lines, wrong


def verified_json(folder: str, console: Console, key: str | None = None) -> tuple[str, bool]:
    """The same as JSON for programs, with all that is wrong. Arguments and errors as for `verify_release`."""
    lines, wrong = _all_of(folder, console, key)
    answer = {
        "format": "lowbackground.verify/1",
        "folder": folder,
        "good": not wrong,
        "wrong": wrong,
        "looked_at": lines,
    }
    return for_programs(answer), not wrong


def _files(folder: str, lines: list[str], console: Console) -> Iterator[str]:
    """What is gone, differs, or is there and not in the manifest."""
    entries = listed(folder)
    there = set(below(folder))
    yield from (f"{file.path} is gone" for file in entries if file.name not in there)
    known = {MANIFEST, MARK, ATTRIBUTES, *(file.name for file in entries)}
    yield from (f"{posixpath.join(folder, name)} is not in the manifest" for name in sorted(there - known))
    found = [file for file in entries if file.name in there]
    edited, wrong = "", 0
    for file, said in differs(found, console):
        if file.name == CARD:
            edited = f" (but {CARD}, which was edited since)"
        else:
            wrong += 1
            yield said
    size = sum(file.size for file in entries)
    lines.append(
        f"files         {len(found) - wrong:,} of {len(entries):,}, {plural(size, 'byte')}, as the manifest says{edited}"
    )


def _signed(folder: str, key: str | None, lines: list[str]) -> Iterator[str]:
    """Whether what is signed is this release, and the key is one that signed it."""
    path = signature_path(folder)
    try:
        signed = read_envelopes(folder)
        sha256 = read_manifest(folder)[1] if signed else ""
        if any(not one.speaks_of(sha256) for one in signed):
            yield f"{path} speaks of another release"
            return
    except (ValueError, OSError) as error:
        yield f"{path}: {message(error)}"
        return
    if key is not None and not (signed := signed and signed_by(signed, key)):
        yield f"{path} has no statement that the key {key} signed"
    elif signed:
        by = sorted({name[:16] for one in signed for name in one.signatures}) if key is None else [f"the key {key}"]
        unsure = "; --key PUBLIC.pem proves it" if key is None else ""
        lines.append(f"signed        {len(signed)} statements about this release, by {', '.join(by)}{unsure}")


def _rejection(folder: str, lines: list[str]) -> Iterator[str]:
    check_rejection(folder)
    there = below(folder)
    yield from (
        f"{posixpath.join(folder, name)} is no file of a rejection"
        for name in there
        if not is_part(name, of_a_rejection=True) and name != MARK
    )
    lines.append(f"files         {len(there):,}; a rejection has no manifest to hold them against")


def _tables(folder: str, lines: list[str]) -> Iterator[str]:
    """Every Parquet file, read from its first to its last row; those that say how many rows they have must have as many."""
    says = {}
    if is_there(folder, MANIFEST):
        says = {entry["path"]: entry for entry in read_manifest(folder)[0]["files"]}
    names = [name for name in below(folder) if name.endswith(".parquet")]
    n_rows = 0
    for name in names:
        path, rows, tokens = posixpath.join(folder, name), 0, 0
        with opened(path) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE):
                batch.validate(full=True)
                rows += batch.num_rows
                if name.startswith(f"{DATA}/"):
                    tokens += pc.sum(batch["n_tokens"]).as_py() or 0
        n_rows += rows
        entry = says.get(name, {})
        if entry.get("rows", rows) != rows:
            yield f"{path} has {plural(rows, 'row')}, and the manifest says {entry['rows']:,}"
        if name.startswith(f"{DATA}/") and entry.get("tokens", tokens) != tokens:
            yield f"{path} has {plural(tokens, 'token')}, and the manifest says {entry['tokens']:,}"
    lines.append(f"tables        {len(names):,} Parquet files, {plural(n_rows, 'row')}, read to the end")


def _conservation(folder: str, has_manifest: bool, lines: list[str]) -> Iterator[str]:
    """Documents in = kept + dropped, by the metrics, the ledger and the shards; and the same for the quarantine."""
    said = counts(read_metrics(folder))
    if has_manifest and (in_manifest := read_manifest(folder)[0].get("counts")) != said:
        yield f"{posixpath.join(folder, MANIFEST)} counts {in_manifest}, and the metrics count {said}"
    found = _ledger(folder)
    quarantined = _quarantined(folder)
    dropped = sum(found.dropped.values())
    into = said.get("documents_in", 0)
    width = len(f"{into:,}")
    lines += [
        f"documents in  {into:>{width},}  the ledger has {found.rows:,}, read from {plural(found.places, 'place')}",
        f"  kept        {len(found.kept):>{width},}  the metrics say {said.get('kept', 0):,}",
        f"  dropped     {dropped:>{width},}  for a reason that the ledger names",
        f"quarantined   {quarantined:>{width},}  the metrics say {said.get('quarantined', 0):,}",
    ]
    ledger = posixpath.join(folder, LEDGER)
    if not into == found.rows == len(found.kept) + dropped:
        yield f"{ledger} has {plural(found.rows, 'document')}, and {into:,} came in"
    if found.places != found.rows:
        yield f"{ledger} has {plural(found.rows - found.places, 'document')} read from the place of another one"
    if len(found.kept) != said.get("kept", 0):
        yield f"{ledger} keeps {plural(len(found.kept), 'document')}, and the metrics say {said.get('kept', 0):,}"
    for reason in sorted({*found.dropped, *(name.removeprefix("dropped.") for name in said if name[:8] == "dropped.")}):
        ours, theirs = found.dropped.get(reason, 0), said.get(f"dropped.{reason}", 0)
        if ours != theirs:
            yield f"{ledger} drops {plural(ours, 'document')} as {reason}, and the metrics say {theirs:,}"
    if quarantined != said.get("quarantined", 0):
        place = posixpath.join(folder, QUARANTINE)
        yield f"{place} has {plural(quarantined, 'record')}, and the metrics say {said['quarantined']:,}"
    if (found.kept[1:] == found.kept[:-1]).any():
        yield f"{ledger} keeps a document twice"
    if has_manifest:
        yield from _released(folder, found, lines)


def _released(folder: str, found: _LedgerFacts, lines: list[str]) -> Iterator[str]:
    paths = files_of(folder, DATA)
    shards = _ids(paths)
    lines.append(f"released      {plural(len(shards), 'document')} in {plural(len(paths), 'shard')}")
    if not np.array_equal(np.sort(shards), found.kept):
        yield f"{posixpath.join(folder, DATA)} does not hold exactly the documents that the ledger keeps"
    yield from _masked(folder, found, lines)
    if (signatures := files_of(folder, SIGNATURES)) and sum(map(ledger_rows, signatures)) != len(shards):
        yield f"{posixpath.join(folder, SIGNATURES)} has not one signature for each document"


def _masked(folder: str, found: _LedgerFacts, lines: list[str]) -> Iterator[str]:
    """Whether all shards have the placeholders that the ledger counts, and nothing of a masked kind in their text."""
    kinds: dict[str, int] = read_manifest(folder)[0].get("masked") or {}
    if unknown := sorted(kinds.keys() - set(KINDS)):
        yield f"{posixpath.join(folder, MANIFEST)} says that {unknown[0]!r} is masked, which this version does not know"
        return
    numbers = [KINDS.index(kind) for kind in kinds]
    in_shards, left = [], np.zeros(len(KINDS), np.int64)
    for _, batch in open_release(folder).batches(["id", "masked", "text"], TEXTS_AT_ONCE) if kinds else ():
        in_shards.append(
            pa.Table.from_batches([batch.filter(batch["masked"].is_valid())]).select(MASKED.names).cast(MASKED)
        )
        left += count(batch["text"]).sum(axis=0, dtype=np.int64)
        for row in batch.filter(batch["masked"].is_valid()).to_pylist():
            if any(row["text"].count(f"<{kind.upper()}>") < n for kind, n in numbers_in(row["masked"]).items()):
                yield f"document {row['id']} has fewer placeholders than it should have: {row['masked']}"
    shards = pa.concat_tables([MASKED.empty_table(), *in_shards]).sort_by("id")
    total = sum_of(found.masked["masked"])
    if not shards.equals(found.masked):
        yield f"{posixpath.join(folder, DATA)} and the ledger do not say the same of what is masked in which documents"
    if total != collections.Counter(kinds):
        yield f"{posixpath.join(folder, LEDGER)} counts {dict(total)} as masked, and the manifest says {kinds}"
    for number in numbers:
        if left[number]:
            yield f"{posixpath.join(folder, DATA)} still has {left[number]:,} of the kind {KINDS[number]}, which is masked"
    if kinds:
        said = ", ".join(f"{kind} {n:,}" for kind, n in kinds.items())
        lines.append(
            f"masked        {said}, in {plural(shards.num_rows, 'document')}; the texts have none of these kinds"
        )


def _ledger(folder: str) -> _LedgerFacts:
    rows, kept, places = 0, [], []
    dropped: collections.Counter[str] = collections.Counter()
    files: dict[tuple[str, str], int] = {}
    masked = [MASKED.empty_table()]
    for path in ledger_files(folder):
        for batch in ledger_batches(path, OF_LEDGER, ROWS_AT_ONCE, newer=["masked"]):
            rows += batch.num_rows
            masked.append(_masked_rows(batch))
            with reading(path):
                kept.append(_as_ids(batch["id"].filter(batch["kept"])))
                places.append(_places(batch, files))
                reasons = pc.value_counts(batch["reason"].filter(pc.invert(batch["kept"]))).to_pylist()
                dropped.update({row["values"] or "no reason": row["counts"] for row in reasons})
    together = np.concatenate(places) if places else np.zeros(0, np.int64)
    ids = np.sort(np.concatenate(kept)) if kept else np.zeros(0, "S32")
    return _LedgerFacts(rows, len(np.unique(together)), ids, dict(dropped), pa.concat_tables(masked).sort_by("id"))


def _masked_rows(ledger: pa.RecordBatch) -> pa.Table:
    """MASKED of some rows; nothing of those from before texts were masked."""
    if "masked" not in ledger.schema.names:
        return MASKED.empty_table()
    rows = ledger.filter(pc.and_(ledger["kept"], ledger["masked"].is_valid()))
    return pa.Table.from_batches([rows]).select(MASKED.names).cast(MASKED)


def _places(batch: pa.RecordBatch, files: dict[tuple[str, str], int]) -> npt.NDArray[np.int64]:
    """Source, file and row as one number."""
    source, path = (batch[name].dictionary_encode() for name in ("source", "path"))
    pair = source.indices.to_numpy().astype(np.int64) * max(1, len(path.dictionary)) + path.indices.to_numpy()
    different, inverse = np.unique(pair, return_inverse=True)
    names = [divmod(int(one), max(1, len(path.dictionary))) for one in different]
    keys = [(source.dictionary[s].as_py(), path.dictionary[p].as_py()) for s, p in names]
    numbers = np.array([files.setdefault(key, len(files)) for key in keys], np.int64)
    return numbers[inverse] * PLACES_IN_A_FILE + batch["row"].to_numpy()


def _as_ids(column: pa.StringArray) -> npt.NDArray[np.bytes_]:
    """Ids of 32 hexadecimal digits, S32[n]."""
    fixed = pc.cast(column, pa.binary(32))
    return np.frombuffer(fixed.buffers()[1], "S32", len(fixed), 32 * fixed.offset) if len(fixed) else np.zeros(0, "S32")


def _ids(shards: list[str]) -> npt.NDArray[np.bytes_]:
    parts = [np.zeros(0, "S32")]
    for path in shards:
        with opened(path) as file:
            parts += [_as_ids(batch["id"]).copy() for batch in file.iter_batches(ROWS_AT_ONCE, columns=["id"])]
    return np.concatenate(parts)


def _quarantined(folder: str) -> int:
    """Records that could not be read: a row of the quarantine stands for `records` of them, or for one where nobody knows."""
    found = 0
    for path in files_of(folder, QUARANTINE):
        found += pc.sum(pc.fill_null(read_table(path, ["records"])["records"], 1)).as_py() or 0
    return int(found)
