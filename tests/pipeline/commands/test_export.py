"""What `export` writes is read back by the libraries that it is for, and holds every document once, or as often as it counts."""

import itertools
import json
import pathlib
import pydoc_data.topics
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiktoken.registry
import webdataset
import zstandard
from deltalake import DeltaTable
from rich.console import Console
from tokenizers import Tokenizer

from pipeline import runner
from pipeline.commands import export as exporting
from pipeline.commands.export import Asked, export_release, export_text
from pipeline.recipe import RecipeError, load_recipe
from transforms.exports.writers import WRITERS, ExportError, ExportOptions, Mds
from transforms.release.read_release import ReleaseError
from transforms.survey.tokenizers import TokenizerError, load_tokenizer

QUIET = Console(file=open("/dev/null", "w"))  # noqa: SIM115 (it lives as long as the tests)
HOSTILE = "a text that says <|endoftext|> and \x00 and \u2028 and \U0001f600, and says it <|endoftext|> again"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("export")
    texts = [text[:1500] for _, text in sorted(pydoc_data.topics.topics.items())][:60]
    records = [{"id": f"d{n}", "text": text, "created": "2015-05-05"} for n, text in enumerate([*texts, HOSTILE])]
    (folder / "in.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    recipe = {
        "release": "v1",
        "sources": [{"name": "topics", "path": "in.jsonl", "origin": "human"}],
        "output": {"path": "out", "shard_bytes": 30_000},
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    loaded = load_recipe(str(folder / "recipe.yaml"))
    return runner.run(loaded, runner.prepare(loaded, str(folder)), QUIET).folder


def documents(folder: str) -> dict[str, dict]:
    paths = sorted(pathlib.Path(folder, "data").glob("*.parquet"))
    return {row["id"]: row for row in pa.concat_tables([pq.read_table(path) for path in paths]).to_pylist()}


def test_json_lines_hold_every_document_with_all_its_columns(released: str, tmp_path: pathlib.Path) -> None:
    asked = Asked("jsonl.zst", text="content", shard_bytes=20_000)
    about = export_release(released, str(tmp_path / "out"), asked, QUIET)
    files = sorted((tmp_path / "out").glob("*.jsonl.zst"))
    assert len(files) > 2
    lines = [line for path in files for line in zstandard.open(path, "rt", encoding="utf-8", newline="\n")]
    rows = {row["id"]: row for row in map(json.loads, lines)}
    wanted = documents(released)
    assert len(lines) == len(rows) == about["documents"] == len(wanted)
    assert {name: row["content"] for name, row in rows.items()} == {name: row["text"] for name, row in wanted.items()}
    one = next(iter(rows.values()))
    assert set(one) == {"content", *next(iter(wanted.values()))} - {"text"}
    assert one["created"].startswith("2015-05-05T00:00:00")
    assert (tmp_path / "out" / "README.md").read_bytes() == pathlib.Path(released, "README.md").read_bytes()
    assert f"{len(wanted):,}  the manifest says {len(wanted):,}" in export_text(about, "out")


def test_webdataset_reads_every_document_back(released: str, tmp_path: pathlib.Path) -> None:
    export_release(released, str(tmp_path / "out"), Asked("webdataset", columns=("language", "created")), QUIET)
    urls = [str(path) for path in sorted((tmp_path / "out").glob("*.tar"))]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False))
    wanted = documents(released)
    assert {sample["__key__"]: sample["txt"].decode() for sample in samples} == {
        n: r["text"] for n, r in wanted.items()
    }
    assert len(samples) == len(wanted)
    assert set(json.loads(samples[0]["json"])) == {"id", "language", "created"}


