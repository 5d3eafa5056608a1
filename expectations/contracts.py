"""The Arrow schemas that cross a boundary between two stages.

A contract is a named schema. `check` refuses a batch that differs, naming the column. Columns are in the order in
which they appear in docs/ARCHITECTURE.md, and every name is in docs/GLOSSARY.md (a test holds the two together).
"""

import dataclasses

import pyarrow as pa

HASH = pa.binary(16)
WHEN = pa.timestamp("us", tz="UTC")

# Origin as a small number in batches; the word in everything a person reads.
ORIGINS = ("unknown", "human", "synthetic")
UNKNOWN, HUMAN, SYNTHETIC = range(3)
BASES = ("none", "declared", "detector", "credential", "watermark", "date", "boilerplate", "reviewed")
(
    BASIS_NONE,
    BASIS_DECLARED,
    BASIS_DETECTOR,
    BASIS_CREDENTIAL,
    BASIS_WATERMARK,
    BASIS_DATE,
    BASIS_BOILERPLATE,
    BASIS_REVIEWED,
) = range(len(BASES))
# What rests on nothing, or on a detector: its share is an estimate with a bound.
GUESSED = (BASIS_NONE, BASIS_DETECTOR)

# Who is believed where two speak: the first of these that says anything (docs/decisions/0015).
AUTHORITY = (
    BASIS_CREDENTIAL,
    BASIS_DECLARED,
    BASIS_WATERMARK,
    BASIS_REVIEWED,
    BASIS_DATE,
    BASIS_BOILERPLATE,
    BASIS_DETECTOR,
)
assert sorted((BASIS_NONE, *AUTHORITY)) == list(range(len(BASES))), "a basis has no authority"
# A document that rests on one of these counts as what it says. A date leaves a prior, a detector an estimate.
SETTLED = (BASIS_CREDENTIAL, BASIS_DECLARED, BASIS_WATERMARK, BASIS_REVIEWED, BASIS_BOILERPLATE)
PRIOR_UNIT = 10_000  # `machine_prior` counts in parts of this

# `evidence` is all that spoke of a document: two bits for each basis, at twice its number, an index into ORIGINS; above
# them what was found and is not believed (transforms/kernels/choosing/evidence.py).
CREDENTIAL_SILENT, CREDENTIAL_MALFORMED = 1 << 16, 1 << 17
# Written, or collected without a date, after the newest generator that the detector knows: its estimate does not vouch for it.
OUT_OF_TIME = 1 << 18


class ContractError(Exception):
    """A batch broke a promise between two stages: a bug of ours, never the user's."""


@dataclasses.dataclass(frozen=True)
class Contract:
    """A schema with a name."""

    name: str
    schema: pa.Schema

    def check(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return `batch` if it has exactly this schema; raise `ContractError` naming the first column that differs."""
        if batch.schema.equals(self.schema):
            return batch
        for want, have in zip(self.schema, batch.schema, strict=False):
            if want != have:
                raise ContractError(f"{self.name}: expected column {want}, got {have}")
        raise ContractError(f"{self.name}: expected columns {self.schema.names}, got {batch.schema.names}")

    def batch(self, columns: dict[str, object]) -> pa.RecordBatch:
        """Build a batch from one array (or sequence) per column, cast to the contract's types."""
        arrays = []
        for field in self.schema:
            value = columns[field.name]
            array = value if isinstance(value, pa.Array) else pa.array(value, type=field.type)
            arrays.append(array if array.type == field.type else array.cast(field.type))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def empty(self) -> pa.RecordBatch:
        """A batch of no rows."""
        return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in self.schema], schema=self.schema)


def _contract(name: str, *fields: pa.Field) -> Contract:
    return Contract(name, pa.schema(list(fields)))


def _required(name: str, dtype: pa.DataType) -> pa.Field:
    return pa.field(name, dtype, nullable=False)


