"""A detector's files: read without fastText, never trusted, and the same to fastText after `collapse`."""

import contextlib
import dataclasses
import hashlib
import json
import pickle
import struct

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations import contracts
from transforms.detector.calibration import (
    Allowance,
    Band,
    Calibration,
    Counts,
    Family,
    Language,
    Scale,
    Stratum,
    calibration_json,
    p_synthetic,
    parse_calibration,
)  # fmt: skip
from transforms.detector.detector import Scores, load_detector
from transforms.detector.fasttext_file import DetectorError, collapse, read_fasttext, write_fasttext
from transforms.detector.fasttext_model import linear_of
from transforms.kernels.models import linear
from transforms.kernels.statistics import share_bound
from transforms.kernels.text.text import canonicalise, count_words

LINES = [
    f"__label__{label} " + " ".join(words[(i * k + k) % len(words)] for k in range(1, 10))
    for label, words in (("human", ["we", "met", "at", "the", "old", "mill", ",", "rain", "again"]),
                         ("synthetic", ["it", "is", "important", "to", "note", "that", "moreover", "delve", "."]))
    for i in range(60)
]  # fmt: skip
TEXTS = ["It is important to delve!", "We met at the mill, again.", "", "something else", "important mill note rain"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


def train(folder, name: str = "model", lines: list[str] = LINES, **changes) -> bytes:
    (folder / "train.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = {"dim": 6, "epoch": 10, "lr": 0.5, "wordNgrams": 3, "bucket": 200, "minn": 0, "maxn": 0, "thread": 1}
    trained = fasttext.train_supervised(str(folder / "train.txt"), verbose=0, **{**options, **changes})
    trained.save_model(str(folder / f"{name}.bin"))
    return (folder / f"{name}.bin").read_bytes()


@pytest.fixture(scope="module")
def model_bytes(folder) -> bytes:
    return train(folder)


def texts_of(texts: list[str]) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def tokens_of(texts: list[str]):
    return canonicalise(pa.array(texts, pa.large_string()))


def band(**changes) -> Band:
    human, machine = np.zeros(share_bound.BINS, np.int64), np.zeros(share_bound.BINS, np.int64)
    human[90], machine[110] = 200, 100
    fields = {
        "language": 0,
        "shortest": 3,
        "lead": 0,
        "humans": (Family("letters", 2, 200, human),),
        "families": (Family("gpt-4", 30, 100, machine),),
    }
    return Band(**{**fields, **changes})


def scale(**changes) -> Scale:
    """One expert; z is its score at 3 words and half of it from 300 on."""
    fields = {
        "lengths": (3.0, 300.0),
        "middle": ((0.0, 0.0),),
        "spread": ((1.0, 2.0),),
        "z": (-2.0, 0.0, 2.0),
        "log_odds": (-1.0, 0.0, 3.0),
        "threshold": 1.5,
        "newest": "gpt-4",
        "until": "2023-03-14",
        "allowance": Allowance((0.01, 0.1), (0.001, 0.05), (0.01, 0.08), 0.02, 40, ""),
    }
    return Scale(**{**fields, **changes})


def calibration(model: bytes, **changes) -> Calibration:
    fields = {
        "model_sha256": hashlib.sha256(model).hexdigest(),
        "target_fpr": 0.01,
        "experts": ("fasttext",),
        "languages": (),
        "scales": (scale(),) * max(1, len(changes.get("languages", ()))),
        "bands": (band(), band(shortest=8)),
        "uncovered": (Counts("gpt2", 1, 100),),
        "strata": (Stratum("domain", "letters", 1, 100, True),),
        "basis": "made up for a test",
    }
    return Calibration(**{**fields, **changes})


@pytest.fixture
def detector_folder(tmp_path, model_bytes):
    (tmp_path / "model.bin").write_bytes(model_bytes)
    (tmp_path / "calibration.json").write_bytes(calibration_json(calibration(model_bytes)))
    return tmp_path


def test_a_model_is_written_as_fasttext_wrote_it(model_bytes):
    assert write_fasttext(read_fasttext(model_bytes, "model.bin")) == model_bytes


def test_the_collapsed_model_predicts_the_same_in_fasttext_and_in_our_kernel(folder, model_bytes):
    original = fasttext.load_model(str(folder / "model.bin"))
    small = write_fasttext(collapse(read_fasttext(model_bytes, "model.bin")))
    (folder / "small.bin").write_bytes(small)
    collapsed = fasttext.load_model(str(folder / "small.bin"))
    canonical, tokens = tokens_of(TEXTS)
    ours = linear.score(tokens, linear_of(read_fasttext(small, "small.bin"), "small.bin"))
    for text, log_odds in zip(canonical.to_pylist(), ours, strict=True):
        one, other = (dict(zip(*m.predict(text, k=2), strict=True)) for m in (original, collapsed))
        assert one["__label__synthetic"] == pytest.approx(other["__label__synthetic"], abs=1e-4)
        assert one["__label__synthetic"] == pytest.approx(1 / (1 + np.exp(-log_odds)), abs=1e-4)
    assert collapsed.get_dimension() == 1
    assert len(small) < len(model_bytes) / 4


@pytest.mark.parametrize("names", [("human", "ai"), ("real", "machine"), ("Human", "Generated")])
def test_other_names_of_the_two_labels(folder, names):
    lines = [x.replace("__label__human", f"__label__{names[0]}") for x in LINES]
    lines = [x.replace("__label__synthetic", f"__label__{names[1]}") for x in lines]
    file = read_fasttext(train(folder, "named", lines), "named.bin")
    scores = linear.score(tokens_of(TEXTS)[1], linear_of(file, "named.bin"))
    assert scores[0] > 0 > scores[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minn": 2, "maxn": 4}, "subwords"),
        ({"loss": "ova"}, "loss other than softmax"),
        ({"loss": "hs"}, "loss other than softmax"),
        ({"lines": [*LINES, "__label__other thing"]}, "3 labels"),
        ({"lines": [x.replace("__label__human", "__label__good") for x in LINES]}, "__label__good"),
    ],
)
def test_models_that_are_no_detector_are_refused_with_the_reason(folder, changes, message):
    with pytest.raises(DetectorError, match=message) as raised:
        read_fasttext(train(folder, "other", **changes), "other.bin")
    assert str(raised.value).startswith("other.bin: ")
    assert "\n" not in str(raised.value)


def test_word_vectors_and_quantised_outputs_are_refused(folder, model_bytes):
    vectors = fasttext.train_unsupervised(str(folder / "train.txt"), minCount=1, dim=4, bucket=10, thread=1, verbose=0)
    vectors.save_model(str(folder / "vectors.bin"))
    with pytest.raises(DetectorError, match="not a classifier"):
        read_fasttext((folder / "vectors.bin").read_bytes(), "vectors.bin")
    at = len(model_bytes) - 2 * 6 * 4 - 17  # the flag of the output matrix: 2 x 6 floats and its shape come after it
    with pytest.raises(DetectorError, match="quantised"):
        read_fasttext(model_bytes[:at] + b"\1" + model_bytes[at + 1 :], "model.ftz")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_truncated_model_is_refused_by_name(model_bytes, data):
    cut = data.draw(st.integers(0, len(model_bytes) - 1))
    with pytest.raises(DetectorError, match=r"^cut\.bin: "):
        read_fasttext(model_bytes[:cut], "cut.bin")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_model_is_refused_or_read_and_nothing_else(model_bytes, data):
    at = data.draw(st.integers(0, 400))
    damage = data.draw(st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([struct.pack("<q", 2**62)])))
    damaged = model_bytes[:at] + damage + model_bytes[at + len(damage) :]
    with contextlib.suppress(DetectorError):
        linear_of(read_fasttext(damaged, "bad.bin"), "bad.bin")


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused(data):
    with pytest.raises(DetectorError, match="not a fastText model"):
        read_fasttext(data, "x.bin")


