import os
import pathlib
import pickle
import posixpath

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from transforms.ingest.formats import stem_and_ending
from transforms.ingest.sources import (
    Fields,
    InputError,
    Piece,
    Source,
    files_by_source,
    find_files,
    find_pieces,
    plan,
    plan_splits,
)


def write(folder, **files):
    """Files by name; `__` stands for a dot and `_in_` for a slash."""
    for name, content in files.items():
        path = folder / name.replace("_in_", "/").replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def paths(splits, folder):
    return [[os.path.relpath(piece.path, folder) for piece in split.pieces] for split in splits]


def planned(folder, path=None, target=1 << 20, **source):
    return plan_splits([Source(name="s", path=path or str(folder), **source)], target)


def test_a_folder_is_taken_with_all_below_it_but_what_is_hidden(tmp_path):
    write(
        tmp_path, b__jsonl=b"{}", a_in_c__jsonl=b"{}", __hidden_in_x__jsonl=b"{}", _tmp__jsonl=b"{}", a_in__x__jsonl=b""
    )
    assert paths(planned(tmp_path), tmp_path) == [["a/c.jsonl", "b.jsonl"]]
    assert paths(planned(tmp_path, f"{tmp_path}/"), tmp_path) == [["a/c.jsonl", "b.jsonl"]]


def test_the_order_is_the_recipe_s_and_then_the_path_s(tmp_path):
    write(tmp_path, x_in_b__txt=b"1", x_in_a__txt=b"2", y_in_a__txt=b"3")
    splits = plan_splits([Source(name="y", path=f"{tmp_path}/y"), Source(name="x", path=f"{tmp_path}/x")])
    assert [(s.index, s.source) for s in splits] == [(0, 0), (1, 1)]
    assert paths(splits, tmp_path) == [["y/a.txt"], ["x/a.txt", "x/b.txt"]]


def test_small_files_share_a_split_and_none_is_larger_than_the_target_unless_it_is_one_file(tmp_path):
    write(tmp_path, **{f"{i:03}__txt": b"x" * 10 for i in range(100)}, zzz__txt=b"x" * 500)
    splits = planned(tmp_path, target=100)
    assert max(s.n_bytes for s in splits[:-1]) <= 100
    assert 10 <= len(splits) - 1 <= 25  # some end before they are full: see below
    assert splits[-1].n_bytes == 500
    assert [p for s in splits for p in s.pieces] == sorted((p for s in splits for p in s.pieces), key=lambda p: p.path)


def test_a_new_file_leaves_most_splits_as_they_were(tmp_path):
    """Wherever it comes in their order: the store has signals by what a split holds."""
    write(tmp_path, **{f"{i:04}__txt": b"x" * (10 + i % 7) for i in range(1000)})

    def packed():
        return [tuple(piece.path for piece in split.pieces) for split in planned(tmp_path, target=200)]

    before = packed()
    for name in ("0000a.txt", "0500a.txt", "0999a.txt"):
        (tmp_path / name).write_bytes(b"x" * 11)
        after = packed()
        assert len(set(after) - set(before)) <= 6 < 60 < len(before), name
        assert sorted(path for pack in after for path in pack) == [path for pack in after for path in pack]
        before = after


@pytest.mark.parametrize(
    ("name", "format", "compression"),
    [
        ("a.jsonl", "jsonl", ""),
        ("a.NDJSON", "jsonl", ""),
        ("a.json.gz", "jsonl", "gzip"),
        ("a.jsonl.zst", "jsonl", "zstd"),
        ("a.txt.bz2", "text", "bz2"),
        ("a.md", "text", ""),
        ("a.parquet", "parquet", ""),
        ("a.parquet.gz", "parquet", "gzip"),
        ("a.txt.xz", "text", "xz"),
        ("a.TSV", "csv", ""),
        ("a.tgz", "tar", "gzip"),
        ("a.warc.gz", "warc", "gzip"),
        ("a.jsonl.lz4", "jsonl", "lz4"),
    ],
)
def test_the_extension_tells_the_format(tmp_path, name, format, compression):
    (tmp_path / name).write_bytes(b"x")
    [[piece]] = [split.pieces for split in planned(tmp_path)]
    assert (piece.format, piece.compression, piece.size) == (format, compression, 1)


