"""Whole runs: the recipe names what counts tokens, and every number in that unit, and every word for it, follows."""

import json
import pathlib
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from tokenizers import Tokenizer

from pipeline import runner
from pipeline.commands.diff import difference
from pipeline.commands.explain import explain_document
from pipeline.commands.export import Asked, export_release
from pipeline.reading.summary import ran
from pipeline.recipe import Recipe, RecipeError, load_recipe
from transforms.survey.tokenizers import TokenizerError, load_tokenizer

QUIET = Console(file=open("/dev/null", "w"))  # noqa: SIM115 (it lives as long as the tests)
PARAGRAPH = "the same eight words and then some more of them"
TEXTS = {
    "plain": "Die Straße führt am Fluß entlang, und niemand fragt, wohin sie führt.",
    "han": "我们今天去公园散步，看见很多花。",
    "special": "what looks like <|endoftext|> is text here, and counts as such",
    "repeats": f"{PARAGRAPH}\n{PARAGRAPH}\na last line that is its own and long enough to count as well",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: str) -> pathlib.Path:
    """The same corpus twice: in words, and by a tokenizer that cuts and fills up if it is let."""
    at = tmp_path_factory.mktemp("tokens")
    rows = [{"id": name, "text": text} for name, text in TEXTS.items()]
    (at / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (at / "tokenizer.json").write_bytes(pathlib.Path(tokenizer).read_bytes())
    for name, counts in (("words", None), ("tokens", "tokenizer.json")):
        recipe = load(at, release=name, tokenizer=counts)
        runner.run(recipe, runner.prepare(recipe, str(at)), QUIET)
    return at


def load(at: pathlib.Path, **keys: object) -> Recipe:
    data = {"sources": [{"name": "a", "path": "in.jsonl", "origin": "human"}], "output": {"path": "out"}}
    data |= {"expectations": {"expectations": [{"expect": "size_to_be_at_least", "of": "tokens", "min": 1}]}}
    (at / "recipe.yaml").write_text(json.dumps({"release": "x"} | data | keys))
    return load_recipe(str(at / "recipe.yaml"))


def documents(release: pathlib.Path) -> dict[str, dict]:
    parts = [pq.read_table(path) for path in sorted((release / "data").glob("*.parquet"))]
    return {row["input_id"]: row for row in pa.concat_tables(parts).to_pylist()}


def values(release: pathlib.Path, metric: str) -> dict[tuple[str, str], dict]:
    rows = pq.read_table(release / "metrics.parquet").to_pylist()
    return {(row["stage"], row["slice"]): row for row in rows if row["metric"] == metric}


def test_every_document_has_the_tokens_that_the_library_finds_in_it(folder: pathlib.Path, tokenizer: str) -> None:
    model = Tokenizer.from_file(tokenizer)
    model.no_truncation()
    model.no_padding()
    model.encode_special_tokens = True
    by_tokens, in_words = documents(folder / "out" / "tokens"), documents(folder / "out" / "words")
    assert set(by_tokens) == set(in_words) == set(TEXTS)
    for name, row in by_tokens.items():
        assert (
            row["n_tokens"] == len(model.encode(row["text"], add_special_tokens=False).ids) > in_words[name]["n_tokens"]
        )
    total = sum(row["n_tokens"] for row in by_tokens.values())
    assert values(folder / "out" / "tokens", "tokens")["after", ""]["value"] == total
    manifest = json.loads((folder / "out" / "tokens" / "MANIFEST.json").read_text())
    assert sum(entry.get("tokens", 0) for entry in manifest["files"]) == total
    exported = export_release(
        str(folder / "out" / "tokens"), str(folder / "meg"), Asked("megatron", tokenizer=tokenizer), QUIET
    )
    assert exported["tokens"] == total  # one reader for both


def test_the_unit_is_named_wherever_a_person_reads(folder: pathlib.Path) -> None:
    said = {}
    for name in ("words", "tokens"):
        release, other = folder / "out" / name, "tokens" if name == "words" else "words"
        manifest = json.loads((release / "MANIFEST.json").read_text())
        assert manifest["unit"] == name
        assert (manifest["tokenizer"] or {}).get("sha256") == (
            load_tokenizer(str(folder / "tokenizer.json")).sha256 if name == "tokens" else None
        )
        assert (
            values(release, "tokens")["after", ""]["unit"] == values(release, "length.q50")["after", ""]["unit"] == name
        )
        page, card = (release / "report" / "index.html").read_text(), (release / "README.md").read_text()
        for text in (page, card, (release / "verdict.json").read_text()):
            assert f"umber of {name}" in text or f"ynthetic share of {name}" in text
            assert f"ynthetic share of {other}" not in text
            assert f">Number of {other}<" not in text
        assert re.search(rf"length +\d+ {name}$", explain_document(str(release), "plain", texts=False))
        recipe = load(folder, release=name)
        said[name] = ran(runner.read_result(str(release)), recipe)
        assert f"synthetic share of {name}, after" in said[name]
    moved, _ = difference(str(folder / "out" / "words"), str(folder / "out" / "tokens"), "text")
    assert "documents (words or tokens)" in moved
    assert "not counted by the same tokenizer" in moved


def test_what_is_counted_in_words_stays_so(folder: pathlib.Path) -> None:
    """Repeated paragraphs are words of words, whatever counts the tokens."""
    for metric in ("paragraphs.repeated_within", "lexical.hill_0_1", "documents"):
        by_tokens, in_words = (values(folder / "out" / name, metric) for name in ("tokens", "words"))
        assert {at: row["value"] for at, row in by_tokens.items()} == {at: row["value"] for at, row in in_words.items()}
    assert in_words
    assert 0 < values(folder / "out" / "words", "paragraphs.repeated_within")["after", ""]["value"] < 1


def test_signals_depend_on_what_the_tokenizer_is_and_not_on_its_name(folder: pathlib.Path) -> None:
    def signals(name: str | None) -> list[str]:
        job = runner.prepare(load(folder, tokenizer=name), str(folder))
        return [job.corpus.store.path(split) for split in job.splits]

    model = json.loads((folder / "tokenizer.json").read_text())
    (folder / "same.json").write_text((folder / "tokenizer.json").read_text())
    (folder / "other.json").write_text(json.dumps(model | {"pre_tokenizer": None}))
    assert signals("same.json") == signals("tokenizer.json")
    assert len({*signals(None), *signals("tokenizer.json"), *signals("other.json")}) == 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone.json", r"tokenizer .*gone.json: No such file or directory; give the path of a tokenizer.json"),
        ("in.jsonl", r"tokenizer .*in.jsonl: is no tokenizer.json"),
        ("tiktoken:cl9k", r"tokenizer tiktoken:cl9k: tiktoken knows .*cl100k_base"),
    ],
)
def test_a_tokenizer_that_is_not_there_is_one_line(folder: pathlib.Path, name: str, said: str) -> None:
    with pytest.raises(TokenizerError, match=said) as told:
        runner.prepare(load(folder, tokenizer=name), str(folder))
    assert "\n" not in str(told.value)


def test_a_tokenizer_that_changes_under_a_run_is_refused(folder: pathlib.Path) -> None:
    with pytest.raises(TokenizerError, match="not the one that the run began with"):
        load_tokenizer(str(folder / "tokenizer.json"), "0" * 64)


def test_weights_of_two_units_are_not_held_against_each_other(folder: pathlib.Path) -> None:
    asked = {"dedup": {"against": ["out/words"], "on_match": "tag"}, "ratio": {"retain_human": 0.5}}
    with pytest.raises(
        RecipeError, match=r"ratio.retain_human: .*words was counted by words, which .* `ratio.unit: documents`"
    ):
        runner.prepare(load(folder, tokenizer="tokenizer.json", **asked), str(folder))
    asked["ratio"] = {"retain_human": 0.5, "unit": "documents"}
    assert runner.prepare(load(folder, tokenizer="tokenizer.json", **asked), str(folder)).rule.earlier_human == len(
        TEXTS
    )
