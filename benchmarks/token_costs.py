"""What it costs to count tokens of all that is read, and what the ways around it cost and are worth.

    python -m benchmarks.token_costs CORPUS OUTPUT TOKENIZER [--sample 500] [--ratio 0.3]

CORPUS is a folder from `benchmarks.corpus`, OUTPUT a new folder. Three ways, in CPU seconds of this process, all its threads,
each after a run that compiles and loads: `tokenizer:` in the recipe counts every document that is read; a run in words, and then
`export --format mds --tokenizer`, counts what is kept; a run in words, and TOKENIZER on a sample of the release by hash, says
about how many there are. The last lines say how much that missed by, and how far a share of words is from one of tokens.
"""

import argparse
import glob
import io
import json
import pathlib
import time
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console

from pipeline import runner
from pipeline.commands.export import Asked, export_release
from pipeline.recipe import load_recipe
from transforms.survey.tokenizers import load_tokenizer

QUIET = Console(file=io.StringIO())


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process that something takes."""
    before = time.process_time()
    work()
    return time.process_time() - before


def run(output: pathlib.Path, name: str, corpus: str, tokenizer: str | None, ratio: float) -> runner.Result:
    """One run that has nothing of an earlier one."""
    recipe = {
        "release": "costs",
        "sources": [{"name": "corpus", "path": f"{corpus}/part-*"}],
        "tokenizer": tokenizer,
        "ratio": {"max_synthetic_share": ratio},
        "expectations": {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]},
        "output": {"path": name},
    }
    path = output / f"{name}.yaml"
    path.write_text(json.dumps(recipe))
    loaded = load_recipe(str(path))
    return runner.run(loaded, runner.prepare(loaded, str(output)), QUIET)


def documents(release: str) -> pa.Table:
    """Ids, texts, words and probabilities of what is kept, in the order of its ids, which are hashes."""
    paths = sorted(glob.glob(f"{release}/data/*.parquet"))
    return pa.concat_tables(
        [pq.read_table(path, columns=["id", "text", "n_tokens", "p_synthetic"]) for path in paths]
    ).sort_by("id")


def table(output: pathlib.Path, corpus: str, tokenizer: str, sample: int, ratio: float) -> Iterator[str]:
    """A line for each way, with its CPU seconds and the tokens that it says the release has."""
    model = load_tokenizer(tokenizer)
    run(output, "warm", corpus, None, ratio)
    words, all_read = (
        seconds(lambda name=name, by=by: run(output, name, corpus, by, ratio))  # type: ignore[misc]
        for name, by in (("words", None), ("tokens", tokenizer))
    )
    release = str(output / "words" / "costs")
    exported = seconds(lambda: export_release(release, str(output / "mds"), Asked("mds", tokenizer=tokenizer), QUIET))
    untold = seconds(lambda: export_release(release, str(output / "untold"), Asked("mds"), QUIET))
    kept = documents(release)
    exact = json.loads((output / "mds" / "export.json").read_text())["tokens"]
    before = time.process_time()
    drawn = kept.slice(0, sample)
    factor = (
        model.count(drawn["text"].cast(pa.large_string()).combine_chunks()).sum() / pc.sum(drawn["n_tokens"]).as_py()
    )
    sampled, about = time.process_time() - before, round(factor * pc.sum(kept["n_tokens"]).as_py())
    counts = json.loads((output / "words" / "costs" / "MANIFEST.json").read_text())["counts"]
    mb = pc.sum(pc.binary_length(kept["text"])).as_py() / 1e6
    yield f"{counts['documents_in']:,} documents read, {kept.num_rows:,} kept, with {mb:.1f} MB of text"
    yield "| tokens are counted | CPU s | beside words | tokens kept |"
    yield "|---|--:|--:|--:|"
    for way, cpu, tokens in (
        ("not at all", words, ""),
        ("of all that is read, by the recipe", all_read, ""),
        ("of what is kept, by `export`", words + exported - untold, f"{exact:,}"),
        (f"of {drawn.num_rows:,} that are kept", words + sampled, f"about {about:,}"),
    ):
        yield f"| {way} | {cpu:.1f} | {cpu / words:.2f} | {tokens} |"
    tokens = pa.array(model.count(kept["text"].cast(pa.large_string()).combine_chunks()))
    assert pc.sum(tokens).as_py() == exact
    likely = pc.fill_null(kept["p_synthetic"], 0.0).combine_chunks()
    by_words, by_tokens = (
        pc.sum(pc.multiply(likely, column)).as_py() / pc.sum(column).as_py()
        for column in (kept["n_tokens"].combine_chunks(), tokens)
    )
    yield f"synthetic, by `p_synthetic`: {by_words:.3%} of the words, {by_tokens:.3%} of the tokens"
    yield f"{factor:.3f} tokens a word by the sample, which is {about / exact - 1:+.1%} of what there are"


def main() -> None:
    """Run on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("tokenizer")
    parser.add_argument("--sample", type=int, default=500)
    parser.add_argument("--ratio", type=float, default=0.3)
    asked = parser.parse_args()
    asked.output.mkdir()
    for line in table(
        asked.output.absolute(), str(asked.corpus.absolute()), asked.tokenizer, asked.sample, asked.ratio
    ):
        print(line)


if __name__ == "__main__":
    main()