def test_of_a_hugging_face_folder_only_the_data_are_taken(tmp_path):
    write(
        tmp_path,
        **{"data_in_train-00000-of-00001__parquet": b"x", "README__md": b"x", "LICENSE__txt": b"x"},
        **{"dataset_infos__json": b"{}", "__gitattributes": b"x", "train_in_state__json": b"{}"},
    )
    assert paths(planned(tmp_path), tmp_path) == [["data/train-00000-of-00001.parquet"]]
    assert paths(planned(tmp_path, format="text"), tmp_path) == [["LICENSE.txt", "README.md"]]


def test_what_is_not_read_is_named_with_its_reason(tmp_path):
    names = (
        "a.jsonl",
        "b.txt",
        "c.TXT",
        "sub/d.md",
        "e.jsonl.gz",
        "f",
        "g.xyz",
        "h.txt.gz",
        "dataset_info.json",
        ".hidden",
        "_x/y.csv",
    )
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")

    def unread(**source):
        one = {"name": "a", "path": str(tmp_path)} | source
        return {os.path.relpath(path, tmp_path): reason for path, reason in find_files(Source(**one)).unread}

    always = {".hidden": "hidden", "_x": "hidden", "f": "other_format", "g.xyz": "other_format"}
    described = {"dataset_info.json": "describes_data"}
    text = dict.fromkeys(("b.txt", "c.TXT", "sub/d.md"), "text_beside_data")  # nobody compresses a README
    assert unread() == always | described | text
    assert unread(path=(str(tmp_path), str(tmp_path / "b.txt"))) == {
        k: v for k, v in (always | described | text).items() if k != "b.txt"
    }
    without_ending = {"f": "other_format"}  # which is what a recipe says that it is
    assert unread(format="text") == {k: v for k, v in always.items() if k not in without_ending} | described | {
        "a.jsonl": "other_format",
        "e.jsonl.gz": "other_format",
    }
    assert unread(path=str(tmp_path / "a.jsonl")) == {}
    read = {piece.path for piece in find_pieces(Source(name="a", path=str(tmp_path)))}
    assert {pathlib.Path(path).name for path in read} == {"a.jsonl", "e.jsonl.gz", "h.txt.gz"}


def test_a_glob_or_a_file_is_taken_at_the_recipe_s_word(tmp_path):
    write(tmp_path, dump__log=b"x", other__csv=b"x")
    assert planned(tmp_path, f"{tmp_path}/*.log", format="lines")[0].pieces[0].format == "lines"
    assert planned(tmp_path, f"{tmp_path}/other.csv", format="jsonl")[0].pieces[0].format == "jsonl"


def test_one_star_stays_in_a_folder_and_two_do_not(tmp_path):
    write(tmp_path, a__jsonl=b"x", d_in_b__jsonl=b"x")
    assert paths(planned(tmp_path, f"{tmp_path}/*.jsonl"), tmp_path) == [["a.jsonl"]]
    assert paths(planned(tmp_path, f"{tmp_path}/**.jsonl"), tmp_path) == [["a.jsonl", "d/b.jsonl"]]


def test_a_pattern_without_a_folder_looks_in_the_present_one(tmp_path, monkeypatch):
    write(tmp_path, a__jsonl=b"x")
    monkeypatch.chdir(tmp_path)
    assert [piece.path for split in planned(tmp_path, "*.jsonl") for piece in split.pieces] == ["a.jsonl"]


def test_a_name_may_hold_the_characters_of_a_pattern(tmp_path):
    write(tmp_path, **{"odd [1]_in_a*__txt": b"x", "odd 1_in_b__txt": b"x"})
    assert paths(planned(tmp_path, f"{tmp_path}/odd [1]"), tmp_path) == [["odd [1]/a*.txt"]]
    assert paths(planned(tmp_path, f"{tmp_path}/odd [1]/a*.txt"), tmp_path) == [["odd [1]/a*.txt"]]


def test_a_file_counts_once_in_a_source_and_may_be_in_two(tmp_path):
    write(tmp_path, a__txt=b"x", b__txt=b"x")
    both = (f"{tmp_path}/a.txt", f"{tmp_path}/*.txt", str(tmp_path), f"{tmp_path}/./b.txt")
    sources = [Source(name="s", path=both), Source(name="t", path=f"{tmp_path}/b.txt")]
    assert paths(plan_splits(sources), tmp_path) == [["a.txt", "b.txt"], ["b.txt"]]


