"""How long ten million documents take to be planned, and how much memory: python -m benchmarks.plan_scale [--rows N].

The documents are made by hashing and held in no memory: offers are written to a folder first, and then planned by the code
of `lowbackground plan`, once for each way of choosing, and with floors and caps. Time is from reading the first offer.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import pyarrow as pa

from expectations import contracts
from transforms.detector.detector import load_detector
from transforms.ingest.sources import Piece, Source, Split
from transforms.kernels.similarity.minhash import mix64
from transforms.mixture.balance import OfferReader, mix
from transforms.mixture.cells import Rule
from transforms.mixture.config import RatioConfig
from transforms.mixture.left_by_dedup import OFFER
from transforms.mixture.selection import take
from transforms.signals.kept import Kept
from transforms.signals.store import SignalStore

ROWS_OF_A_SPLIT = 50_000
LANGUAGES = ("en", "de", "fr", "sw", "zh", "ja", "es", "pt", "it", "nl")
SOURCES = 20
CASES = {
    "cut": {"max_synthetic_share": 0.2},
    "thin": {"max_synthetic_share": 0.15, "select": "thin", "count": "estimate"},
    "threshold": {"max_synthetic_share": 0.15, "select": "threshold", "count": "estimate"},
    "resample": {"max_synthetic_share": 0.15, "select": "resample", "count": "estimate"},
    "floors and caps": {
        "max_synthetic_share": 0.2,
        "limits": [
            {"source": "s03", "min": 0.06, "max_copies": 4},
            {"each": "source", "max": 0.08},
            {"each": "language", "max": 0.3},
            {"each": "generator", "max": 0.4},
        ],
        "favour": {"by": "language", "power": 0.5, "max_copies": 2},
    },
}


def offer(number: int, rows: int) -> pa.RecordBatch:
    """The documents of one split. Everything about them is a hash of their number."""
    row = np.arange(number * ROWS_OF_A_SPLIT, number * ROWS_OF_A_SPLIT + rows, dtype=np.uint64)
    with np.errstate(over="ignore"):
        high, low = (mix64(row * np.uint64(2) + np.uint64(i + 1)) for i in range(2))
    part = (low >> np.uint64(32)).astype(np.int64)
    kind = part % 10  # of ten documents three are declared synthetic, three human, four say nothing
    score = (6 * (high >> np.uint64(11)).astype(np.float64) * 2.0**-53 - 5).astype(np.float32)
    undeclared = kind >= 6
    flagged = undeclared & (score > 0.95)
    synthetic = (kind < 3) | flagged
    ids = np.stack([high, low], axis=1).astype(">u8")
    generators = np.where(kind < 3, np.char.add("g", (part // 10 % 5).astype(str)), None)
    return contracts.OFFER.batch(
        {
            "doc_id": pa.FixedSizeBinaryArray.from_buffers(contracts.HASH, rows, [None, pa.py_buffer(ids.tobytes())]),
            "ordinal": np.arange(rows),
            "source": np.full(rows, number % SOURCES),
            "n_tokens": 20 + part % 2000,
            "origin": np.select([synthetic, kind < 6], [contracts.SYNTHETIC, contracts.HUMAN], contracts.UNKNOWN),
            "origin_basis": np.where(undeclared, contracts.BASIS_DETECTOR, contracts.BASIS_DECLARED),
            "detector_band": part % 2,
            "machine_prior": np.zeros(rows, np.int32),
            "detector_score": pa.array(score),
            "language": pa.array(np.array(LANGUAGES)[np.minimum(part // 100 % 15, 9)]),
            "generator": pa.array(generators.tolist(), pa.string()),
            "kind": pa.nulls(rows, pa.string()),
            "stratum": pa.nulls(rows, pa.string()),
            "structures": pa.nulls(rows, pa.binary()),
            "again": np.zeros(rows, bool),
        }
    )


def reader(folder: str, rows: int) -> OfferReader:
    """Where the offers of so many documents are."""
    names = tuple((f"source {n}", f"s{n:02d}") for n in range(SOURCES))
    kept = Kept(SignalStore(folder, names), "benchmark")
    splits = tuple(
        Split(n, n % SOURCES, (Piece(f"split {n}", "jsonl", "", 1, str(n)),), 1)
        for n in range(-(-rows // ROWS_OF_A_SPLIT))
    )
    return OfferReader(kept, splits)


def plan(folder: str, rows: int, case: str) -> None:
    """Plan one case and print what it took."""
    offers = reader(folder, rows)
    sources = tuple(Source(name=f"s{n:02d}", path="x") for n in range(SOURCES))
    rule = Rule.of(RatioConfig.model_validate(CASES[case]), sources, "bench", load_detector().calibration)
    mix([next(iter(offers))], rule)  # kernels are compiled before the time that counts
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    mixture = mix(offers, rule)
    planned, cpu = time.perf_counter() - start, time.process_time() - cpu
    taken = sum(int((take(offer, rule, mixture)[0] > 0).sum()) for offer in offers)
    print(json.dumps({
        "case": case, "rows": rows, "cells": len(mixture.cuts), "seconds_to_plan": round(planned, 1),
        "cpu_seconds": round(cpu, 1),
        "seconds_with_taking": round(time.perf_counter() - start, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "peak_mb_before": before // 1024,
        "kept": taken, "refused": mixture.refusal(),
    }))  # fmt: skip


def main() -> None:
    """Write the offers, then plan each case in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--folder")
    arguments = parser.parse_args()
    if arguments.case:
        plan(arguments.folder, arguments.rows, arguments.case)
        return
    with tempfile.TemporaryDirectory() as folder:
        offers = reader(folder, arguments.rows)
        for number, split in enumerate(offers.splits):
            rows = min(ROWS_OF_A_SPLIT, arguments.rows - number * ROWS_OF_A_SPLIT)
            offers.kept.write(OFFER, offer(number, rows), None, split, plain=("doc_id",))
        for case in CASES:
            command = [sys.executable, "-m", "benchmarks.plan_scale", "--case", case, "--folder", folder]
            subprocess.run([*command, "--rows", str(arguments.rows)], check=True)


if __name__ == "__main__":
    main()