# What a reader yields: one row per readable record of a split, in the order of the split.
DOCUMENT = _contract(
    "DOCUMENT",
    _required("doc_id", HASH),
    _required("file", pa.int32()),  # which file of the split
    _required("row", pa.int64()),  # 0-based line, Parquet row, or 0, inside that file
    pa.field("id", pa.string()),  # the input's own id; null if it has none
    _required("text", pa.large_string()),
    pa.field("created", WHEN),  # null: unknown
    pa.field("language", pa.string()),  # its tag (expectations/language_tags.py), as the input says
    pa.field("url", pa.string()),
    _required("declared_origin", pa.int8()),  # index into ORIGINS; unknown where nothing is declared
    pa.field("generator", pa.string()),
    pa.field("kind", pa.string()),  # of synthetic text, in lower case
    pa.field("stratum", pa.string()),  # any column of the input that the mixture is to know
    pa.field("derived_from", pa.string()),  # the input's own id of what it was made of; null of human text
    pa.field("verifier", pa.string()),  # who accepted it
    pa.field("author", pa.string()),
    pa.field("licence", pa.string()),  # as the row says it, or its source
    pa.field(
        "not_understood", pa.string()
    ),  # one line, `field: value`, for each declared value that says nothing to us
)

# A record that could not be read.
QUARANTINE = _contract(
    "QUARANTINE",
    _required("source", pa.string()),
    _required("path", pa.string()),
    _required("row", pa.int64()),  # -1: the file as a whole
    _required("reason", pa.string()),
    _required("detail", pa.string()),
    _required("raw", pa.binary()),  # the first bytes of it, at most `ingest.RAW_BYTES`
    pa.field("records", pa.int64()),  # that the row stands for; null: nobody knows; 0: a remark, nothing is lost
    _required("n_bytes", pa.int64()),  # in storage, about, of records that nobody can count
)


def signals(num_perm: int) -> Contract:
    """What the survey leaves of a document, in the signal store: no text but the head of sampled documents."""
    return _contract(
        "SIGNALS",
        _required("doc_id", HASH),
        pa.field("id", pa.string()),
        _required("file", pa.int32()),
        _required("row", pa.int64()),
        _required("content_hash", HASH),  # of the canonical text
        _required("signature", pa.binary(4 * num_perm)),  # uint32[num_perm], little-endian
        pa.field(
            "url_hash", pa.uint64()
        ),  # of its address in comparable form (kernels/text/urls.py); null: it has none
        pa.field("url", pa.string()),
        pa.field("host", pa.string()),  # of its address, without port and `www.`
        pa.field("author", pa.string()),
        _required("licence", pa.string()),  # in SPDX's words, or "unknown"
        _required("n_shingles", pa.int32()),  # 0: too short for a signature, exact duplicates only
        _required(
            "trace", pa.binary()
        ),  # of drawn documents: transforms/kernels/similarity/duplicate_rate.py; empty: of others
        _required("n_tokens", pa.int32()),  # of the recipe's tokenizer; without one, words and ideographs
        _required("n_words", pa.int32()),  # words and ideographs
        _required("n_chars", pa.int32()),
        _required("n_bytes", pa.int32()),
        pa.field("detector_score", pa.float32()),  # log-odds of machine origin; null: the detector cannot judge it
        _required("detector_band", pa.int8()),  # of its calibration, by language, length and lead; -1: null score
        pa.field("check_score", pa.float32()),  # the same of the second detector, if there is one
        _required("check_band", pa.int8()),
        pa.field("created", WHEN),
        pa.field("language", pa.string()),  # as the input says, else as it was found; null: unknown
        pa.field("language_confidence", pa.float32()),  # of the finding; null: the input says, or the text is no prose
        _required("text_kind", pa.int8()),  # index into kernels/text/prose.py: KINDS; 0: prose
        _required("declared_origin", pa.int8()),
        pa.field("generator", pa.string()),
        _required("evidence", pa.int32()),  # what the text itself shows: credential, watermark, boilerplate
        pa.field("boilerplate", pa.string()),  # id of the phrase that was found
        pa.field("watermark", pa.string()),  # plug-in and key of the hit
        pa.field("watermark_p", pa.float32()),  # smallest p-value of the plug-ins; null: none could say
        pa.field("kind", pa.string()),
        pa.field("stratum", pa.string()),
        pa.field("derived_from", pa.string()),
        pa.field("verifier", pa.string()),
        pa.field("not_understood", pa.string()),  # as in DOCUMENT
        _required("ngrams_1", pa.binary()),  # uint32[], little-endian: see transforms/kernels/statistics/diversity.py
        _required("ngrams_2", pa.binary()),
        _required("ngrams_3", pa.binary()),
        _required("paragraphs", pa.binary()),  # uint64[], little-endian: see transforms/kernels/text/paragraphs.py
        _required("n_paragraphs", pa.int32()),  # different ones
        _required("repeated_tokens", pa.int32()),  # in paragraphs that occurred earlier in the document
        _required(
            "removed_tokens", pa.int32()
        ),  # in paragraphs that were removed; in nothing else that is counted here
        pa.field(
            "compliance", pa.binary()
        ),  # uint16 a system, little-endian: transforms/structures/find.py; null: no systems
        pa.field("contamination", pa.float32()),  # largest overlap with an evaluation item; null: none is looked for
        # uint32[], little-endian: each item that it holds, ascending, and behind each the overlap with it in parts of 10,000
        _required("contaminated_by", pa.binary()),
        pa.field("personal", pa.binary(36)),  # transforms/exclusions/personal_data.py: `Figures`; null: not counted
        _required("first_words", pa.binary()),  # uint32[], little-endian: of sampled documents; empty: of the others
        pa.field("head", pa.large_string()),  # first characters of sampled documents, for the compression ratio
    )