def read_megatron(prefix: pathlib.Path) -> list[list[int]]:
    """After the layout in Megatron Core's `IndexedDataset`, by its documents."""
    data = prefix.with_suffix(".idx").read_bytes()
    assert data[:9] == b"MMIDIDX\x00\x00"
    version, code, sequences, indices = struct.unpack_from("<QBQQ", data, 9)
    assert (version, data[17]) == (1, code)
    dtype = {4: np.int32, 8: np.uint16}[code]
    at = 9 + 8 + 1 + 8 + 8
    lengths = np.frombuffer(data, np.int32, sequences, at)
    pointers = np.frombuffer(data, np.int64, sequences, at + lengths.nbytes)
    begins = np.frombuffer(data, np.int64, indices, at + lengths.nbytes + pointers.nbytes)
    assert len(data) == at + lengths.nbytes + pointers.nbytes + begins.nbytes
    tokens = np.memmap(prefix.with_suffix(".bin"), dtype, "r")
    assert tokens.nbytes == lengths.sum() * tokens.itemsize
    found = []
    for first, after in itertools.pairwise(begins):
        parts = [(int(pointers[n]) // tokens.itemsize, int(lengths[n])) for n in range(first, after)]
        found.append([int(t) for start, length in parts for t in tokens[start : start + length]])
    return found


def test_megatron_gives_every_text_back(released: str, tokenizer: str, tmp_path: pathlib.Path) -> None:
    asked = Asked("megatron", tokenizer=tokenizer, eod="<|endoftext|>")
    about = export_release(released, str(tmp_path / "out"), asked, QUIET)
    model = Tokenizer.from_file(tokenizer)
    end = model.token_to_id("<|endoftext|>")
    found = read_megatron(tmp_path / "out" / "text_document")
    assert all(tokens[-1] == end and end not in tokens[:-1] for tokens in found)  # also where the text says so
    assert [model.decode(tokens[:-1]) for tokens in found] == [row["text"] for row in documents(released).values()]
    assert about["tokens"] == sum(map(len, found))
    assert (tmp_path / "out" / "text_document.bin").stat().st_size == 2 * about["tokens"]  # 600 fit in 16 bits


def read_mds(folder: pathlib.Path) -> list[dict]:
    """After the layout of MosaicML Streaming's version 2."""
    found = []
    for shard in json.loads((folder / "index.json").read_text())["shards"]:
        data = (folder / shard["raw_data"]["basename"]).read_bytes()
        assert len(data) == shard["raw_data"]["bytes"]
        n = struct.unpack_from("<I", data)[0]
        offsets = struct.unpack_from(f"<{n + 1}I", data, 4)
        assert (n, offsets[-1]) == (shard["samples"], len(data))
        assert json.loads(data[4 * (n + 2) : offsets[0]])["column_names"] == shard["column_names"]
        for begin in offsets[:-1]:
            sizes = []
            for size in shard["column_sizes"]:
                sizes.append(size or struct.unpack_from("<I", data, begin)[0])
                begin += 0 if size else 4
            row = {}
            for name, kind, size in zip(shard["column_names"], shard["column_encodings"], sizes, strict=True):
                value, begin = data[begin : begin + size], begin + size
                row[name] = (
                    value.decode() if kind == "str" else struct.unpack("<q", value)[0] if kind == "int" else value
                )
            found.append(row)
    return found


def test_mds_gives_every_text_and_its_tokens_back(
    released: str, tokenizer: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transforms.exports.writers.MDS_SHARD_BYTES", 20_000)
    asked = Asked("mds", tokenizer=tokenizer, columns=("source", "language", "n_tokens", "origin"))
    about = export_release(released, str(tmp_path / "out"), asked, QUIET)
    model, wanted = Tokenizer.from_file(tokenizer), documents(released)
    rows = read_mds(tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*.mds"))) > 2
    assert [row["id"] for row in rows] == list(wanted)
    tokens = 0
    for row in rows:
        one = wanted[row["id"]]
        assert (row["text"], row["n_tokens"], row["origin"]) == (one["text"], one["n_tokens"], one["origin"])
        dimensions, width = row["tokens"][0] >> 2, 1 << (row["tokens"][0] & 3)
        ids = np.frombuffer(row["tokens"][1 + width :], np.uint16)
        assert (dimensions, int.from_bytes(row["tokens"][1 : 1 + width], "little")) == (1, len(ids))
        assert model.decode(ids.tolist()) == one["text"]
        tokens += len(ids)
    assert tokens == about["tokens"]


def test_mds_is_read_by_its_own_library(released: str, tokenizer: str, tmp_path: pathlib.Path) -> None:
    streaming = pytest.importorskip("streaming", reason="mosaicml-streaming asks for an older numpy than Beam")
    export_release(released, str(tmp_path / "out"), Asked("mds", tokenizer=tokenizer), QUIET)
    data = streaming.LocalDataset(str(tmp_path / "out"))
    model = Tokenizer.from_file(tokenizer)
    texts = [row["text"] for row in documents(released).values()]
    assert [data[n]["text"] for n in range(len(data))] == texts
    assert [model.decode(data[n]["tokens"].tolist()) for n in range(len(data))] == texts


def test_ledger_and_metrics_are_delta_tables(released: str, tmp_path: pathlib.Path) -> None:
    about = export_release(released, str(tmp_path / "out"), Asked("delta"), QUIET)
    ledger, metrics = (DeltaTable(tmp_path / "out" / name).to_pyarrow_table() for name in ("ledger", "metrics"))
    wanted = pa.concat_tables([pq.read_table(path) for path in sorted(pathlib.Path(released, "ledger").glob("*"))])
    assert about["tables"] == {"ledger": wanted.num_rows, "metrics": metrics.num_rows}
    key = [("source", "ascending"), ("row", "ascending")]
    assert ledger.sort_by(key).select(wanted.column_names).to_pylist() == wanted.sort_by(key).to_pylist()
    assert set(ledger["release"].to_pylist()) == set(metrics["release"].to_pylist()) == {"v1"}
    assert metrics.num_rows == pq.read_metadata(pathlib.Path(released, "metrics.parquet")).num_rows


@pytest.mark.parametrize("form", sorted(WRITERS))
def test_the_same_release_gives_the_same_bytes(
    form: str, released: str, tokenizer: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(form, tokenizer=tokenizer if form in ("megatron", "mds") else None)
    export_release(released, str(tmp_path / "one"), asked, QUIET)
    monkeypatch.setattr(exporting, "ROWS_WITH_TEXT", 7)
    export_release(released, str(tmp_path / "two"), asked, QUIET)
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two


def batch(copies: list[int]) -> pa.RecordBatch:
    n = len(copies)
    return pa.RecordBatch.from_pydict(
        {"id": [f"{i:032x}" for i in range(n)], "text": pa.array([f"text {i}" for i in range(n)], pa.large_string()),
         "n_tokens": pa.array([2] * n, pa.int32()), "copies": pa.array(copies, pa.int32())}
    )  # fmt: skip


def test_repeat_writes_a_document_as_often_as_it_counts(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Three:
        def columns(self) -> list[str]:
            return batch([]).schema.names

        def batches(self, columns: list[str], rows: int) -> object:
            return iter([(0, batch([1, 3, 2]).select(columns))])

    monkeypatch.setattr(exporting, "open_release", lambda _: Three())
    manifest = {"files": [{"path": "data/a", "rows": 3, "tokens": 6}]}
    about = exporting._documents("here", manifest, str(tmp_path), Asked("webdataset", repeat=True), None)
    keys = [sample["__key__"] for sample in webdataset.WebDataset(str(tmp_path / "000000.tar"), shardshuffle=False)]
    assert [(key[31:32], key[32:]) for key in keys] == [
        ("0", ""),
        ("1", ""),
        ("1", "-1"),
        ("1", "-2"),
        ("2", ""),
        ("2", "-1"),
    ]
    assert about["documents"] == about["expected"] == 6


def test_a_writer_that_loses_a_document_is_found_out(
    released: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Losing(WRITERS["jsonl.zst"]):
        def add(self, some: pa.RecordBatch, copy: list[int]) -> None:
            super().add(some.slice(1), copy[1:])

    monkeypatch.setitem(WRITERS, "jsonl.zst", Losing)
    with pytest.raises(ExportError, match="nothing was put in place"):
        export_release(released, str(tmp_path / "out"), Asked("jsonl.zst"), QUIET)
    assert list(tmp_path.iterdir()) == []


def test_it_overwrites_nothing_and_says_what_does_not_go_together(
    released: str, tokenizer: str, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").write_text("mine")
    refused = {
        "holds other files": ("there", Asked("jsonl.zst")),
        "jsonl.zst": ("out", Asked("jsonl")),
        "holds tokens: say --tokenizer": ("out", Asked("megatron")),
        "holds texts": ("out", Asked("webdataset", tokenizer=tokenizer)),
        "no use for it": ("out", Asked("mds", eod="<|endoftext|>")),
        "--column langage: did you mean 'language'": ("out", Asked("jsonl.zst", columns=("langage",))),
        "columns of text and of whole numbers": ("out", Asked("mds", columns=("created",))),
        "there is a column of that name": ("out", Asked("jsonl.zst", text="source")),
    }
    for said, (name, asked) in refused.items():
        with pytest.raises((RecipeError, ExportError), match=said):
            export_release(released, str(tmp_path / name), asked, QUIET)
    for said, asked in {
        "No such file": Asked("megatron", tokenizer=str(tmp_path / "none.json")),
        "is no tokenizer.json": Asked("megatron", tokenizer=str(tmp_path / "there" / "mine")),
        "tiktoken knows": Asked("megatron", tokenizer="tiktoken:none"),
        "it has no token": Asked("megatron", tokenizer=tokenizer, eod="<end>"),
    }.items():
        with pytest.raises(TokenizerError, match=said):
            export_release(released, str(tmp_path / "out"), asked, QUIET)
    with pytest.raises(ReleaseError, match="is not a release"):
        export_release(str(tmp_path), str(tmp_path.parent / "elsewhere"), Asked("jsonl.zst"), QUIET)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert (tmp_path / "there" / "mine").read_text() == "mine"


def test_a_vocabulary_of_tiktoken(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own take a network; so one that is made here, which it finds as it finds its own."""
    (tmp_path / "tiktoken_ext").mkdir()
    (tmp_path / "tiktoken_ext" / "made_here.py").write_text(
        "def made():\n"
        "    ranks = {bytes([n]): n for n in range(256)} | {b'th': 256, b'the': 257}\n"
        "    special = {'<|endoftext|>': 258}\n"
        "    return {'name': 'made_here', 'pat_str': r'\\S+|\\s+', 'mergeable_ranks': ranks, 'special_tokens': special}\n"
        "ENCODING_CONSTRUCTORS = {'made_here': made}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("tiktoken.registry.ENCODING_CONSTRUCTORS", None)
    tiktoken.registry._available_plugin_modules.cache_clear()
    model = load_tokenizer("tiktoken:made_here")
    [tokens, other] = model.encode([HOSTILE, "the"])
    assert model.token("<|endoftext|>") == 258
    assert 258 not in tokens.tolist()
    assert other.tolist() == [257]
    assert len(model.sha256) == 64


def test_mds_of_no_document(tmp_path: pathlib.Path) -> None:
    writer = Mds(str(tmp_path), ExportOptions(columns=("id", "text")), None)
    writer.close()
    assert writer.count() == (0, 0)
    assert read_mds(tmp_path) == []
