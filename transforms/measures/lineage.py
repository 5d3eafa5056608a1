"""From what synthetic text was made, and who accepted it: rephrasings by source document, depths, kinds, verifiers -> METRICS.

`derived_from` names the source of a document by the input's own id, in whatever source of the recipe. A node is such an id, by
its hash; its rows say how much was made of it and whether it is released, or synthetic, itself. In bounded memory (`bounded.py`):
where there are very many nodes they are a sample by hash, each of them with all that was made of it.
"""

import collections
import dataclasses
import re
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations import contracts
from expectations.metrics.row import Row
from transforms.kernels.statistics import hill
from transforms.kernels.text.columns import halves, hash_texts, joined
from transforms.measures.bounded import Bounded, BoundedPart

NEEDED = ["id", "derived_from", "verifier", "generator"]
MOST_ROWS = 1 << 20
NOTHING = "nothing synthetic is released that names a source document, or nothing synthetic at all"
UNVERIFIED = "nothing was accepted by a verifier"
SHOWN = 20  # verifiers that have a row of their own
_KEY = ("node", "generator")
_SUMS = ("read", "kept", "tokens", "own_kept", "own_synthetic")
_SCHEMA = pa.schema(
    [
        ("node", pa.uint64()),
        ("generator", pa.string()),  # of what was made of the node; empty: the row is the node's own
        ("read", pa.int64()),  # documents that were made of it
        ("kept", pa.int64()),
        ("tokens", pa.int64()),  # of those that are kept
        ("own_kept", pa.int64()),  # documents of this id in the release
        ("own_synthetic", pa.int64()),  # documents of this id that are synthetic
    ]
)


def _node_hashes(table: pa.Table) -> npt.NDArray[np.uint64]:
    return table["node"].to_numpy() >> np.uint64(32)


NODES = Bounded(_SCHEMA, _KEY, dict.fromkeys(_SUMS, "sum"), _node_hashes, MOST_ROWS)


@dataclasses.dataclass
class Lineage:
    """What was counted of it; mergeable.

    Attributes:
      nodes: parts that are not merged yet.
      verified: [documents, tokens] of the release by (verifier, whether it is of the generator's family).
      synthetic: the same of all synthetic text of the release: [0] documents, [1] tokens; [2], [3] of those that name a source.
    """

    nodes: list[BoundedPart] = dataclasses.field(default_factory=list)
    verified: collections.Counter[tuple[str, bool, str]] = dataclasses.field(default_factory=collections.Counter)
    synthetic: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)


def count_split(decisions: pa.RecordBatch, signals: pa.Table) -> Lineage:
    """Count one split.

    Args:
      decisions: DECISION for every document of the split, by ordinal.
      signals: the columns `NEEDED`, in the same order.
    """
    ids, made_of, verifier, generator = (joined(signals[name]) for name in NEEDED)
    kept, tokens = decisions["kept"], decisions["n_tokens"].cast(pa.int64())
    copies = np.maximum(decisions["copies"].to_numpy().astype(np.int64), 1)
    tokens = pc.multiply(tokens, copies)
    synthetic = pc.equal(decisions["origin"], contracts.SYNTHETIC)
    found = Lineage(nodes=[_nodes(ids, made_of, generator.fill_null("unknown"), kept, tokens, synthetic)])
    released = pc.and_(kept, synthetic)
    for name, chosen in (("", released), ("derived ", pc.and_(released, made_of.is_valid()))):
        found.synthetic[f"{name}documents"] = pc.sum(chosen).as_py() or 0
        found.synthetic[f"{name}tokens"] = pc.sum(tokens.filter(chosen)).as_py() or 0
    if verifier.null_count < len(verifier):
        table = pa.table({"verifier": verifier, "generator": generator.fill_null(""), "tokens": tokens})
        table = table.filter(pc.and_(released, verifier.is_valid()))
        sums = table.group_by(["verifier", "generator"], use_threads=False).aggregate(
            [("tokens", "count"), ("tokens", "sum")]
        )
        for row in sums.to_pylist():
            same = family(row["verifier"]) == family(row["generator"]) != ""
            found.verified[row["verifier"], same, "documents"] += row["tokens_count"]
            found.verified[row["verifier"], same, "tokens"] += row["tokens_sum"]
    return found


def family(model: str) -> str:
    """The letters that a model's name begins with, behind the last slash: "llama" of meta-llama/Llama-3-70B."""
    return re.match("[a-z]*", model.rpartition("/")[2].strip().lower()).group()  # type: ignore[union-attr]


def merge(parts: Iterable[Lineage]) -> Lineage:
    """What was counted in all documents of the parts. Commutative and associative."""
    total = Lineage()
    for part in parts:
        total.nodes.extend(part.nodes)
        total.verified.update(part.verified)
        total.synthetic.update(part.synthetic)
    total.nodes = NODES.compact(total.nodes)
    return total


def _nodes(
    ids: pa.StringArray,
    made_of: pa.StringArray,
    generator: pa.StringArray,
    kept: pa.BooleanArray,
    tokens: pa.Int64Array,
    synthetic: pa.BooleanArray,
) -> BoundedPart:
    n, flag = len(ids), kept.cast(pa.int64())
    none, one = pa.array(np.zeros(n, np.int64)), pa.array(np.ones(n, np.int64))
    own = pa.table(
        [_hashes(ids), pa.repeat("", n), none, none, none, flag, synthetic.cast(pa.int64())], schema=_SCHEMA
    ).filter(ids.is_valid())
    children = pa.table(
        [_hashes(made_of), generator, one, flag, pc.multiply(tokens, flag), none, none], schema=_SCHEMA
    ).filter(made_of.is_valid())
    return NODES.count(pa.concat_tables([own, children]))


