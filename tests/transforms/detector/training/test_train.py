"""Training a detector on a tiny corpus made up on the spot, with the real fastText."""

import dataclasses
import hashlib
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.detector.calibration import p_synthetic
from transforms.detector.detector import BUNDLED, load_detector
from transforms.detector.fasttext_file import DetectorError
from transforms.detector.share_estimate import Composition
from transforms.detector.training import evaluation
from transforms.detector.training.fasttext_fitting import TrainingSettings, fit
from transforms.detector.training.labelled import Links, TrainingError, compared, read_labelled
from transforms.detector.training.ngram_fitting import Training
from transforms.detector.training.train import evaluate, held_out_scores, recalibrate, train, usable_documents
from transforms.kernels.models import linear
from transforms.kernels.similarity import ngrams
from transforms.kernels.text.text import canonicalise

SETTINGS = TrainingSettings(
    fasttext_weight=0.25, dim=4, epochs=8, buckets=2000, min_count=1, min_tokens=10, exclude=("attack=polish",)
)
SUBJECTS = ["harbour", "mill", "engine", "garden", "lecture", "kitchen", "river", "market", "violin", "glacier"]
PLAIN = ["we", "went", "there", "again", "and", "it", "rained", "so", "nobody", "stayed", "but", "the", "old", "man"]
GLOSSY = ["it", "is", "important", "to", "note", "that", "this", "vibrant", "tapestry", "moreover", "underscores"]


def sentence(words: list[str], source: str, i: int) -> str:
    """Forty words of a style, about something, picked by a hash."""
    digest = hashlib.sha512(f"{source} {i}".encode()).digest()
    picked = [words[b % len(words)] if b % 5 else SUBJECTS[b % len(SUBJECTS)] for b in digest[:40]]
    return " ".join(picked)


def corpus(source: str, n: int = 80, **columns: str) -> pa.Table:
    """n human and n machine documents of one source."""
    rows = [
        {"text": sentence(words, source + label, i), "label": label, "source_dataset": source, "language": "en",
         "generator": "" if label == "human" else f"gpt-{source}", "licence": "MIT", "attack": "none", **columns}
        for label, words in (("human", PLAIN), ("ai", GLOSSY)) for i in range(n)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows)


