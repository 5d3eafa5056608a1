"""`score` and `detector train | calibrate | evaluate | selftest | card`: the detector without the pipeline around it."""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from expectations import contracts
from expectations.loading import nearest
from expectations.wording import plural
from pipeline.reading.answer import for_programs
from pipeline.reading.input_columns import columns_of
from pipeline.reading.outputs import check_folder, check_output, written
from pipeline.recipe import RecipeError
from transforms.detector import calibration, languages
from transforms.detector.detector import BUNDLED, Detector, DetectorError, load_detector
from transforms.detector.plugins import PREFIX
from transforms.detector.training.labelled import read_labelled
from transforms.detector.training.selftest import selftest, table
from transforms.detector.training.train import TrainingError, TrainingSettings, count, evaluate, recalibrate, train
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
    return "\n".join([*lines, last]) + "\n"


def scored_json(found: Mapping[str, Any]) -> str:
    """The same for programs."""
    return for_programs(found)


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


MARK = "calibration.json"  # a folder with it is a detector's


def train_detector(
    data: Sequence[str],
    output: str,
    evaluate_on: Sequence[str],
    exclude: Sequence[str],
    console: Console,
    force: bool = False,
    experts: Sequence[str] = (),
) -> str:
    """Train a detector and say how good it is; each file of `experts` is data too, and its machine text trains an expert.

    Raises:
      RecipeError: the folder must not be written (`outputs.check_folder`).
      TrainingError: the data or the settings will not do.
    """
    wrong = next((item for item in exclude if "=" not in item), None)
    if wrong is not None:
        raise TrainingError(f"--exclude {wrong}: write it as COLUMN=VALUE, for example --exclude attack=polish")
    check_folder(output, [*data, *experts, *evaluate_on], force, MARK)
    settings = TrainingSettings(experts=tuple(pathlib.Path(path).stem for path in experts))
    settings = dataclasses.replace(settings, exclude=tuple(exclude)) if exclude else settings
    detector = train(
        [*data, *experts], output, settings, tuple(evaluate_on), lambda line: console.print(line, markup=False)
    )
    return f"wrote {output}: ngrams.bin, calibration.json and README.md (its card). Detector {detector.sha256[:12]}."


def count_detector(
    data: Sequence[str],
    output: str,
    evaluate_on: Sequence[str],
    exclude: Sequence[str],
    console: Console,
    force: bool = False,
) -> str:
    """Count a table of words and say how good it is as a detector.

    Raises:
      RecipeError: the folder must not be written (`outputs.check_folder`).
      TrainingError: the data or the settings will not do.
    """
    check_folder(output, [*data, *evaluate_on], force, MARK)
    settings = TrainingSettings(exclude=tuple(exclude)) if exclude else TrainingSettings()
    detector = count(list(data), output, settings, tuple(evaluate_on), lambda line: console.print(line, markup=False))
    return f"wrote {output}: words.parquet, calibration.json and README.md (its card). Detector {detector.sha256[:12]}."


def calibrate_detector(
    model: str,
    data: Sequence[str],
    output: str,
    evaluate_on: Sequence[str],
    exclude: Sequence[str],
    min_tokens: int,
    target_fpr: float,
    force: bool = False,
) -> str:
    """Measure what the scores of a model mean, and write it with its calibration and card.

    Raises:
      RecipeError: the folder must not be written (`outputs.check_folder`).
      TrainingError, DetectorError: the data or the model cannot be used.
    """
    check_folder(output, [*data, *evaluate_on, *([] if model.startswith(PREFIX) else [model])], force, MARK)
    settings = TrainingSettings(exclude=tuple(exclude), min_tokens=min_tokens, target_fpr=target_fpr)
    detector = recalibrate(model, list(data), output, settings, tuple(evaluate_on))
    assert detector.calibration
    human, bands = detector.calibration.human, len(detector.calibration.lengths)
    return (
        f"wrote {output}: the model, calibration.json and README.md (its card). Detector {detector.sha256[:12]}. Bands: {bands}. "
        f"Called synthetic: {human.flagged:,} of {plural(human.n, 'human document')}."
    )


def card_of(model: str | None) -> str:
    """The model card in a detector's folder, with control characters taken out.

    Raises:
      DetectorError: there is no such detector.
    """
    load_detector(model)  # a card of a detector that does not load is of no use
    try:
        card = (pathlib.Path(model or BUNDLED) / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        raise DetectorError(
            f"{model}: has no README.md; `lowbackground detector calibrate` writes one beside the calibration"
        ) from None
    return "".join(c if c.isprintable() or c == "\n" else " " for c in card)


def evaluate_detector(data: Sequence[str], model: str | None) -> str:
    """A table of how a detector does on labelled text, in all and by group.

    Raises:
      TrainingError, DetectorError: the data or the detector cannot be used.
    """
    detector = load_detector(model)
    labelled = read_labelled(list(data))
    lines = [
        f"detector {detector.name!r} on {plural(len(labelled.machine), 'document')}",
        "Only text that it was not trained on says anything about other text.",
        "",
        f"{'group':44}{'human':>8}{'machine':>9}{'short':>7}{'AUROC':>8}{'TPR@1%':>8}{'FPR':>8}{'TPR':>8}",
    ]
    for row in evaluate(detector, labelled):
        name = row.name if row.kind == "all" else f"{row.kind} {row.name}"
        rates = (row.auroc, row.tpr_at_1_fpr, row.fpr, row.tpr)
        numbers = "".join(f"{'-' if np.isnan(rate) else format(rate, '.3f'):>8}" for rate in rates)
        lines.append(f"{name[:43]:44}{row.human:8,}{row.machine:9,}{row.unscored:7,}{numbers}")
    return "\n".join(lines)


def selftest_detector(data: Sequence[str], model: str | None) -> str:
    """A table of how well planted shares are estimated and bounded with a detector.

    Raises:
      TrainingError, DetectorError: the data or the detector cannot be used.
    """
    detector = load_detector(model)
    labelled = read_labelled(list(data))
    scores = detector.model.scores(labelled.texts, labelled.tokens)
    scores[labelled.n_tokens < detector.min_tokens] = np.nan
    lines = [
        f"detector {detector.name!r}; half of the labelled text is the reference, corpora are drawn from the other half",
        "",
    ]
    return "\n".join([*lines, *table(selftest(labelled, scores, detector.model.experts))])
