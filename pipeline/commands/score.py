"""`score`: any input scored by a detector, without the pipeline around it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from expectations import contracts
from expectations.loading import nearest
from expectations.wording import plural
from pipeline.reading.input_columns import columns_of
from pipeline.reading.outputs import check_output, written
from pipeline.recipe import RecipeError
from transforms.detector import calibration, languages
from transforms.detector.detector import Detector, load_detector
from transforms.ingest.columns import kept_as
from transforms.ingest.readers import read_split
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import Fields, InputError, Source, Split, plan_splits
from transforms.kernels.text import prose
from transforms.kernels.text.columns import hexadecimal
from transforms.kernels.text.text import canonicalise, count_words

COLUMNS = [
    pa.field("id", pa.string()),  # the input's own id
    pa.field("doc_id", pa.string(), nullable=False),
    pa.field("log_odds", pa.float32()),  # null: too short, no prose, or in a language that was not calibrated
    pa.field("p_synthetic", pa.float32()),
    pa.field("origin", pa.string(), nullable=False),
    pa.field("n_tokens", pa.int32(), nullable=False),
    pa.field("language", pa.string()),  # as the input says, else as it was found; null: unknown
    pa.field("language_confidence", pa.float32()),  # of the finding
    pa.field("text_kind", pa.string()),  # of a text that is no prose, and so has no score
]


def score_input(
    data: Sequence[str], output: str, keep: tuple[str, ...], text: str | None, model: str | None, force: bool = False
) -> dict[str, Any]:
    """Score every document of some files and write one Parquet file; say what was found, for `scored_text`.

    Raises:
      RecipeError: a column to keep is called as one of the output's own, or the input has none of its name; or the output
        must not be written (`outputs.check_output`).
      InputError, DetectorError: there is nothing to read, or no detector to read it with.
    """
    taken = {field.name for field in COLUMNS}
    clash = next((name for name in keep if name in taken), None)
    if clash is not None:
        raise RecipeError(f"--keep {clash}: the output has a column of that name already ({', '.join(sorted(taken))})")
    check_output(output, [*data, *([model] if model else [])], force)
    detector = load_detector(model)
    source = Source(name="input", path=tuple(data), fields=Fields(text=text))
    splits = plan_splits([source])
    known, every = columns_of(splits, [source])
    _refuse_unknown(keep if every else [name for name in keep if "," in name], known)
    held: set[str] = set()
    schema = pa.schema([*COLUMNS, *(pa.field(name, pa.string()) for name in keep)])
    found = {"documents": 0, "bad": 0, **dict.fromkeys(contracts.ORIGINS, 0)}

    def scored() -> Iterator[pa.RecordBatch]:
        for split in splits:
            for documents, quarantine in _read(split, source, keep):
                found["documents"] += documents.num_rows
                found["bad"] += sum(1 if n is None else n for n in quarantine["records"].to_pylist())
                batch = score_batch(documents, detector, schema)
                held.update(name for name in keep if batch[name].null_count < batch.num_rows)
                for origin in batch["origin"].to_pylist():
                    found[origin] += 1
                yield batch
        # Lines of JSON need not all have the same keys: only now it is known that none has this one.
        _refuse_unknown([name for name in keep if name not in held], known)

    with written(output) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in scored():
            writer.write_batch(batch)
    origins = {name: found[name] for name in ("synthetic", "unknown")}
    return {
        "format": "lowbackground.score/1",
        "output": output,
        "detector": detector.name,
        "documents": found["documents"],
        "origins": origins,
        "unreadable_records": found["bad"],
    }


def scored_text(found: Mapping[str, Any]) -> str:
    """What `score_input` found, in words."""
    origins = ", ".join(
        f"{n:,} {'called ' if name == 'synthetic' else ''}{name}" for name, n in found["origins"].items()
    )
    lines = [f"{plural(found['documents'], 'document')} scored by detector {found['detector']!r}: {origins}"]
    if found["unreadable_records"]:
        lines.append(f"{plural(found['unreadable_records'], 'record')} could not be read and are not in the output")
    last = f"wrote {found['output']}. A score is evidence, not proof; the model card says how good it is."
    return "\n".join([*lines, last])


def _read(split: Split, source: Source, keep: tuple[str, ...]) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    try:
        yield from read_split(split, source, ReadLimits(), keep)
    except OSError as error:  # of the input, and not of the file that is being written
        raise InputError(f"{split.pieces[0].path}: cannot be read ({error.strerror or error}); run it again") from error


def _refuse_unknown(names: Sequence[str], known: list[str]) -> None:
    for name in names:
        parts = name.split(",")
        if name not in known and len(parts) > 1 and set(parts) <= set(known):
            raise RecipeError(f"--keep {name}: is no column of the input; say {' '.join(f'--keep {p}' for p in parts)}")
        if name not in known:
            raise RecipeError(f"--keep {name}: is no column of the input; {nearest(name, known)}")


def score_batch(documents: pa.RecordBatch, detector: Detector, schema: pa.Schema) -> pa.RecordBatch:
    """DOCUMENT -> `schema`: the columns above and the kept ones."""
    _, tokens = canonicalise(documents["text"])
    n_tokens = count_words(tokens)
    kinds = prose.kind_of(documents["text"])
    language, confidence = languages.spoken(documents["language"], documents["text"], kinds == 0)
    scores = detector.score(documents["text"], tokens, n_tokens, kinds, language)
    unknown = scores.band < 0
    columns = {
        "id": documents["id"],
        "doc_id": hexadecimal(documents["doc_id"]),
        "log_odds": pa.array(scores.log_odds, pa.float32(), mask=unknown),
        "p_synthetic": pa.array(calibration.p_synthetic(scores.log_odds), pa.float32(), mask=unknown),
        "origin": pa.array(contracts.ORIGINS).take(pa.array(detector.origin(scores))),
        "n_tokens": pa.array(n_tokens, pa.int32()),
        "language": language,
        "language_confidence": confidence,
        "text_kind": pa.array([name or None for name in prose.KINDS], pa.string()).take(pa.array(kinds)),
    }
    arrays = [columns[name] if name in columns else documents[kept_as(name)] for name in schema.names]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
