"""Labels: the last one of a reviewer counts, torn lines are left out, everything else that is wrong is said."""

import errno
import json
import os

import numpy as np
import orjson
import pyarrow as pa
import pytest

from expectations.contracts import HASH, HUMAN, SYNTHETIC, UNKNOWN
from expectations.wording import plural
from transforms.origin.label_file import LabelError, LabelFile, read_labels
from transforms.origin.review_labels import ReviewConfig, as_bytes, read_reviewed, reviewed

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


@pytest.mark.parametrize("text", ["remember the milk", '{"text": "a corpus of one line"}'])
def test_one_line_of_something_else_is_no_torn_label(tmp_path, text):
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(LabelError, match="line 1"):
        LabelFile(str(path))
    assert path.read_text() == text


FIRST, NEXT = ({"content_hash": c, "label": "human", "reviewer": "ada"} for c in (A, B))


@pytest.mark.parametrize("when", ["write", "fsync"])
@pytest.mark.parametrize("at", range(0, len(orjson.dumps(FIRST)) + 1, 3))
def test_a_full_disk_at_any_byte_loses_nothing_that_was_acknowledged(tmp_path, monkeypatch, at, when):
    """The disk is full after `at` bytes of an answer: it is refused, and the next one is whole."""
    path = str(tmp_path / "labels.jsonl")
    file, write, sync = LabelFile(path), os.write, os.fsync
    file.append(FIRST)

    def full(fd, data):
        write(fd, data[:at] if when == "write" else data)
        if when == "write":
            raise OSError(errno.ENOSPC, "No space left on device")

    failed = []

    def unsynced(fd):
        if when == "fsync" and not failed:
            failed.append(fd)
            raise OSError(errno.EIO, "Input/output error")
        sync(fd)

    with monkeypatch.context() as broken:
        broken.setattr(os, "write", full if when == "write" else write)
        broken.setattr(os, "fsync", unsynced)
        with pytest.raises(OSError, match=r"No space|Input/output"):
            file.append({**NEXT, "label": "synthetic"})
    assert votes(read_labels([path]), A, B) == [[0, 1, 0], [0, 0, 0]]
    file.append(NEXT)
    file.close()
    labels = read_labels([path])
    assert labels.warnings == ()
    assert votes(labels, A, B) == [[0, 1, 0], [0, 1, 0]]


def test_a_short_write_is_an_error_and_leaves_nothing(tmp_path, monkeypatch):
    path = str(tmp_path / "labels.jsonl")
    file, write = LabelFile(path), os.write
    with monkeypatch.context() as short:
        short.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
        with pytest.raises(OSError, match="only 7 of"):
            file.append(FIRST)
    assert os.path.getsize(path) == 0
    file.append(FIRST)
    file.close()
    assert votes(read_labels([path]), A) == [[0, 1, 0]]


def test_what_cannot_be_taken_back_stops_the_writing_until_it_can(tmp_path, monkeypatch):
    path = str(tmp_path / "labels.jsonl")
    file, write = LabelFile(path), os.write
    file.append(FIRST)

    def fails(*_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
        broken.setattr(os, "ftruncate", fails)
        for _ in range(2):  # the second one finds the torn answer, and adds nothing to it
            with pytest.raises(OSError, match="Input/output"):
                file.append(NEXT)
    assert read_labels([path]).warnings  # torn, said, and the others are read
    file.append(NEXT)
    file.close()
    assert votes(read_labels([path]), A, B) == [[0, 1, 0], [0, 1, 0]]


@pytest.mark.parametrize("cut", range(1, len(line(B, "human")) + 1, 5))
def test_a_file_torn_at_any_byte_is_read_and_mended_and_said(tmp_path, cut):
    path = tmp_path / "labels.jsonl"
    path.write_text(line(A, "human") + "\n" + line(B, "human")[:cut])
    whole = cut == len(line(B, "human"))
    assert len(read_labels([str(path)]).warnings) == (not whole)
    file = LabelFile(str(path))
    assert (f"{plural(cut, 'byte')} cut off" in file.cut) == (not whole)
    file.append({"content_hash": C, "label": "human", "reviewer": "ada"})
    file.close()
    assert votes(read_labels([str(path)]), A, B, C) == [[0, 1, 0], [0, int(whole), 0], [0, 1, 0]]


def test_a_second_writer_is_refused(tmp_path):
    path = str(tmp_path / "labels.jsonl")
    first = LabelFile(path)
    with pytest.raises(LabelError, match="another `review serve` writes to it"):
        LabelFile(path)
    first.close()
    LabelFile(path).close()


@pytest.mark.parametrize("change", ["replaced", "gone", "written"])
def test_an_answer_is_not_acknowledged_if_the_file_is_not_the_one_that_people_read(tmp_path, change):
    path = tmp_path / "labels.jsonl"
    file = LabelFile(str(path))
    file.append(FIRST)
    if change == "written":
        with path.open("a") as other:
            other.write(line(C, "human"))
    else:
        path.rename(tmp_path / "away.jsonl")
    if change == "replaced":
        path.write_text(line(C, "human") + "\n")
    with pytest.raises(OSError, match="moved, replaced or written by somebody else"):
        file.append(NEXT)
    file.close()


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