def test_a_weight_that_is_not_a_number_is_refused(model_bytes):
    with pytest.raises(DetectorError, match="not a number"):
        read_fasttext(model_bytes[:-4] + struct.pack("<f", float("nan")), "model.bin")


def test_a_detector_scores_and_calls_documents(detector_folder):
    detector = load_detector(str(detector_folder))
    _, tokens = tokens_of(TEXTS)
    scores = detector.score(texts_of(TEXTS), tokens, count_words(tokens))
    assert np.isnan(scores.log_odds).tolist() == [False, False, True, True, False]  # fewer than three words
    assert scores.band.tolist() == [0, 0, -1, -1, 0]
    assert scores.log_odds[0] > 0 > scores.log_odds[1]
    assert np.isnan(p_synthetic(scores.log_odds)).tolist() == np.isnan(scores.log_odds).tolist()
    at = Scores(np.array([np.nan, -30, 1.4, 1.5], np.float32), np.int8([-1, 0, 0, 1]))
    unknown, synthetic = contracts.UNKNOWN, contracts.SYNTHETIC
    assert detector.origin(at).tolist() == [unknown, unknown, unknown, synthetic]  # whatever the score, never human


def test_p_synthetic_ranks_as_log_odds_do():
    log_odds = np.linspace(-12, 12, 400).astype(np.float32)
    p = p_synthetic(log_odds)
    np.testing.assert_allclose(p, 1 / (1 + np.exp(-log_odds.astype(np.float64))), atol=1e-6)
    assert (np.diff(p) > 0).all()


