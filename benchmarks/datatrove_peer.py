"""The same job as a datatrove user would write it: score with fastText, MinHash signatures, buckets, clusters, filter.

    PEER_PYTHON benchmarks/datatrove_peer.py CORPUS_DIR OUT_DIR [--model model.bin] --workers 2

Runs in an environment of its own that has `datatrove[processing,io]` and `fasttext-numpy2-wheel`. It needs no network: the
English word tokeniser is spaCy's blank one. Prints one JSON line: seconds by stage.
"""

import argparse
import json
import pathlib
import time

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.filters import FastTextClassifierFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter


def main() -> None:
    """Run the four stages one after the other, as its documentation does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus")
    parser.add_argument("out")
    parser.add_argument("--model", help="without it only duplicates are found: no scoring, no filter")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tasks", type=int, default=16)
    args = parser.parse_args()
    config = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)
    out = pathlib.Path(args.out)

    def reader() -> JsonlReader:
        return JsonlReader(args.corpus, glob_pattern="*.jsonl.gz")

    scores = []
    if args.model:
        # No score reaches 1.1, so nothing is dropped here: scoring is what is compared.
        scores.append(FastTextClassifierFilter(args.model, remove_labels=("synthetic", 1.1), newline_replacement=" "))
    stages = {
        "score and sign": ([reader(), *scores, MinhashDedupSignature(str(out / "signatures"), config)], args.tasks),
        "buckets": ([MinhashDedupBuckets(str(out / "signatures"), str(out / "buckets"), config=config)], 14),
        "cluster": ([MinhashDedupCluster(str(out / "buckets"), str(out / "remove"), config=config)], 1),
        "filter": ([reader(), MinhashDedupFilter(str(out / "remove")), JsonlWriter(str(out / "kept"))], args.tasks),
    }
    if not args.model:
        stages.pop("filter")
    seconds = {}
    for name, (pipeline, tasks) in stages.items():
        started = time.perf_counter()
        logs = str(out / "logs" / name.replace(" ", "-"))
        LocalPipelineExecutor(pipeline=pipeline, tasks=tasks, workers=min(args.workers, tasks), logging_dir=logs).run()
        seconds[name] = round(time.perf_counter() - started, 1)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