def test_the_fingerprint_changes_when_the_file_does(tmp_path):
    write(tmp_path, a__txt=b"x")
    os.utime(tmp_path / "a.txt", (1, 1))
    before = planned(tmp_path)
    assert before == planned(tmp_path)
    os.utime(tmp_path / "a.txt", (1, 2))
    assert planned(tmp_path)[0].pieces[0].fingerprint != before[0].pieces[0].fingerprint


def test_a_large_parquet_file_is_cut_at_row_groups(tmp_path):
    table = pa.table({"text": [os.urandom(500).hex() for _ in range(100)]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=10)
    splits = planned(tmp_path, target=30_000)
    pieces = [piece for split in splits for piece in split.pieces]
    assert len(pieces) > 2
    whole = planned(tmp_path, target=1 << 30)[0].pieces[0]
    sources = [Source(name=name, path=str(tmp_path)) for name in ("s", "none")]
    assert files_by_source(splits, sources) == [[whole], []]  # which is one file of all its bytes
    groups = [group for piece in pieces for group in range(*piece.row_groups)]
    assert groups == list(range(10))
    assert all(piece.size <= 30_000 for piece in pieces)
    assert whole.row_groups is None


def test_a_parquet_file_without_a_footer_is_left_to_the_reader(tmp_path):
    write(tmp_path, a__parquet=b"PAR1" + b"x" * 100)
    assert planned(tmp_path, target=10)[0].pieces[0].row_groups is None


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("nothing/*.jsonl", "matches no file"),
        ("nothing", "matches no file"),
        ("empty", "matches no file"),
        ("odd", r"extensions: \.bin, none"),
        ("odd/a.bin", "set `format`"),
        ("nowhere://x/y", "is no address that is read"),
    ],
)
def test_a_source_without_data_is_an_error_of_the_input(tmp_path, path, says):
    write(tmp_path, odd_in_a__bin=b"x", odd_in_b=b"x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=says) as error:
        planned(tmp_path, path if "://" in path else f"{tmp_path}/{path}")
    assert "source s" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_name_that_is_not_text_is_an_error_of_the_input(tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xff.txt", "wb") as file:
        file.write(b"x")
    with pytest.raises(InputError, match="rename"):
        planned(tmp_path)


@pytest.mark.parametrize(
    "wrong", [{"name": "a b"}, {"name": ""}, {"trust": 1.5}, {"origin": "ai"}, {"path": ()}, {"x": 1}]
)
def test_a_source_refuses_what_it_does_not_know(wrong):
    with pytest.raises(ValidationError):
        Source.model_validate({"name": "s", "path": "p", **wrong})


def test_sources_and_splits_travel_to_a_worker():
    source = Source(name="s", path=["a", "b"], fields=Fields(text="body"))
    assert pickle.loads(pickle.dumps(source)) == source
    assert hash(source) == hash(source.model_copy())
    piece = Piece("a", "jsonl", "", 1, "1-1")
    assert pickle.loads(pickle.dumps(piece)) == piece


def test_a_file_of_0_bytes_is_named_and_only_such_files_are_no_source(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"")
    with pytest.raises(InputError, match="1 file, all of them of 0 bytes; fetch them again"):
        find_files(Source(name="web", path=str(tmp_path)))
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "a"}')
    found = find_files(Source(name="web", path=str(tmp_path)))
    assert [piece.path for piece in found.pieces] == [str(tmp_path / "b.jsonl")]
    assert [(one.path, one.reason) for one in found.unread] == [(str(tmp_path / "a.jsonl"), "empty_file")]


def test_a_file_that_another_source_reads_is_not_called_unread(tmp_path):
    write(tmp_path, a__jsonl=b"{}", b__sgm=b"x", c__pdf=b"x")
    sources = [Source(name="s", path=str(tmp_path)), Source(name="t", path=f"{tmp_path}/*.sgm", format="text")]
    assert [[os.path.basename(one.path) for one in files.unread] for files in plan(sources).found] == [["c.pdf"], []]


@given(st.text("/.aÄ\udcff", max_size=8))
def test_the_ending_of_a_name_is_what_python_says(path: str) -> None:
    assert stem_and_ending(path) == posixpath.splitext(posixpath.basename(path).lower())