def test_a_scale_is_smooth_in_length_and_rises_with_the_score():
    made = scale()
    score, words = np.float32([[1], [1], [1], [2]]), np.int32([3, 30, 3000, 300])
    np.testing.assert_allclose(made.standardised(score, words)[:, 0], [1, 1 / 1.5, 0.5, 1], atol=1e-6)
    np.testing.assert_allclose(made.judged(made.standardised(score, words)), [1.5, 1, 0.75, 1.5], atol=1e-6)
    assert made.mapped(np.array([-4.0, 4.0])).tolist() == [-2, 6]  # beyond the knots it goes on
    z = np.linspace(-9, 9, 1000)
    assert (np.diff(made.mapped(z)) > 0).all()


def test_the_highest_of_the_experts_counts_and_one_that_knows_nothing_does_not():
    two = scale(middle=((0.0, 0.0), (10.0, 10.0)), spread=((1.0, 1.0), (2.0, 2.0)))
    scores = np.float32([[1, 10], [0, 14], [1, np.nan], [np.nan, np.nan]])
    z = two.standardised(scores, np.int32([9, 9, 9, 9]))
    np.testing.assert_array_equal(two.judged(z), np.float32([1.5, 3, 1.5, np.nan]))


def test_a_lead_says_which_expert_is_the_highest_and_whether_by_far():
    two = scale(middle=((0.0, 0.0), (0.0, 0.0)), spread=((1.0, 1.0), (1.0, 1.0)))
    scores = np.float32([[1, 0.9], [1, 0], [0.9, 1], [0, 1], [1, 1], [1, np.nan], [np.nan, 1], [np.nan, np.nan]])
    z = two.standardised(scores, np.int32([9] * 8))
    assert two.leads(z).tolist() == [0, 1, 2, 3, 0, 1, 3, 0]
    assert scale().leads(z[:, :1]).tolist() == [0] * 8


def test_the_band_of_a_document_is_of_its_length_and_lead(model_bytes):
    two = scale(middle=((0.0, 0.0), (0.0, 0.0)), spread=((1.0, 1.0), (1.0, 1.0)))
    bands = tuple(band(shortest=shortest, lead=lead) for shortest in (3, 8) for lead in range(4))
    known = calibration(model_bytes, experts=("old", "new"), scales=(two,), bands=bands)
    assert parse_calibration(calibration_json(known), "c.json").leads == 4
    scores = np.float32([[1, 0.9], [0, 1], [np.nan, np.nan], [1, 0]])
    found = known.judged(scores, np.int8([0, 4, 4, -1]), np.int32([5, 9, 9, 2]))
    assert found.band.tolist() == [0, 7, -1, -1]


def test_a_text_in_a_language_that_was_not_calibrated_has_no_score(detector_folder, model_bytes):
    """The words are those the model knows, so it has an opinion; nobody has measured what it is worth."""
    known = Language("xx", ("it", "is", "the"), 0.2)
    (detector_folder / "calibration.json").write_bytes(calibration_json(calibration(model_bytes, languages=(known,))))
    texts = ["it is important to note the mill", "important note delve moreover mill again"]
    _, tokens = tokens_of(texts)
    scores = load_detector(str(detector_folder)).score(texts_of(texts), tokens, count_words(tokens))
    assert scores.band.tolist() == [0, -1]
    assert np.isnan(scores.log_odds).tolist() == [False, True]


def test_the_hash_is_that_of_both_files(detector_folder):
    both = (detector_folder / "model.bin").read_bytes() + (detector_folder / "calibration.json").read_bytes()
    assert load_detector(str(detector_folder)).sha256 == hashlib.sha256(both).hexdigest()


def test_a_bare_model_has_no_calibration(detector_folder):
    detector = load_detector(str(detector_folder / "model.bin"))
    assert detector.calibration is None
    assert detector.name == "model.bin"
    at = Scores(np.float32([0, 2, -2]), np.int8([0, 0, 0]))
    np.testing.assert_allclose(p_synthetic(at.log_odds), [0.5, 0.8808, 0.1192], atol=1e-4)
    at = Scores(np.float32([0.1, -0.1, np.nan]), np.int8([0, 0, -1]))
    assert detector.origin(at).tolist() == [contracts.SYNTHETIC, contracts.UNKNOWN, contracts.UNKNOWN]


