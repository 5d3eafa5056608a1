"""`diff` and `history`: what became of a corpus from release to release, from what the releases hold."""

import contextlib
import dataclasses
import json
import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from expectations import release_diff, wording
from expectations.release_diff import Movement
from expectations.report.diff_page import FATES, render_difference
from pipeline.assembly import WITHDRAWAL
from pipeline.reading.ledger_parts import in_parts, n_parts
from pipeline.reading.outputs import an_answer, check_output, save
from transforms.dedup.earlier_releases import MANIFEST
from transforms.release.read_release import (
    is_there,
    ledger_batches,
    ledger_files,
    ledger_rows,
    read_manifest,
    read_metrics,
    reading,
)

SCHEMA = pa.schema([("id", pa.string()), ("source", pa.string()), ("origin", pa.string()), ("n_tokens", pa.int64())])
PART_ROWS = 1 << 18  # documents of a release that are held at a time, some 300 bytes each with their look-up


@dataclasses.dataclass(frozen=True)
class ComparedRelease:
    """What a comparison reads of a release at once."""

    folder: str
    name: str
    metrics: list[dict[str, Any]]
    detector: str | None
    tokenizer: str | None = None  # digest of what counted its tokens; None: words were counted
    shards: tuple[str, ...] = ()  # their digests, by the manifest: two releases with the same ones are the same corpus
    withdrawn: bool = False  # whether documents were withdrawn from it: most of its numbers are of before


def read_release(folder: str) -> ComparedRelease:
    """The metrics and the manifest of a release, or of a rejection, which has none.

    Raises:
      ReleaseError: there is no release, or one of the two is damaged.
    """
    folder = folder.rstrip("/") or folder
    metrics = read_metrics(folder).to_pylist()
    manifest = read_manifest(folder)[0] if is_there(folder, MANIFEST) else {}
    name = str(manifest.get("release") or posixpath.basename(folder))
    shards = [file for file in manifest.get("files", []) if file["path"].startswith("data/")]
    digests = tuple(sorted(str(file.get("sha256")) for file in shards))
    return ComparedRelease(
        folder,
        name,
        metrics,
        manifest.get("detector_sha256"),
        (manifest.get("tokenizer") or {}).get("sha256"),
        digests,
        is_there(folder, WITHDRAWAL),
    )


def moved_between(first: ComparedRelease, second: ComparedRelease) -> list[Movement]:
    """What moved, early signs first."""
    alike = first.detector == second.detector, first.tokenizer == second.tokenizer
    return release_diff.movements(first.metrics, second.metrics, first.name, *alike)


def called(releases: Sequence[ComparedRelease]) -> str:
    """What `n_tokens` counts in all of them: "words" or "tokens"; both where they differ."""
    units = {wording.unit_of(one.metrics) for one in releases}
    return units.pop() if len(units) == 1 else wording.EITHER


def documents_between(first: str, second: str) -> dict[str, Any]:
    """Which documents stayed, came and went, by the ledgers: counts and tokens, by source and origin.

    A document is the same if its `id` is: the same source, own id and text. One part of the ledgers is held at a time,
    cut by the first digits of the id.

    Returns:
      `fates`: (fate, source, origin) -> (documents, tokens); `relabelled`: (origin before, after) -> documents.

    Raises:
      ReleaseError: a release has no ledger, or a part of it is gone or damaged.
    """
    fates: Counter[tuple[str, str, str]] = Counter()
    tokens: Counter[tuple[str, str, str]] = Counter()
    relabelled: Counter[tuple[str, str]] = Counter()
    sides = [ledger_files(folder) for folder in (first, second)]
    parts = n_parts(max(sum(map(ledger_rows, paths)) for paths in sides), PART_ROWS)
    with contextlib.ExitStack() as stack:
        cut = [stack.enter_context(in_parts(_kept(paths), SCHEMA, parts)) for paths in sides]
        for a, b in zip(*cut, strict=True):
            for fate, table in _fates(a.combine_chunks(), b.combine_chunks(), relabelled):
                for row in (
                    table.group_by(["source", "origin"])
                    .aggregate([("n_tokens", "count"), ("n_tokens", "sum")])
                    .to_pylist()
                ):
                    key = (fate, row["source"], row["origin"])
                    fates[key] += row["n_tokens_count"]
                    tokens[key] += row["n_tokens_sum"]
    return {
        "fates": {key: (n, tokens[key]) for key, n in sorted(fates.items())},
        "relabelled": dict(sorted(relabelled.items())),
    }


