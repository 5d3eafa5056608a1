"""Classifier structures: whether a score is at the threshold, and what a labelled sample says of its errors."""

import hashlib
import math

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from expectations import parquet
from expectations.paths import open_for_reading
from expectations.structures.structure import Classifier, Sample, Structure
from expectations.structures.system import StructuresError, System
from expectations.wording import plural
from transforms.detector.fasttext_file import DetectorError, read_fasttext
from transforms.detector.fasttext_model import linear_of
from transforms.ingest.as_text import texts
from transforms.kernels.models import linear
from transforms.kernels.once import once
from transforms.kernels.text.text import Tokens, canonicalise

Mask = npt.NDArray[np.bool_]
A_NUMBER = r"^-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"


def judge(structure: Classifier, tokens: Tokens | None, column: pa.StringArray | None) -> tuple[Mask, Mask]:
    """Which documents have a structure by its classifier's word, and which it can judge at all. bool[documents] each.

    Args:
      structure: what to look for.
      tokens: of the canonical texts, if it goes by a model.
      column: of its scores, as strings, if it goes by a column.

    Raises:
      StructuresError: the model cannot be used.
    """
    if structure.model is None:
        assert column is not None, structure
        scores: npt.NDArray[np.floating] = _numbers(column)
        least = structure.threshold
    else:
        assert tokens is not None, structure
        scores = linear.score(
            tokens, _model(structure.model, str(structure.model_sha256), str(structure.positive_label))
        )
        least = math.log(structure.threshold) - math.log1p(-structure.threshold)
    judged = ~np.isnan(scores)
    return judged & (np.where(judged, scores, -np.inf) >= least), judged


def _numbers(column: pa.StringArray) -> npt.NDArray[np.float64]:
    """Strings as numbers, NaN where they are none. float64[n]."""
    column = pc.utf8_trim_whitespace(column)
    is_number = pc.fill_null(pc.match_substring_regex(column, pattern=A_NUMBER), False)
    numbers = pc.if_else(is_number, column, pa.scalar(None, pa.string())).cast(pa.float64())
    found: npt.NDArray[np.float64] = numbers.to_numpy(zero_copy_only=False).astype(np.float64)
    return found


@once(most=8)
def _model(path: str, sha256: str, positive: str) -> linear.LinearModel:
    try:
        with open_for_reading(path) as file:
            data = file.read()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise StructuresError(
                f"structures: {path} is another file than when the run began; leave it alone until it ends"
            )
        return linear_of(read_fasttext(data, path, positive), path)
    except OSError as error:
        raise StructuresError(f"structures: cannot read {path}: {error.strerror}") from error
    except DetectorError as error:
        raise StructuresError(f"structures: {error}") from error


def with_samples(systems: tuple[System, ...]) -> tuple[System, ...]:
    """The same systems with the counts of every labelled file, so that from here on they hold all that they need.

    Raises:
      StructuresError: a file cannot be read or says nothing of the classifier; or a model cannot be used.
    """
    return tuple(
        system.model_copy(update={"structures": tuple(_with_sample(system, one) for one in system.structures)})
        if system.classifiers
        else system
        for system in systems
    )


def _with_sample(system: System, structure: Structure) -> Structure:
    if not isinstance(structure, Classifier) or structure.labelled is None:
        return structure
    where = f"structures: {system.id}.{structure.id}: {structure.labelled.file}"
    try:
        counted = _count(structure)
    except StructuresError as error:
        raise StructuresError(f"{where}: {error}") from error
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise StructuresError(f"{where}: its labelled sample cannot be used: {message}") from error
    if structure.sample is not None and structure.sample != counted:
        raise StructuresError(f"{where}: {counted.said()}, and `sample` says otherwise; leave `sample` out")
    return structure.model_copy(update={"sample": counted})


def _count(structure: Classifier) -> Sample:
    """How the classifier does on its labelled file."""
    labelled = structure.labelled
    assert labelled is not None, structure
    scored = structure.column or "text"
    try:
        with open_for_reading(labelled.file) as file:
            content = pa.py_buffer(file.read())
        schema = pq.read_schema(pa.BufferReader(content))
        for name in (scored, labelled.label):
            if name not in schema.names:
                raise StructuresError(f"no column {name!r}; it has {', '.join(schema.names)[:200]}")
        table = parquet.read(content, list(dict.fromkeys([scored, labelled.label])))
    except (pa.ArrowException, OSError) as error:
        raise StructuresError(f"cannot be read as Parquet ({str(error).splitlines()[0][:120]})") from error
    label = texts(table[labelled.label].combine_chunks())
    rows = pc.and_(label.is_valid(), table[scored].combine_chunks().is_valid())
    label, column = label.filter(rows), table[scored].combine_chunks().filter(rows)
    tokens = canonicalise(column.cast(pa.large_string()))[1] if structure.model is not None else None
    has, judged = judge(structure, tokens, texts(column))
    positive = pc.is_in(label, pa.array(labelled.positive)).to_numpy(zero_copy_only=False)
    sides = positive & judged, ~positive & judged
    if not all(side.any() for side in sides):
        raise StructuresError(
            f"of {plural(int(judged.sum()), 'labelled document')} that can be judged {int(sides[0].sum())} are labelled "
            f"{' or '.join(labelled.positive)}; it takes some that have the structure and some that have not"
        )
    return Sample(
        positives=int(sides[0].sum()),
        found=int((sides[0] & has).sum()),
        negatives=int(sides[1].sum()),
        alarmed=int((sides[1] & has).sum()),
    )