def write(path, table: pa.Table) -> str:
    pq.write_table(table, path)
    return str(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("data")
    for source in ("alpha", "beta", "gamma"):
        write(folder / f"{source}.parquet", corpus(source))
    return str(folder / "*.parquet")


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("detector")
    elsewhere = write(tmp_path_factory.mktemp("other") / "elsewhere.parquet", corpus("delta", n=30))
    told: list[str] = []
    detector = train([data], str(folder), SETTINGS, evaluate_on=[elsewhere], progress=told.append)
    return detector, folder, told, elsewhere


def test_a_trained_detector_loads_and_tells_the_two_styles_apart(trained):
    _, folder, _, elsewhere = trained
    overall = evaluate(load_detector(str(folder)), [elsewhere])[0]
    assert overall.human + overall.machine >= 55  # of 60; the words of some are not enough like the others
    assert overall.auroc > 0.95
    assert overall.tpr > 0.5


def test_what_it_says_of_itself_is_from_sources_left_out(trained):
    detector, _, told, _ = trained
    calibration = detector.calibration
    assert calibration.basis.startswith("leave-one-source-out over 3 sources")
    assert [t for t in told if "Without" in t] == [
        "Without alpha (1 of 3)", "Without beta (2 of 3)", "Without gamma (3 of 3)",
    ]  # fmt: skip
    human, (machine,) = calibration.human, calibration.families()
    assert (
        225 <= min(human.n, machine.n) <= max(human.n, machine.n) <= 240
    )  # words of some are not enough like the others
    assert human.flagged <= 0.015 * 240
    (band,) = calibration.bands  # too few documents for more
    assert band.human_histogram.sum() == human.n
    assert sum(family.histogram.sum() for family in band.families) == machine.n
    assert machine.name == "other"  # each generator has fewer than 100 documents
    assert calibration.scales[0].allowance.why  # one generator is too few for a bound
    low, high = p_synthetic(np.float32([-30, 30]))
    assert low < 0.2 < 0.8 < high
    assert [known.name for known in calibration.languages] == ["en"]
    assert {(s.kind, s.name, s.n) for s in calibration.strata if s.kind == "language"} == {("language", "en", human.n)}


def test_held_out_counts_feed_the_share_of_a_corpus(trained):
    calibration = trained[0].calibration
    (band,) = calibration.bands
    (family,) = band.families
    half = (band.human_histogram + family.histogram)[None]
    composition = Composition(calibration)
    assert composition.estimate(half) == pytest.approx(0.5, abs=0.03)
    assert composition.bound(np.array([family.flagged]), half).share[0] == 1  # by one generator nothing is bounded


def test_the_card_says_what_it_was_trained_on(trained):
    folder = trained[1]
    card = (folder / "README.md").read_text(encoding="utf-8")
    for path in ("alpha", "beta", "gamma"):
        assert f"`{path}.parquet`" in card
    assert "evidence, not proof" in card
    assert "MIT" in card
    assert "attack=polish" in card
    assert "`elsewhere.parquet`" in card


def test_training_twice_gives_the_same_bytes_whatever_the_order_of_the_files(data, trained, tmp_path):
    folder = data.removesuffix("*.parquet")
    train([f"{folder}{name}.parquet" for name in ("gamma", "alpha", "beta")], str(tmp_path), SETTINGS)
    for name in ("model.bin", "ngrams.bin", "calibration.json"):
        assert (tmp_path / name).read_bytes() == (trained[1] / name).read_bytes()


def test_a_model_of_ones_own_is_calibrated_on_ones_own_text(trained, tmp_path):
    """A bare fastText model, and labelled text that it has not seen: the folder that comes out is a detector."""
    bare = tmp_path / "own.bin"
    bare.write_bytes((trained[1] / "model.bin").read_bytes())
    unseen = write(tmp_path / "unseen.parquet", corpus("epsilon", n=120, domain="letters"))
    detector = recalibrate(str(bare), [unseen], str(tmp_path / "mine"), SETTINGS, evaluate_on=[trained[3]])
    assert (tmp_path / "mine" / "model.bin").read_bytes() == bare.read_bytes()
    assert detector.calibration.human.n == 120
    assert ("domain", "letters", 120, False) in {
        (s.kind, s.name, s.n, s.elsewhere) for s in detector.calibration.strata
    }
    card = (tmp_path / "mine" / "README.md").read_text(encoding="utf-8")
    assert "Calibration data" in card
    assert "word_ngrams" not in card  # nobody here knows how it was trained


def test_without_sources_parts_by_hash_are_left_out_and_it_is_said(tmp_path):
    path = write(tmp_path / "one.parquet", corpus("alpha", n=200).select(["text", "label"]))
    labelled = read_labelled([path])
    usable, make = usable_documents(labelled, SETTINGS), Training(labelled, SETTINGS).model
    scores, basis = held_out_scores(labelled, usable, SETTINGS, lambda _: None, make)
    assert basis.startswith("5-fold by hash of the text")
    assert not np.isnan(scores).any()


def test_text_that_is_in_two_sources_does_not_help_the_held_out_numbers(tmp_path):
    table = corpus("alpha", n=60)
    quoting = pa.table({**{c: table[c] for c in table.column_names}, "source_dataset": ["copy"] * 120})
    texts = [f"{text} and a closing word" for text in table["text"].to_pylist()]
    quoting = quoting.set_column(0, "text", [texts])
    labelled = read_labelled([write(tmp_path / "a.parquet", table), write(tmp_path / "b.parquet", quoting)])
    linked = Links(labelled).to(labelled.group("source_dataset") == "alpha")
    assert linked.all()
    far = read_labelled([write(tmp_path / "c.parquet", table), write(tmp_path / "d.parquet", corpus("beta", n=60))])
    source = far.group("source_dataset")
    assert not Links(far).to(source == "alpha")[source == "beta"].any()


def test_documents_that_are_the_same_in_canonical_form_count_once(tmp_path):
    table = pa.table(
        {"text": ["A  word.", "a word .", None, "", "Other"], "label": ["human", "ai", "ai", "human", "AI"]}
    )
    labelled = read_labelled([write(tmp_path / "x.parquet", table)])
    assert labelled.canonical.to_pylist() == ["a word .", "other"]
    assert labelled.machine.tolist() == [False, True]
    assert labelled.dropped == 3


def test_excluded_generators_are_counted_as_not_covered(tmp_path, data):
    excluding = dataclasses.replace(SETTINGS, exclude=("generator=gpt-gamma",))
    detector = train([data], str(tmp_path), excluding)
    assert sum(family.n for family in detector.calibration.families()) >= 150  # of 160
    (other,) = detector.calibration.uncovered
    assert other.name == "other"
    assert other.n >= 75  # of 80; the words of some are not enough like the others
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "other (not covered)" in card
    command = "lowbackground detector train alpha.parquet beta.parquet gamma.parquet --exclude generator=gpt-gamma"
    assert command in card


def test_excluded_documents_are_not_trained_on(tmp_path):
    path = write(tmp_path / "x.parquet", pa.concat_tables([corpus("alpha"), corpus("beta", attack="polish")]))
    labelled = read_labelled([path])
    usable = usable_documents(labelled, SETTINGS)
    assert set(labelled.group("source_dataset")[usable]) == {"alpha"}
    model = fit(labelled, usable, SETTINGS)
    assert sum(model.label_counts) == 160


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: write(p / "x.parquet", corpus("alpha").drop_columns("label")), "x.parquet: no column 'label'"),
        (lambda p: write(p / "x.parquet", pa.table({"text": [["a"]], "label": ["ai"]})), "cannot be read as Parquet"),
        (lambda p: write(p / "x.parquet", pa.table({"text": ["a"], "label": ["robot"]})), "unknown label 'robot'"),
        (
            lambda p: write(p / "x.parquet", pa.table({"text": ["a"], "label": pa.nulls(1, pa.string())})),
            "label 'None'",
        ),
        (lambda p: str(p / "nothing-*.parquet"), "no such file"),
        (lambda p: [(p / "x.parquet").write_bytes(b"PAR1"), str(p / "x.parquet")][1], "cannot be read as Parquet"),
        (lambda p: write(p / "x.parquet", corpus("alpha", n=40)), "40 distinct human documents"),
        (lambda p: write(p / "x.parquet", corpus("alpha").slice(0, 80)), "0 distinct machine documents"),
    ],
)
def test_data_that_cannot_be_used_is_refused_in_one_line(tmp_path, make, message):
    with pytest.raises(TrainingError, match=message) as raised:
        train([make(tmp_path)], str(tmp_path / "out"), SETTINGS)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_wrong_exclusion_is_refused(data, tmp_path):
    with pytest.raises(TrainingError, match="write column=value"):
        train([data], str(tmp_path), dataclasses.replace(SETTINGS, exclude=("polish",)))


