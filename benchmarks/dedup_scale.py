"""Dedup alone, on up to a million documents, beside datatrove's MinHash on as many as it can finish.

    python -m benchmarks.dedup_scale CORPUS_DIR [--files 8 16 32 64] --datatrove-python PYTHON [--datatrove-files 8] [--json F]

CORPUS_DIR comes from `benchmarks.corpus`. Dedup alone goes from the files to the list of what stays: read, sign, find pairs,
verify them, choose survivors, write the ledger; datatrove: signatures, buckets, clusters. Neither scores nor writes documents.
Ours is the product's own stages (its reader and kernels, FindClusters, Attribute, ChooseSurvivors, Record); each
run starts from nothing. Sizes are the first so many files. The exponent is the slope of log seconds over log documents, by least
squares; start-up is in the seconds, so a first run of next to nothing is shown too. Memory is the peak of the process tree.
"""

import argparse
import json
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from benchmarks.run_vs_datatrove import linked, measured
from expectations import contracts
from pipeline import engines, execution, runner
from pipeline.recipe import Recipe
from transforms.dedup.candidates import FindClusters
from transforms.dedup.survivors import ChooseSurvivors
from transforms.engine.threads import Beside
from transforms.ingest.sources import Split
from transforms.kernels.similarity import minhash
from transforms.kernels.text import text
from transforms.kernels.text.columns import hash_texts
from transforms.mixture.left_by_dedup import in_order
from transforms.origin.attribute import Attribute
from transforms.release.ledger import Record
from transforms.signals.corpus import BySplit, Corpus
from transforms.signals.kept import Kept
from transforms.survey.text_to_signals import SurveyConfig, _fixed


def signed(documents: pa.RecordBatch, config: SurveyConfig) -> pa.RecordBatch:
    """DOCUMENT -> SIGNALS of which only what dedup needs is filled in."""
    canonical, tokens = text.canonicalise(documents["text"])
    shingles = minhash.shingles(*minhash.words(tokens), config.ngram)
    signature = minhash.sign(*shingles, config.num_perm)
    n = documents.num_rows
    schema = contracts.signals(config.num_perm).schema
    nothing = {f.name: pa.array([b""] * n if f.type == pa.binary() else np.zeros(n, np.int8)).cast(f.type)
               for f in schema if not f.nullable and f.type not in (contracts.HASH, pa.binary(4 * config.num_perm))}  # fmt: skip
    filled = {
        **{name: documents[name] for name in ("doc_id", "id", "file", "row")},
        "content_hash": hash_texts(canonical),
        "signature": _fixed(signature),
        "n_shingles": np.diff(shingles[0]),
        "n_tokens": text.count_words(tokens),
        "n_bytes": pc.binary_length(documents["text"]),
    }
    return contracts.signals(config.num_perm).batch(
        {f.name: filled.get(f.name, nothing.get(f.name, pa.nulls(n, f.type))) for f in schema}
    )


@beam.typehints.with_output_types(Split)
class Sign(Beside[Split, Split]):
    """The survey of what dedup needs: no score, no sketches."""

    def __init__(self, config: SurveyConfig, corpus: Corpus) -> None:
        self.config, self.corpus = config, corpus

    def work(self, element: Split, *_: object) -> tuple[Split]:
        """One split."""
        config = self.config
        documents = (batch for batch, _ in self.corpus.read(element))
        batches = (signed(batch, config) for batch in documents)
        self.corpus.store.write(element, batches, contracts.signals(config.num_perm).schema)
        return (element,)