def test_a_detector_can_be_pickled(detector_folder):
    detector = load_detector(str(detector_folder))
    again = pickle.loads(pickle.dumps(detector))
    _, tokens = tokens_of(TEXTS)
    ours, theirs = (d.score(texts_of(TEXTS), tokens, count_words(tokens)) for d in (detector, again))
    np.testing.assert_array_equal(ours.log_odds, theirs.log_odds)


def test_a_calibration_of_another_model_is_refused(detector_folder, model_bytes):
    (detector_folder / "model.bin").write_bytes(model_bytes[:-4] + struct.pack("<f", 0.25))
    with pytest.raises(DetectorError, match="made for another model"):
        load_detector(str(detector_folder))


@pytest.mark.parametrize("missing", ["model.bin", "calibration.json"])
def test_a_missing_file_is_named(detector_folder, missing):
    (detector_folder / missing).unlink()
    with pytest.raises(DetectorError, match=f"{missing}: not found"):
        load_detector(str(detector_folder))


def test_a_calibration_survives_writing_and_reading(model_bytes):
    known = (Language("en", ("the", "of"), 0.2), Language("zh", ("的",), 0.1))
    bands = (band(), band(shortest=8), band(language=1))
    before = calibration(model_bytes, languages=known, bands=bands)
    data = calibration_json(before)
    after = parse_calibration(data, "calibration.json")
    for field in dataclasses.fields(Calibration):
        np.testing.assert_equal(str(getattr(after, field.name)), str(getattr(before, field.name)))
    assert calibration_json(after) == data


ALLOWED = {"shares": [0.1, 0.5], "limits": [0.05, 0.3], "own_limits": [0.08, 0.4], "human": 0, "corpora": 1, "why": ""}


def test_a_calibration_of_format_5_has_one_lead(model_bytes):
    fields = json.loads(calibration_json(calibration(model_bytes))) | {"format": 5}
    for one in fields["bands"]:
        del one["lead"]
    assert parse_calibration(json.dumps(fields).encode(), "c.json") is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 4},
        {"bands": []},
        {"experts": ["one", "two"]},  # and a scale of one
        {"scales": []},
        {"histogram": {"bins": 10, "lowest": 0, "highest": 1}},
        {"strata": [{"kind": "domain", "name": "x", "flagged": 2, "n": 1, "elsewhere": False}]},
        {"scales.threshold": "high"},
        {"scales.threshold": float("nan")},
        {"scales.z": [0.0, 0.0, 1.0]},
        {"scales.log_odds": [0.5, 0.4, 0.9]},
        {"scales.log_odds": []},
        {"scales.spread": [[1.0, 0.0]]},
        {"scales.middle": [[1.0]]},
        {"scales.lengths": [0.0, 3.0]},
        {"scales.until": "yesterday"},
        {"scales.allowance": ALLOWED | {"limits": [0.2, 0.1]}},
        {"scales.allowance": ALLOWED | {"own_limits": [0.1]}},
        {"scales.allowance": ALLOWED | {"shares": [0.1, 0.1]}},
        {"scales.allowance": ALLOWED | {"shares": [], "limits": [], "own_limits": []}},  # and nothing says why
        {"bands.lead": 1},  # of one expert
        {"bands.humans": [{"name": "x", "flagged": 0, "n": 200, "histogram": [[1, 2], [3, 4]]}]},  # not as many
        {"bands.humans": [{"name": "x", "flagged": 0, "n": 200, "histogram": [[-1, 200]]}]},
        {"bands.humans": [{"name": "x", "flagged": 0, "n": 200, "histogram": [[share_bound.BINS, 200]]}]},
        {"bands.families": [{"name": "gpt-4", "flagged": 5, "n": 4, "histogram": [[1, 4]]}]},
        {"bands.families": [{"name": "gpt-4", "flagged": 0, "n": 0, "histogram": []}]},
        {"bands.shortest": 0},
        {"bands.shortest": 8},  # twice
        {"bands.language": 1},  # of none
    ],
)
def test_a_calibration_that_contradicts_itself_is_refused(model_bytes, changes):
    fields = json.loads(calibration_json(calibration(model_bytes)))
    ((name, value),) = changes.items()
    part, _, key = name.rpartition(".")
    (fields[part][0] if part else fields)[key] = value
    with pytest.raises(DetectorError, match=r"^c\.json: not a calibration"):
        parse_calibration(json.dumps(fields).encode(), "c.json")


JSON = st.recursive(st.none() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))


@given(st.binary(max_size=50) | JSON.map(json.dumps).map(str.encode))
def test_any_other_json_is_refused(data):
    with pytest.raises(DetectorError, match="not a calibration"):
        parse_calibration(data, "c.json")