def signed(num_perm: int) -> Contract:
    """What a release keeps of its documents so that later runs can compare theirs with them, in its `signatures/`."""
    return Contract("SIGNED", pa.schema([signals(num_perm).schema.field(name) for name in SIGNED]))


SIGNED = ("doc_id", "content_hash", "url_hash", "n_shingles", "signature")

# What crosses the shuffle to the survivors: one row per document, no text, no signature, no sketches.
CANDIDATE = _contract(
    "CANDIDATE",
    _required("doc_id", HASH),
    _required("split", pa.int32()),
    _required("ordinal", pa.int32()),  # its row in the split's signals
    _required("source", pa.int16()),  # its number in the recipe; -1: an earlier release
    _required("content", pa.uint64()),  # first half of the content hash
    _required("n_tokens", pa.int32()),
    _required("n_bytes", pa.int32()),
    pa.field("created", WHEN),
    _required("origin", pa.int8()),
    _required("origin_basis", pa.int8()),
    _required("detector_band", pa.int8()),
    pa.field("p_synthetic", pa.float32()),  # null: not scorable
    _required("evidence", pa.int32()),  # all that spoke of it
    _required("machine_prior", pa.int32()),  # where origin rests on a date: how many of 10,000 like it are a machine's
    _required("excluded", pa.int8()),  # why it may not be in a release, index into REASONS; 0: it may
)

# What was decided about a document, on its way to the ledger.
DECISION = _contract(
    "DECISION",
    _required("doc_id", HASH),
    _required("split", pa.int32()),
    _required("ordinal", pa.int32()),
    _required("source", pa.int16()),
    _required("kept", pa.bool_()),
    _required("stage", pa.int8()),  # index into STAGES; 0 where kept
    _required("reason", pa.int8()),  # index into REASONS; 0 where kept
    _required("cluster", pa.uint64()),  # first half of the survivor's content hash
    _required("cluster_size", pa.int32()),
    _required("cluster_origins", pa.int8()),  # 1: it has a human member, 2: a synthetic one, 3: both
    _required("survivor_id", HASH),
    pa.field("similarity", pa.float32()),  # Jaccard, to the survivor, of a document that duplicates it; else null
    pa.field("earlier_id", pa.binary()),  # a document of an earlier release that it duplicates
    _required("copies", pa.int32()),
    _required("n_tokens", pa.int32()),
    _required("n_bytes", pa.int32()),
    _required("origin", pa.int8()),
    _required("origin_basis", pa.int8()),
    _required("detector_band", pa.int8()),
    pa.field("p_synthetic", pa.float32()),
    _required("evidence", pa.int32()),
    _required("machine_prior", pa.int32()),
)
STAGES = ("", "ingest", "exclusions", "dedup", "balance")
REASONS = (
    "",
    "empty_text",
    "exact_duplicate",
    "near_duplicate",
    "over_synthetic_share",
    "same_url",
    "in_earlier_release",
    "over_limit",
    "contaminated",
    "withdrawn",
    "licence",
)
# What a document is before it is held against any other: it never stands for one that stays.
EXCLUDED = ("empty_text", "contaminated", "withdrawn", "licence")
DUPLICATE_HERE = ("exact_duplicate", "near_duplicate", "same_url")  # of a document of this corpus
DUPLICATE = (*DUPLICATE_HERE, "in_earlier_release")

