"""What `init` proposes: sources, formats and columns, and what it says of them."""

import gzip
import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.commands.init import write_recipe
from pipeline.recipe import load_recipe
from transforms.ingest.readers import read_split
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import plan_splits

LONG = "A sentence that is long enough to look like a text to everybody, number {}."


def write(folder, **files):
    for name, content in files.items():
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def lines(*records):
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


@pytest.fixture
def proposed(tmp_path, monkeypatch):
    """What `init` says, the sources of its recipe, and how many documents they read, by name."""
    monkeypatch.chdir(tmp_path)

    def of(**files):
        write(tmp_path, **files)
        said = write_recipe(["data"], "recipe.yaml", force=True)
        sources = load_recipe("recipe.yaml").sources
        counts = {}
        for split in plan_splits(sources):
            for documents, bad in read_split(split, sources[split.source], ReadLimits()):
                name = sources[split.source].name
                counts[name] = counts.get(name, 0) + documents.num_rows
                assert all(row["records"] == 0 for row in bad.to_pylist()), bad.to_pylist()
        return said, {source.name: source for source in sources}, counts

    return of


def test_folders_that_are_parts_of_a_source_are_one(proposed):
    for names in (("lang=de", "lang=fr"), ("train", "test"), ("2019", "2020"), ("a", "b"), ("part-1", "part-2")):
        _said, sources, _counts = proposed(**{f"{name}/a.jsonl": lines({"text": name}) for name in names})
        assert list(sources) == ["data"], names
        for name in names:
            pathlib.Path(f"data/{name}/a.jsonl").unlink()
            pathlib.Path(f"data/{name}").rmdir()


def test_folders_of_languages_are_one_source_with_a_column_for_them(proposed):
    said, sources, _counts = proposed(**{f"{name}/a.jsonl": lines({"text": name}) for name in ("de", "en", "pt-BR")})
    assert sources["data"].path_pattern is not None
    assert "columns from the names of folders and files: `language` (3 values, such as de)" in said


def test_files_of_an_unknown_ending_are_a_source_by_what_they_begin_with(proposed):
    said, sources, counts = proposed(
        **{
            "a.jsonl": lines({"text": "x"}),
            "b/1.sgm": LONG,
            "b/2.sgm": LONG,
            "c.dump": lines({"text": "y"}),
            "d.pdf": b"%PDF-1.7",
        }
    )
    assert counts == {"data": 1, "data-sgm": 2, "data-dump": 1}
    assert (sources["data-sgm"].format, sources["data-dump"].format) == ("text", "jsonl")
    assert "2 files that end in .sgm look like text, a file a document" in said
    assert "could not read 1 file .pdf: data/d.pdf is a PDF file; take its text out: pdftotext" in said


def test_many_texts_beside_data_are_a_source_and_a_few_are_readmes(proposed):
    said, _, counts = proposed(**{"a.jsonl": lines({"text": "x"}), **{f"t/{i}.txt": LONG for i in range(3)}})
    assert counts == {"data": 1}
    assert "3 .txt: text beside data, taken for a README" in said
    said, _sources, counts = proposed(**{f"t/{i}.txt": LONG for i in range(9)})
    assert counts == {"data": 1, "data-text": 9}
    assert "9 files of text, a file a document lie beside data" in said


@pytest.mark.parametrize(
    ("record", "text", "why"),
    [
        (
            {"instruction": "Do.", "input": "", "output": "Done."},
            "{instruction}\n\n{input}\n\n{output}",
            "a layout of instructions",
        ),
        ({"question": "Why?", "answer": "So."}, "{question}\n\n{answer}", "a layout of instructions"),
        ({"key": "k", "passage": LONG, "tags": ["a"] * 50}, "passage", "its values are the longest"),
        ({"key": "k", "meta": {"passage": LONG}}, "meta.passage", "its values are the longest"),
    ],
)
def test_a_text_without_a_well_known_name_is_guessed_and_said(proposed, record, text, why):
    for name, content in (("a.jsonl", lines(*[record] * 3)), ("a.json", json.dumps([record] * 3))):
        said, sources, counts = proposed(**{name: content})
        assert (sources["data"].fields.text, counts) == (text, {"data": 3})
        assert f"text from `{text}` (guessed: {why})".replace("\n", "\\n") in said
        pathlib.Path("data", name).unlink()
    table = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([record] * 3), table)
    said, sources, counts = proposed(**{"a.parquet": table.getvalue().to_pybytes()})
    assert (sources["data"].fields.text, counts) == (text, {"data": 3})


def test_where_nothing_looks_like_a_text_it_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, **{"a.jsonl": lines({"n": 1, "word": "x"})})
    said = write_recipe(["data"], "recipe.yaml")
    assert "no column looks like a text (there is: n, word)" in said
    assert "could not read some of the first records of data/a.jsonl: missing_text" in said


def test_csv_shows_its_dialect(proposed):
    said, _, counts = proposed(
        **{"a.tsv.gz": gzip.compress(b'id\ttext\n1\tone\n2\t"two"\tx\n3\tthree\n'.replace(b"\tx", b""))}
    )
    assert "data/a.tsv.gz is CSV with tabs between values" in said
    assert counts == {"data": 3}


def test_one_file_and_a_pattern_are_sources_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, **{"reut-0.sgm": LONG, "reut-1.sgm": LONG})
    for path in ("data/reut-0.sgm", "data/*.sgm", "data"):
        said = write_recipe([path], "recipe.yaml", force=True)
        [source] = load_recipe("recipe.yaml").sources
        assert source.format == "text"
        assert "look like text, a file a document" in said