class InOrder(beam.DoFn):
    """The decisions of a split, by ordinal."""

    def process(self, group: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """One split."""
        number, batches = group
        yield number, in_order(batches)


def alone(files: list[str], out: str) -> None:
    """Ours: from files to the ledger."""
    recipe = Recipe.model_validate(
        {
            "release": "scale", "sources": [{"name": "bench", "path": files}], "output": {"path": out},
            "expectations": {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]},
        }
    )  # fmt: skip
    job = runner.prepare(recipe, ".")
    corpus, dedup = job.corpus, recipe.dedup
    execution.give_memory_back()
    root = beam.Pipeline(options=engines.options(recipe, len(job.splits)))
    signed = (
        root
        | beam.Create(job.splits).with_output_types(Split)
        | beam.Reshuffle()
        | beam.ParDo(Sign(job.survey, corpus))
    )
    labels = signed | FindClusters(dedup, corpus)
    candidates = signed | Attribute(corpus, None, recipe.evidence.date_cutoff)
    decided = (
        (candidates, labels, ())
        | ChooseSurvivors(dedup, corpus)
        | beam.ParDo(BySplit())
        | beam.GroupByKey()
        | beam.ParDo(InOrder())
    )
    _ = decided | Record(corpus, out, Kept(corpus.store, out))
    root.run().wait_until_finish()


def one(files: list[pathlib.Path], work: pathlib.Path) -> dict[str, float]:
    """Run it in a process of its own; seconds, bytes and documents."""
    shutil.rmtree(work / "out", ignore_errors=True)
    command = [sys.executable, "-m", "benchmarks.dedup_scale", "--alone", str(work / "out"), *map(str, files)]
    run = measured(command, pathlib.Path.cwd(), work / "ours.log")
    kept = ds.dataset(work / "out" / "ledger").to_table(columns=["kept"])["kept"]
    documents = len(kept)
    return {
        "files": len(files), "documents": documents, "kept": kept.combine_chunks().true_count,
        "seconds": round(run.seconds, 2), "documents_per_second": round(documents / run.seconds),
        "peak_mb": round(run.peak / 1e6), "other_cpu_seconds": round(run.others, 1),
    }  # fmt: skip


def peer(files: list[pathlib.Path], work: pathlib.Path, python: str, documents: int) -> dict[str, float]:
    """The peer on the same files."""
    corpus = linked(files, work / "peer-corpus")
    script = pathlib.Path(__file__).resolve().with_name("datatrove_peer.py")
    run = measured([python, str(script), str(corpus), str(work / "peer")], work, work / "peer.log")
    return {
        "documents": documents, "seconds": round(run.seconds, 1), "documents_per_second": round(documents / run.seconds),
        "peak_mb": round(run.peak / 1e6), "other_cpu_seconds": round(run.others, 1),
        **json.loads(run.out.splitlines()[-1])["seconds"],
    }  # fmt: skip


def main() -> None:
    """Measure, print, and write."""
    if sys.argv[1:2] == ["--alone"]:
        alone(sys.argv[3:], sys.argv[2])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("--files", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--datatrove-python")
    parser.add_argument("--datatrove-files", type=int, default=8)
    parser.add_argument("--json", type=pathlib.Path, help="write the numbers here too")
    args = parser.parse_args()
    files = sorted(args.corpus.resolve().glob("*.jsonl.gz"))
    work = pathlib.Path(tempfile.mkdtemp(prefix="lowbackground-scale-"))
    try:
        one(files[:1], work)  # compiles the kernels
        base = one(files[:1], work)
        rows = [one(files[:n], work) for n in args.files]
        result: dict[str, object] = {"base": base, "ours": rows}
        for row in (base, *rows):
            print(row, flush=True)
        largest = rows[-1]
        if len(rows) > 1:
            logs = np.log([[row["documents"], row["seconds"]] for row in rows])
            result["exponent"] = round(float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0]), 3)
        more = largest["documents"] - base["documents"]
        result["bytes_per_document_above_base"] = (
            round(1e6 * (largest["peak_mb"] - base["peak_mb"]) / more) if more else None
        )
        if args.datatrove_python:
            same = min(args.datatrove_files, len(files))
            documents = one(files[:same], work)["documents"]
            theirs = peer(files[:same], work, args.datatrove_python, int(documents))
            print("datatrove", theirs)
            result["datatrove"] = theirs
            result["rate_ratio"] = round(largest["documents_per_second"] / theirs["documents_per_second"], 1)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(*(f"{key}: {value}" for key, value in result.items() if key not in ("base", "ours", "datatrove")), sep="\n")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