def _hashes(names: pa.StringArray) -> pa.UInt64Array:
    return pa.array(halves(hash_texts(names.fill_null("").cast(pa.large_string())))[0])


def lineage_rows(found: Lineage) -> Iterator[Row]:
    """The rows of METRICS; none if nothing was counted."""
    if not found.nodes:
        return
    nodes = NODES.merge(found.nodes)
    n, tokens = found.synthetic["documents"], found.synthetic["tokens"]
    named = found.synthetic["derived tokens"]
    note = "of synthetic text; the others name no source" if tokens else NOTHING
    yield Row(metric="lineage.known", value=named / tokens if tokens else None, n=n, note=note)
    yield from _fan_out(nodes)
    yield from _depths(nodes)
    yield from _verifiers(found, n, tokens)


def _fan_out(nodes: BoundedPart) -> Iterator[Row]:
    made = nodes.rows.group_by("node", use_threads=False).aggregate([(name, "sum") for name in _SUMS])
    one_in = nodes.one_in
    for stage, column in (("before", "read"), ("after", "kept")):
        times = made[f"{column}_sum"].to_numpy()
        own, times = made["own_kept_sum"].to_numpy()[times > 0], times[times > 0]
        total = int(times.sum())
        sample = "" if one_in == 1 else f"; of a sample of 1 source document in {one_in:g}"
        row = Row(stage=stage, n=total, note=f"documents that were made of one source document{sample}")
        nothing: Row = {"value": None, "note": NOTHING}
        for metric, value in (
            ("lineage.fan_out_mean", times.mean() if total else None),
            ("lineage.fan_out_max", times.max() if total else None),
            ("lineage.seeds", len(times) * one_in),
            # Hill's number of order 2: of a part of the seeds both sums are that part of the whole.
            (
                "lineage.effective_seeds",
                total**2 / float((times.astype(np.float64) ** 2).sum()) * one_in if total else None,
            ),
        ):
            yield row | (
                {"metric": metric, "value": float(value)} if value is not None else nothing | {"metric": metric}
            )
        if stage == "after":
            both: Row = {"value": int(times[own > 0].sum()) / total} if total else nothing
            yield row | {"metric": "lineage.both_kept", "note": "their source document is released too"} | both


def _depths(nodes: BoundedPart) -> Iterator[Row]:
    """A source that is human, or not in the input, makes depth 1; one that is synthetic makes 2 or more."""
    rows = nodes.rows
    deep = pc.is_in(rows["node"], value_set=rows["node"].filter(pc.greater(rows["own_synthetic"], 0)))
    made = rows.filter(pc.greater(rows["kept"], 0)).append_column("deep", deep.filter(pc.greater(rows["kept"], 0)))
    documents = pc.sum(made["kept"]).as_py() or 0
    second = pc.sum(made["kept"].filter(made["deep"])).as_py() or 0
    yield Row(
        metric="lineage.deep_share",
        value=second / documents if documents else None,
        n=documents,
        note="of documents that name a source: it is synthetic itself" if documents else NOTHING,
    )
    for depth, chosen in (("1", pc.invert(made["deep"])), ("2 or more", made["deep"])):
        own = (
            made.filter(chosen).group_by("generator", use_threads=False).aggregate([("tokens", "sum"), ("kept", "sum")])
        )
        total = pc.sum(own["tokens_sum"]).as_py() or 0
        if not total:
            continue
        shares = np.sort(own["tokens_sum"].to_numpy() / total)
        row = Row(slice_kind="depth", slice=depth, n=pc.sum(own["kept_sum"]).as_py())
        yield row | {"metric": "lineage.generator_max_share", "value": float(shares.max())}
        yield row | {"metric": "lineage.generator_effective_number", "value": float(hill.of_shares(shares)[0])}


def _verifiers(found: Lineage, n: int, tokens: int) -> Iterator[Row]:
    of: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    same: collections.Counter[str] = collections.Counter()
    for (name, alike, unit), count in found.verified.items():
        of[name][unit] += count
        same[unit] += count * alike
    verified = sum(one["tokens"] for one in of.values())
    yield Row(
        metric="verifier.share",
        value=verified / tokens if tokens else None,
        n=n,
        note="of synthetic text" if tokens else NOTHING,
    )
    documents = sum(one["documents"] for one in of.values())
    note = "of what a verifier accepted; a family is what the names of models begin with" if verified else UNVERIFIED
    row = Row(n=documents, note=note)
    yield row | {"metric": "verifier.same_family", "value": same["tokens"] / verified if verified else None}
    largest = sorted(((one["tokens"], name) for name, one in of.items()), key=lambda one: (-one[0], one[1]))
    most = largest[0][0] / verified if verified else None
    yield Row(
        metric="verifier.max_share",
        value=most,
        n=documents,
        note="of what a verifier accepted" if verified else UNVERIFIED,
    )
    for count, name in largest[:SHOWN]:
        yield Row(
            metric="verifier.share", slice_kind="verifier", slice=name, value=count / tokens, n=of[name]["documents"]
        )