# What dedup left, as the mixture sees it, in the signal store: one row for each document that is kept so far.
OFFER = _contract(
    "OFFER",
    _required("doc_id", HASH),
    _required("ordinal", pa.int32()),
    _required("source", pa.int16()),
    _required("n_tokens", pa.int32()),
    _required("origin", pa.int8()),
    _required("origin_basis", pa.int8()),
    _required("detector_band", pa.int8()),
    _required("machine_prior", pa.int32()),
    pa.field("detector_score", pa.float32()),
    pa.field("language", pa.string()),
    pa.field("generator", pa.string()),
    pa.field("kind", pa.string()),
    pa.field("stratum", pa.string()),
    pa.field("structures", pa.binary()),  # as `compliance`, within the whole slice of each system; null: no systems
    _required("again", pa.bool_()),  # it duplicates a document of an earlier release
)

# One row per input document: kept or not, where, why, and which document stands for it.
LEDGER = _contract(
    "LEDGER",
    _required("id", pa.string()),  # hexadecimal; the same in the release
    pa.field("input_id", pa.string()),  # the input's own id
    _required("source", pa.string()),
    _required("path", pa.string()),
    _required("row", pa.int64()),
    _required("kept", pa.bool_()),
    pa.field("stage", pa.string()),
    pa.field("reason", pa.string()),
    _required("cluster_id", pa.string()),
    _required("cluster_size", pa.int32()),
    _required("survivor_id", pa.string()),
    pa.field("similarity", pa.float32()),  # Jaccard, to the survivor; null for a document that duplicates none
    pa.field("earlier_id", pa.string()),  # a document of an earlier release that it duplicates
    _required("copies", pa.int32()),
    _required("n_tokens", pa.int32()),
    _required("removed_tokens", pa.int32()),  # in paragraphs that were removed; not in n_tokens
    _required("origin", pa.string()),
    _required("origin_basis", pa.string()),
    _required(
        "evidence", pa.string()
    ),  # all that spoke, the highest authority first: "declared:human detector:synthetic"
    pa.field("language", pa.string()),  # as the input says, else as it was found
    pa.field("created", WHEN),
    pa.field("generator", pa.string()),
    pa.field("stratum", pa.string()),
    pa.field("url", pa.string()),  # its address; null also where it was withdrawn, as are its host and author
    pa.field("host", pa.string()),
    pa.field("author", pa.string()),
    _required("licence", pa.string()),  # in SPDX's words, or "unknown"
    pa.field("boilerplate", pa.string()),  # id of the phrase that was found
    pa.field("watermark", pa.string()),  # plug-in and key of the hit
    pa.field("watermark_p", pa.float32()),
    pa.field("p_synthetic", pa.float32()),
    pa.field("contamination", pa.float32()),  # largest overlap with an evaluation item; null: none is looked for
    pa.field("contaminated_by", pa.list_(pa.string())),  # the items that it holds, each "<set>/<item>"; null: none
    pa.field(
        "text_kind", pa.string()
    ),  # of a text that is no prose, and so has no score: code, markup, data, log or links
    pa.field("masked", pa.string()),  # placeholders in the text that is released: "email:2 phone:1"; null: none
)


