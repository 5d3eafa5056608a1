"""Classifier structures: fastText's word is fastText's, scores are numbers, and a labelled file is counted as it is judged."""

import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from expectations import contracts
from expectations.structures.structure import Classifier, Sample
from expectations.structures.system import StructuresError, System
from expectations.structures.systems_file import load_systems
from transforms.kernels.statistics.structures import IN_SLICE
from transforms.kernels.text.text import canonicalise
from transforms.structures.classify import judge, with_samples
from transforms.structures.find import Systems, comply, unpack

fasttext = pytest.importorskip("fasttext")
KIND = "the nurse cared gently for the child and sang a song"
PLAIN = "the engine of the lorry needed oil and a new belt"


def texts(n: int, kind: bool) -> list[str]:
    words = (KIND if kind else PLAIN).split()
    return [" ".join(words[(i * k + k // 3) % len(words)] for k in range(1, 9)) for i in range(1, n + 1)]


@pytest.fixture(scope="module", params=["bin", "ftz"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A model that fastText has trained on two labels of its user's, and perhaps quantised."""
    folder = tmp_path_factory.mktemp("model")
    lines = [f"__label__{'care' if kind else 'else'} {text}" for kind in (True, False) for text in texts(200, kind)]
    (folder / "train.txt").write_text("\n".join(lines) + "\n")
    trained = fasttext.train_supervised(
        str(folder / "train.txt"), dim=5, epoch=8, lr=0.5, wordNgrams=2, bucket=300, minn=0, maxn=0, thread=1, verbose=0
    )
    if request.param == "ftz":
        trained.quantize(input=str(folder / "train.txt"), retrain=False, thread=1, qnorm=True)
    path = folder / f"care.{request.param}"
    trained.save_model(str(path))
    return path


def labelled(folder: pathlib.Path, **columns: list) -> str:
    pq.write_table(pa.table(columns), folder / "labels.parquet")
    return "labels.parquet"


def system(**classifier: object) -> dict:
    structure = {"id": "care", "kind": "classifier", **classifier}
    return {"id": "tone", "owner": {"team": "us"}, "rationale": "why", "structures": [structure]}


def load(folder: pathlib.Path, **classifier: object) -> System:
    (folder / "s.yaml").write_text(yaml.safe_dump({"systems": [system(**classifier)]}))
    return with_samples(load_systems(["s.yaml"], str(folder)))[0]


def of_model(model: pathlib.Path, /, **changes: object) -> dict:
    asked = {"model": str(model), "positive_label": "care", "threshold": 0.7,
             "labelled": {"file": "labels.parquet", "positive": "yes"}}  # fmt: skip
    return asked | changes


def counted(one: System) -> Sample:
    structure = one.structures[0]
    assert isinstance(structure, Classifier)
    assert structure.sample
    return structure.sample


def test_a_model_says_what_fasttext_says_and_its_errors_are_counted(
    model: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    held_out = [*texts(60, True)[20:], *texts(50, False), "unknown words only", "the", "Sang A SONG", ""]
    labels = ["yes"] * 40 + ["no"] * 50 + ["no", "no", "yes", "yes"]
    labelled(tmp_path, text=held_out, label=labels)
    one = load(tmp_path, **of_model(model))
    structure = one.structures[0]
    assert isinstance(structure, Classifier)
    canonical, tokens = canonicalise(pa.array(held_out, pa.large_string()))
    has, judged = judge(structure, tokens, None)
    theirs = fasttext.load_model(str(model))
    for text, own, can in zip(canonical.to_pylist(), has, judged, strict=True):
        said = dict(zip(*theirs.predict(text, k=2), strict=True)).get("__label__care", 0.0)
        assert abs(said - 0.7) < 1e-3 or not can or own == (said >= 0.7)
    truth = np.array(labels) == "yes"
    assert counted(one) == Sample(
        positives=int((truth & judged).sum()), found=int((truth & has).sum()),
        negatives=int((~truth & judged).sum()), alarmed=int((~truth & has).sum()),
    )  # fmt: skip
    assert counted(one).found > 30


def test_a_column_of_scores(tmp_path: pathlib.Path) -> None:
    """What has no score is in nobody's slice: the counts say nothing of it."""
    sample = {"positives": 10, "found": 9, "negatives": 20, "alarmed": 1}
    one = load(tmp_path, column="score", threshold=0.5, sample=sample)
    values = ["0.5", "0.49", "1e0", "-1", None, "high", "NaN", "", " .7 ", "5.", "inf", "1_0"]
    nothing = {field.name: pa.nulls(len(values), field.type) for field in contracts.DOCUMENT.schema}
    nothing["text"] = pa.array(["some text"] * len(values), pa.large_string())
    batch = pa.record_batch(nothing | {"score": pa.array(values, pa.string())})
    assert Systems((one,)).columns == ("score",)
    found = unpack(comply(batch, canonicalise(batch["text"])[1], "web", Systems((one,))), 1)[:, 0]
    assert [int(p & ~IN_SLICE) for p in found] == [1, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0]
    assert [bool(p & IN_SLICE) for p in found] == [True] * 4 + [False] * 4 + [True] * 2 + [False] * 2


def test_a_labelled_file_of_scores_is_counted(tmp_path: pathlib.Path) -> None:
    labelled(tmp_path, score=[0.9, 0.2, 0.8, None, 0.1, 0.7, 0.6], mood=["A", "A", "b", "A", "c", None, "a"])
    one = load(tmp_path, column="score", threshold=0.5,
               labelled={"file": "labels.parquet", "label": "mood", "positive": ["A", "a"]})  # fmt: skip
    assert counted(one) == Sample(positives=3, found=2, negatives=2, alarmed=1)


def test_labels_may_be_true_and_false(tmp_path: pathlib.Path) -> None:
    labelled(tmp_path, score=[2, 1, 0], label=[True, False, False])
    one = load(tmp_path, column="score", threshold=1.5, labelled={"file": "labels.parquet", "positive": "true"})
    assert counted(one) == Sample(positives=1, found=1, negatives=2, alarmed=0)


@pytest.mark.parametrize(
    ("columns", "changes", "words"),
    [
        ({"text": ["a"], "lable": ["yes"]}, {}, "no column 'label'; it has text, lable"),
        ({"text": ["nurse"], "label": ["yes"]}, {}, "1 are labelled yes; it takes some that have the structure and some"),
        ({"text": ["engine oil", "nurse sang"], "label": ["yes", "no"]}, {}, "so it tells nothing"),
        ({"text": ["nurse"], "label": ["yes"]}, {"positive_label": "kind"}, "has no label 'kind'; it has"),
        ({"text": ["nurse sang", "engine"], "label": ["yes", "no"]},
         {"sample": {"positives": 9, "found": 9, "negatives": 9, "alarmed": 0}}, "leave `sample` out"),
        ({"text": ["a"], "label": ["yes"]}, {"labelled": {"file": "none.parquet", "positive": "yes"}},
         "cannot be read as Parquet"),
        ({"text": ["a"], "label": ["yes"]}, {"model": "none.bin"}, "none.bin: No such file"),
        ({"text": ["a"], "label": ["yes"]}, {"model": "labels.parquet"}, "not a fastText model"),
    ],
)  # fmt: skip
def test_what_cannot_be_counted_is_refused_in_one_line(
    model: pathlib.Path, tmp_path: pathlib.Path, columns: dict, changes: dict, words: str
) -> None:
    labelled(tmp_path, **columns)
    with pytest.raises(StructuresError) as error:
        load(tmp_path, **of_model(model, **changes))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_the_definition_is_the_model_and_the_threshold_and_not_where_it_lies(
    model: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    labelled(tmp_path, text=["nurse sang", "engine oil"], label=["yes", "no"])
    base = load(tmp_path, **of_model(model))
    (tmp_path / "copy").write_bytes(model.read_bytes())
    labelled(tmp_path, text=["nurse sang", "nurse cared", "engine oil"], label=["yes", "yes", "no"])
    moved = load(tmp_path, **of_model(tmp_path / "copy"))
    assert moved.definition() == base.definition()  # more labels read no text again
    assert moved.sha256() != base.sha256()
    assert load(tmp_path, **of_model(model, threshold=0.6)).definition() != base.definition()
    (tmp_path / "copy").write_bytes(model.read_bytes() + b"\0")
    assert load(tmp_path, **of_model(tmp_path / "copy")).definition() != base.definition()
    changed = moved.structures[0]
    assert isinstance(changed, Classifier)
    with pytest.raises(StructuresError, match="is another file than when the run began"):
        judge(
            changed.model_copy(update={"model_sha256": "0" * 64}),
            canonicalise(pa.array(["a"], pa.large_string()))[1],
            None,
        )