def _kept(paths: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for path in paths:
        for batch in ledger_batches(path, [*SCHEMA.names, "kept"]):
            with reading(path):
                kept = batch.filter(batch["kept"])
                kept = pa.RecordBatch.from_arrays([kept[f.name].cast(f.type) for f in SCHEMA], schema=SCHEMA)
            yield kept


def _fates(a: pa.Table, b: pa.Table, relabelled: Counter[tuple[str, str]]) -> Iterator[tuple[str, pa.Table]]:
    at = pc.index_in(b["id"], value_set=a["id"])
    stayed = pc.is_valid(at)
    both = b.filter(stayed)
    yield "stayed", both
    yield "came", b.filter(pc.invert(stayed))
    yield "went", a.filter(pc.invert(pc.is_in(a["id"], value_set=b["id"])))
    was = a["origin"].take(at.filter(stayed))
    changed = pc.not_equal(was, both["origin"])
    for pair in zip(was.filter(changed).to_pylist(), both["origin"].filter(changed).to_pylist(), strict=True):
        relabelled[pair] += 1


def difference(first: str, second: str, form: str, html: str | None = None, force: bool = False) -> tuple[str, bool]:
    """What `diff` answers, and whether the second release is worse.

    Args:
      first, second: folders of releases.
      form: "text" or "json".
      html: a file to write the same to as a page.
      force: whether a file that is there, and no such page, may be replaced.

    Raises:
      ReleaseError: one of them is no release, or damaged.
      RecipeError: the page cannot be written.
    """
    if html is not None:
        check_output(html, [first, second], force, an_answer, "--html")
    releases = read_release(first), read_release(second)
    found = moved_between(*releases)
    documents = documents_between(*(one.folder for one in releases))
    verdict, unit = release_diff.verdict(found), called(releases)
    if html is not None:
        save(render_difference([one.name for one in releases], found, verdict, documents, unit), html)
    if form == "json":
        return _json(releases, found, documents, verdict), verdict.status == "worse"
    lines = [f"{releases[0].name} -> {releases[1].name}", "", *_documents(documents, unit), ""]
    lines += ["numbers, early signs of collapse first (limits of 3 standard errors)", *release_diff.as_lines(found), ""]
    lines += [f"verdict: {verdict.line}", *map(_of_before, (one.name for one in releases if one.withdrawn))]
    return "\n".join(map(wording.one_line, lines)) + "\n", verdict.status == "worse"


def difference_page(first: str, second: str) -> str:
    """The page of `difference`, for who has no file to write it to.

    Raises:
      ReleaseError: one of the two is no release, or damaged.
    """
    releases = read_release(first), read_release(second)
    found = moved_between(*releases)
    documents = documents_between(first, second)
    names = [one.name for one in releases]
    return render_difference(names, found, release_diff.verdict(found), documents, called(releases))


def _of_before(name: str) -> str:
    return f"{name}: documents were withdrawn from it; its numbers but counts are of before, and cannot have moved"


def _json(
    releases: Sequence[ComparedRelease],
    found: list[Movement],
    documents: dict[str, Any],
    verdict: release_diff.Comparison,
) -> str:
    answer = {
        "format": "lowbackground.diff/1",
        "releases": [one.name for one in releases],
        "numbers_of_before_a_withdrawal": [one.name for one in releases if one.withdrawn],
        "verdict": dataclasses.asdict(verdict),
        "documents": [
            {"fate": fate, "source": source, "origin": origin, "documents": n, "tokens": tokens}
            for (fate, source, origin), (n, tokens) in documents["fates"].items()
        ],
        "relabelled": [{"from": a, "to": b, "documents": n} for (a, b), n in documents["relabelled"].items()],
        "movements": [dataclasses.asdict(one) for one in found],
    }
    return json.dumps(answer, indent=2, allow_nan=False) + "\n"


def _documents(documents: dict[str, Any], unit: str) -> Iterator[str]:
    fates = documents["fates"]

    def total(fate: str, **where: str) -> tuple[int, int]:
        chosen = [
            value
            for (f, source, origin), value in fates.items()
            if f == fate and where.get("source", source) == source and where.get("origin", origin) == origin
        ]
        return sum(n for n, _ in chosen), sum(tokens for _, tokens in chosen)

    yield f"  {f'documents ({unit})':28.28}" + "".join(f"{fate:>26}" for fate in FATES)
    groups: list[tuple[str, dict[str, str]]] = [("all", {})]
    groups += [(f"source {name}", {"source": name}) for name in sorted({key[1] for key in fates})]
    groups += [(f"origin {name}", {"origin": name}) for name in sorted({key[2] for key in fates})]
    for label, where in groups:
        counts = (total(fate, **where) for fate in FATES)
        yield f"  {label:28.28}" + "".join(f"{f'{n:,} ({tokens:,})':>26}" for n, tokens in counts)
    human = {fate: total(fate, origin="human")[1] for fate in FATES}
    if human["stayed"] + human["went"]:
        kept = human["stayed"] / (human["stayed"] + human["went"])
        yield f"  human {unit} of the first that the second still has: {wording.number(kept, 'share')}"
    every = sum(total(fate)[1] for fate in ("stayed", "came"))
    if every:
        yield f"  {unit} of the second that are human and new: {wording.number(human['came'] / every, 'share')}"
    for (was, now), n in documents["relabelled"].items():
        yield f"  {n:,} that stayed are now called {now}, and were {was}"