def release(keep: tuple[str, ...]) -> Contract:
    """What a user gets in a shard. `keep` are the input's own columns, as strings."""
    return _contract(
        "RELEASE",
        _required("id", pa.string()),  # as in the ledger
        pa.field("input_id", pa.string()),  # the input's own id
        _required("text", pa.large_string()),
        _required("source", pa.string()),
        pa.field("created", WHEN),
        pa.field("language", pa.string()),  # as the input says, else as it was found
        pa.field("language_confidence", pa.float32()),  # of the finding; null: the input says, or the text is no prose
        _required("n_tokens", pa.int32()),
        _required("origin", pa.string()),
        _required("origin_basis", pa.string()),
        _required("evidence", pa.string()),  # as in the ledger
        pa.field("p_synthetic", pa.float32()),
        pa.field("generator", pa.string()),
        pa.field("kind", pa.string()),
        _required("cluster_size", pa.int32()),
        _required("copies", pa.int32()),
        _required("licence", pa.string()),  # as in the ledger
        pa.field("earlier_id", pa.string()),  # a document of an earlier release that it duplicates, if that only tags
        pa.field("contamination", pa.float32()),  # as in the ledger
        pa.field("contaminated_by", pa.list_(pa.string())),
        pa.field("masked", pa.string()),  # as in the ledger
        *(pa.field(name, pa.string()) for name in keep),
    )


# Documents whose evidence disagrees and that a person should look at; by reason, then in salted hash order.
REVIEW = _contract(
    "REVIEW",
    _required("id", pa.string()),
    _required("content_hash", pa.string()),  # of the canonical text, hexadecimal: what a label is keyed by
    _required("source", pa.string()),
    _required("reason", pa.string()),  # "<basis that says human>/<basis that says synthetic>"
    _required("evidence", pa.string()),
    pa.field("p_synthetic", pa.float32()),
    _required("n_tokens", pa.int32()),
    _required("text", pa.large_string()),  # its first characters
)

# What people are asked to label: documents of a release and, among them, items of known origin. In the order they are shown.
AUDIT = _contract(
    "AUDIT",
    _required("item", pa.string()),
    _required("stream", pa.string()),  # index into STREAMS, in words; never shown
    _required("draws", pa.list_(pa.int32())),  # of the audit stream: which draws hit this document, ascending, from 0
    pa.field("inclusion", pa.float64()),  # chance of being in the audit stream; null in the others
    _required("content_hash", pa.string()),  # hexadecimal, of the canonical text
    pa.field("id", pa.string()),  # null: not of the release
    _required("text", pa.large_string()),
    pa.field("source", pa.string()),
    pa.field("language", pa.string()),
    pa.field("n_tokens", pa.int32()),
    pa.field("p_synthetic", pa.float32()),
    pa.field("informative", pa.float64()),  # what a label would tell; of the active stream only
    pa.field("gold_label", pa.string()),  # the known origin of a gold item
)
STREAMS = ("audit", "active", "gold")
# Bases on which a document's origin is said by who made it. What rests on another is "undeclared", and audited.
DECLARED_BASES = ("declared", "credential")

# What a release keeps of its documents so that later ones can be held against it: counts, and no text.
SKETCHES = _contract(
    "SKETCHES",
    _required(
        "sketch", pa.string()
    ),  # what is counted: ngrams_1, ...; "documents" counts them, "vector" is one of them
    _required("source", pa.string()),
    _required("language", pa.string()),
    _required("whose", pa.int8()),  # index into transforms/signals/populations.py: EVERYONE
    _required("fold", pa.int8()),  # of hash space
    _required("type", pa.uint32()),  # hash of an n-gram
    _required("count", pa.int64()),  # documents
    _required("below", pa.int64()),  # the part of hash space that was counted
    pa.field("vector", pa.binary()),  # int8[]: transforms/kernels/similarity/embedding.py
)
SKETCHES_FORM = "1"  # raise it when a sketch counts something else: two forms cannot be compared

# Every number of a release, in long form; the table that the suite is judged on.
METRICS = _contract(
    "METRICS",
    _required("metric", pa.string()),
    _required("stage", pa.string()),  # "before" (all that was read), "deduplicated" or "after" (the release)
    _required("slice_kind", pa.string()),  # of expectations/wording.py: SLICE_KINDS
    _required("slice", pa.string()),  # "" where the kind is overall
    pa.field("value", pa.float64()),  # null: could not be measured
    pa.field("lower", pa.float64()),
    pa.field("upper", pa.float64()),
    _required("unit", pa.string()),
    _required("n", pa.int64()),  # how many documents it rests on
    pa.field("note", pa.string()),  # method and assumptions
    pa.field("needed", pa.int64()),  # documents it takes to judge the number; with fewer it is inconclusive
)