def test_the_score_is_the_tables_and_a_part_of_fasttexts(trained):
    detector = trained[0]
    _, tokens = canonicalise(pa.array([" ".join(PLAIN), " ".join(GLOSSY), ""], pa.large_string()))
    fasttext_part, table = linear.score(tokens, detector.model.fasttext), ngrams.score(tokens, detector.model.table)
    assert table[0, 0] < 0 < table[1, 0]
    expected = np.float32(SETTINGS.fasttext_weight) * fasttext_part + table[:, 0]
    np.testing.assert_array_equal(detector.model.scores(pa.nulls(3, pa.large_string()), tokens)[:, 0], expected)


def test_without_fasttext_the_folder_has_none_of_it(data, tmp_path):
    (tmp_path / "model.bin").write_bytes(b"of the detector that was here before")
    detector = train([data], str(tmp_path), dataclasses.replace(SETTINGS, fasttext_weight=0.0))
    assert detector.model.fasttext is None
    assert not (tmp_path / "model.bin").exists()


NEW = [*PLAIN, "honestly", "quietly"]  # like people to who knows only the older machines


def test_a_new_age_is_an_expert_of_its_own_trained_within_pairs(data, tmp_path):
    """Forty texts of a model that writes unlike the older ones, each about a human document of the other files."""
    humans = pa.concat_tables([corpus(source).slice(0, 80) for source in ("alpha", "beta", "gamma")])
    named = humans.append_column("id", [[f"h{i}" for i in range(240)]])
    about = [i for source in range(3) for i in range(80 * source, 80 * source + 14)]
    rows = [
        {"text": sentence(NEW, "new", i), "label": "ai", "source_dataset": "new", "language": "en", "generator": "model-2027",
         "date": "2027-03-01", "pair_id": f"h{i}"} for i in about
    ]  # fmt: skip
    older = pa.concat_tables([corpus(source).slice(80) for source in ("alpha", "beta", "gamma")])
    paths = [
        write(tmp_path / "humans.parquet", named), write(tmp_path / "older.parquet", older),
        write(tmp_path / "age2027.parquet", pa.Table.from_pylist(rows)),
    ]  # fmt: skip
    told: list[str] = []
    settings = dataclasses.replace(SETTINGS, fasttext_weight=0.0, experts=("age2027",))
    detector = train(paths, str(tmp_path / "out"), settings, progress=told.append)
    assert detector.calibration.experts == ("older", "age2027")
    assert (detector.calibration.scales[0].newest, detector.calibration.scales[0].until) == ("model-2027", "2027-03-01")
    (gained,) = [line for line in told if line.startswith("Expert age2027")]
    with_it, without = (
        float(gained.split(word)[0].split()[-1].split("%")[0]) for word in (" are found with it", " without it")
    )
    assert with_it > without + 30, gained
    assert gained in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    first = (tmp_path / "out" / "ngrams.bin").read_bytes()
    train(paths[::-1], str(tmp_path / "again"), settings)
    assert (tmp_path / "again" / "ngrams.bin").read_bytes() == first


