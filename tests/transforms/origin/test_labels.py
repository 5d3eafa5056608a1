"""Labels: the last one of a reviewer counts, torn lines are left out, everything else that is wrong is said."""

import json
import os

import numpy as np
import pyarrow as pa
import pytest

from expectations.contracts import HASH, HUMAN, SYNTHETIC, UNKNOWN
from transforms.origin.human_labels import ReviewConfig, as_bytes, read_reviewed, reviewed
from transforms.origin.labels import LabelError, LabelFile, read_labels

A, B, C = "0a" * 16, "ff" * 15 + "00", "00" * 16  # also hashes that end or are zeros, which NumPy's bytes would cut


def line(content, label, reviewer="ada", **more):
    return json.dumps({"content_hash": content, "label": label, "reviewer": reviewer, **more})


def labels_of(tmp_path, *lines, end="\n"):
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(lines) + end)
    return read_labels([str(path)])


def column(*contents):
    return pa.array([bytes.fromhex(content) for content in contents], HASH)


def votes(labels, *contents):
    return labels.of(as_bytes(column(*contents)), labels.total).tolist()


def test_the_last_answer_of_each_reviewer_counts(tmp_path):
    labels = labels_of(
        tmp_path,
        line(A, "human"),
        line(A, "synthetic"),
        line(A, "human", "bob"),
        line(B, "undetermined"),
        line(C, "human", "bob"),
        line(C, "human"),
        line(C, None),  # taken back
    )
    assert votes(labels, A, B, C, "11" * 16) == [[0, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert sorted(labels.votes) == ["ada", "bob"]
    assert labels.warnings == ()


def test_lines_of_a_later_file_come_later(tmp_path):
    (tmp_path / "one.jsonl").write_text(line(A, "human") + "\n")
    (tmp_path / "two.jsonl").write_text(line(A, "synthetic") + "\n\n")
    paths = [str(tmp_path / "one.jsonl"), str(tmp_path / "two.jsonl")]
    assert votes(read_labels(paths), A) == [[0, 0, 1]]
    assert votes(read_labels(paths[::-1]), A) == [[0, 1, 0]]
    assert [name for name, _ in read_labels(paths).files] == ["one.jsonl", "two.jsonl"]


def test_a_torn_last_line_is_left_out_with_a_warning(tmp_path):
    labels = labels_of(tmp_path, line(A, "human"), line(B, "human")[:40], end="")
    assert votes(labels, A, B) == [[0, 1, 0], [0, 0, 0]]
    assert "line 2: torn, left out (40 bytes)" in labels.warnings[0]


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ("nonsense", "not JSON"),
        ("[]", "not an object"),
        (line("0a", "human"), "content_hash"),
        (line(A, "robot"), "label must be"),
        (line(A, ["human"]), "label must be"),
        (json.dumps({"content_hash": A, "reviewer": "ada"}), "label must be"),
        (line(A, "human", ""), "reviewer"),
        (line(A, "human", "ad\u202ea"), "reviewer"),
        (line(A, "human", 3), "reviewer"),
        (line(A, "human", seconds=-1), "seconds"),
        (line(A, "human", seconds="3"), "seconds"),
        (line(A, "human", note=1), "note"),
    ],
)
def test_any_other_bad_line_is_an_error_that_says_where(tmp_path, bad, what):
    with pytest.raises(LabelError, match=f"labels.jsonl, line 2: .*{what}"):
        labels_of(tmp_path, line(A, "human"), bad, line(B, "human"))


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(LabelError, match="review serve"):
        read_labels([str(tmp_path / "none.jsonl")])


def test_what_is_appended_is_on_disk_and_the_owners_alone(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    path = str(tmp_path / "new.jsonl")
    file = LabelFile(path)
    file.append({"content_hash": A, "label": "human", "reviewer": "ada", "seconds": 1.5})
    assert votes(read_labels([path]), A) == [[0, 1, 0]]
    assert synced
    assert os.stat(path).st_mode & 0o077 == 0
    with pytest.raises(LabelError):
        file.append({"content_hash": A, "label": "perhaps", "reviewer": "ada"})
    file.close()


@pytest.mark.parametrize(("tail", "kept"), [(line(B, "human")[:30], False), (line(B, "human"), True)])
def test_a_file_that_a_crash_tore_is_mended_before_more_is_added(tmp_path, tail, kept):
    path = tmp_path / "labels.jsonl"
    path.write_text(line(A, "human") + "\n" + tail)
    file = LabelFile(str(path))
    file.append({"content_hash": C, "label": "synthetic", "reviewer": "ada"})
    file.close()
    labels = read_labels([str(path)])
    assert labels.warnings == ()
    assert votes(labels, A, B, C) == [[0, 1, 0], [0, int(kept), 0], [0, 0, 1]]


def test_a_file_of_something_else_is_not_touched(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("release: mine\nsources: []\n# no line break at the end")
    before = path.read_bytes()
    with pytest.raises(LabelError, match="line 1: not JSON"):
        LabelFile(str(path))
    assert path.read_bytes() == before


def test_reviewed_is_what_most_say_and_undetermined_is_no_answer(tmp_path):
    labels = labels_of(
        tmp_path,
        *(line(A, label, who) for label, who in (("human", "ada"), ("synthetic", "bob"), ("synthetic", "cyd"))),
        line(B, "undetermined"),
        line(C, "human"),
        *(line("11" * 16, label, who) for label, who in (("human", "ada"), ("synthetic", "bob"))),
    )
    found = reviewed(labels)
    assert found.of(column(A, B, C, "11" * 16, "22" * 16)).tolist() == [SYNTHETIC, UNKNOWN, HUMAN, UNKNOWN, UNKNOWN]
    sliced = column("33" * 16, A, C).slice(1)
    assert found.of(sliced).tolist() == [SYNTHETIC, HUMAN]
    assert found.of(column()).tolist() == []


def test_a_recipe_without_labels_has_nobody_to_ask(tmp_path):
    assert read_reviewed(ReviewConfig()) is None
    path = tmp_path / "empty.jsonl"
    path.write_text("")
    none = read_reviewed(ReviewConfig(labels=(str(path),)))
    assert none.of(column(A)).tolist() == [UNKNOWN]


def test_many_hashes_are_found_as_a_dictionary_would(tmp_path):
    contents = [f"{(i * 2654435761) % 2**64:016x}{i:016x}" for i in range(300)]
    labels = labels_of(tmp_path, *(line(c, "human" if i % 2 else "synthetic") for i, c in enumerate(contents[:200])))
    expected = {c: HUMAN if i % 2 else SYNTHETIC for i, c in enumerate(contents[:200])}
    found = reviewed(labels).of(column(*contents))
    assert found.tolist() == [expected.get(c, UNKNOWN) for c in contents]
    assert found.dtype == np.int8
