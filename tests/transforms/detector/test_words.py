"""Word counts: against counting in Python; a table is only numbers, and is checked as such."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.detector import words
from transforms.detector.detector import DetectorError, load_detector
from transforms.detector.plugins import PREFIX, load_plugin
from transforms.detector.training.labelled import TrainingError, read_labelled

ALIKE = ["the", "of", "and", "to", "in", "a", "is", "it"]
HUMAN, MACHINE = ["rain", "mill", "old"], ["tapestry", "delve", "vibrant"]


def text(own: list[str], i: int) -> str:
    return " ".join((ALIKE[(i * k) % 8] if k % 4 else own[(i + k) % 3]) for k in range(120))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    rows = [
        {"text": text(own, i) + f" {label}{i}", "label": label, "language": "en"}
        for label, own in (("human", HUMAN), ("ai", MACHINE))
        for i in range(150)
    ]
    path = tmp_path_factory.mktemp("words") / "labelled.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return read_labelled([str(path)])


@pytest.fixture(scope="module")
def shuffled(labelled):
    """A table in which all words are in both classes: half of the labels are wrong."""
    machine = labelled.machine ^ (labelled.key % np.uint64(3) == 0)
    return words.count_words(labelled.__class__(**{**vars(labelled), "machine": machine}), np.ones(len(machine), bool))


def by_hand(data: bytes, text: str) -> float:
    table = pq.read_table(pa.BufferReader(data)).to_pylist()
    about = __import__("json").loads(pq.read_schema(pa.BufferReader(data)).metadata[b"words"])["languages"][0]
    first = [w for w in text.split(" ") if any(c.isalnum() for c in w)][: words.FIRST]
    if len(first) < words.FIRST:
        return math.nan
    total = 0.0
    for row in table:
        p, q = (row["human"] + 0.5) / (about["human"] + 1), (row["machine"] + 0.5) / (about["machine"] + 1)
        total += math.log(q / p) if row["word"] in first else math.log((1 - q) / (1 - p))
    return total


@given(st.lists(st.lists(st.sampled_from([*ALIKE, *HUMAN, *MACHINE, ",", "."]), max_size=160), min_size=1, max_size=5))
def test_the_ratio_is_that_counted_by_hand(shuffled, documents):
    texts = [" ".join(["the of and", *document]) for document in documents]
    scores = words.read_words(shuffled, "x").score(pa.array(texts, pa.large_string()))
    languages = words.read_words(shuffled, "x").languages
    assert [known.name for known in languages] == ["en"]
    for score, one in zip(scores, texts, strict=True):
        expected = by_hand(shuffled, one)
        in_language = np.mean([w in languages[0].words for w in one.split(" ") if w.isalpha()]) >= languages[0].least
        assert score == pytest.approx(expected if in_language else math.nan, nan_ok=True, abs=1e-3)


def test_documents_are_counted_once_and_only_their_first_words(labelled, shuffled):
    counted = {row["word"]: row for row in pq.read_table(pa.BufferReader(shuffled)).to_pylist()}
    flipped = labelled.machine ^ (labelled.key % np.uint64(3) == 0)
    for word in ("tapestry", "rain", "the"):
        has = np.array([word in one.split(" ")[: words.FIRST] for one in labelled.canonical.to_pylist()])
        assert (counted[word]["human"], counted[word]["machine"]) == ((has & ~flipped).sum(), (has & flipped).sum())


def test_the_same_documents_give_the_same_bytes(labelled):
    everyone = np.ones(len(labelled.machine), bool)
    assert words.count_words(labelled, everyone) == words.count_words(labelled, everyone)


def test_too_little_text_is_refused(labelled):
    with pytest.raises(TrainingError, match="no language has 50 documents"):
        words.count_words(labelled, np.arange(len(labelled.machine)) < 60)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-100],
        lambda data: b"PAR1" + data,
        lambda data: write(read(data).replace_schema_metadata({})),
        lambda data: write(read(data).replace_schema_metadata({"words": "{"})),
        lambda data: write(read(data).set_column(2, "human", pa.array([10**6] * len(read(data)), pa.int32()))),
        lambda data: write(read(data).set_column(3, "machine", pa.array([-1] * len(read(data)), pa.int32()))),
        lambda data: write(read(data).drop_columns("word")),
        lambda data: write(read(data).slice(0, 0)),
    ],
)
def test_a_damaged_table_is_refused_by_name(shuffled, damage):
    with pytest.raises(DetectorError, match=r"^t\.parquet: not a table of word counts") as raised:
        words.read_words(damage(shuffled), "t.parquet")
    assert "\n" not in str(raised.value)


def read(data: bytes) -> pa.Table:
    return pq.read_table(pa.BufferReader(data))


def write(table: pa.Table) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(table, out)
    return out.getvalue().to_pybytes()


def test_the_bundled_counts_are_a_calibrated_detector_and_a_plug_in():
    detector = load_detector("words")
    assert {known.name for known in detector.calibration.languages} >= {"en", "zh"}
    model, described = load_plugin("words")
    assert b'"plugin": "words"' in described
    human = ("The old man said he would not go back to the mill until the rain had stopped, and so we sat in the kitchen and he "
             "told me how his father had lost the farm in the year of the great flood. ") * 4  # fmt: skip
    texts = pa.array([human, "too short"], pa.large_string())
    scores = model.scores(texts, None)[:, 0]
    assert np.isnan(scores).tolist() == [False, True]
    assert scores[0] < 0


@pytest.mark.parametrize(
    ("name", "message"), [("nobody", r"no installed package declares it .* \(there is: .*words"), ("", "no installed")]
)
def test_an_unknown_plug_in_is_refused_in_one_line(name, message):
    with pytest.raises(DetectorError, match=message) as raised:
        load_detector(PREFIX + name)
    assert "\n" not in str(raised.value)