def test_an_expert_without_text_is_refused(data, tmp_path):
    with pytest.raises(TrainingError, match="expert nowhere: no file of this name"):
        train([data], str(tmp_path / "out"), dataclasses.replace(SETTINGS, experts=("nowhere",)))


@pytest.mark.parametrize(("damage", "message"), [(b"", "not a table"), (b"LBNG" + bytes(40), "version 0")])
def test_a_damaged_table_is_refused(trained, tmp_path, damage, message):
    for name in ("model.bin", "calibration.json"):
        (tmp_path / name).write_bytes((trained[1] / name).read_bytes())
    (tmp_path / "ngrams.bin").write_bytes(damage)
    with pytest.raises(DetectorError, match=f"ngrams.bin: {message}"):
        load_detector(str(tmp_path))


def test_a_table_of_another_model_is_refused(trained, tmp_path):
    for name in ("model.bin", "calibration.json"):
        (tmp_path / name).write_bytes((trained[1] / name).read_bytes())
    with pytest.raises(DetectorError, match="made for another model"):  # the table is missing
        load_detector(str(tmp_path))


def test_what_cannot_be_compared_is_not_learned_from(tmp_path):
    alone = corpus("gamma", generator="gpt-4").slice(80)  # machine documents only
    labelled = read_labelled(
        [write(tmp_path / "x.parquet", pa.concat_tables([corpus("alpha"), corpus("beta"), alone]))]
    )
    used, cell = compared(labelled, np.ones(len(labelled.machine), bool))
    assert set(labelled.group("source_dataset")[used]) == {"alpha", "beta"}
    assert len(set(cell[used])) == 2
    few = read_labelled([write(tmp_path / "y.parquet", pa.concat_tables([alone, corpus("delta").slice(0, 80)]))])
    used, cell = compared(few, np.ones(len(few.machine), bool))  # no source has both: better this than nothing
    assert used.all()
    assert set(cell.tolist()) == {0}


def test_auroc_and_tpr_by_hand():
    human, machine = np.float32([0, 1, 2, 3]), np.float32([2, 4])
    assert evaluation.auroc(human, machine) == (2.5 + 4) / 8
    assert evaluation.tpr_at_fpr(human, machine, 0.01) == 0.5
    assert np.isnan(evaluation.auroc(human, machine[:0]))


def test_the_bundled_detector_is_small_and_keeps_its_promise():
    detector = load_detector()
    calibration = detector.calibration
    assert detector.name == "default"
    assert sum(entry.stat().st_size for entry in os.scandir(BUNDLED)) <= 20_000_000
    assert calibration.experts[0] == "older"
    assert len(calibration.experts) >= 2  # one for each age
    assert calibration.human.flagged / calibration.human.n <= 1.1 * calibration.target_fpr
    english = {known.name: scale for known, scale in zip(calibration.languages, calibration.scales, strict=True)}["en"]
    assert english.until >= "2026-11-01"
    assert not english.allowance.why
    by_source = [s.flagged / s.n for s in calibration.strata if s.kind == "source_dataset" and s.n >= 900]
    assert max(by_source) <= 0.03  # false alarms hold on sources that were left out
