"""Recall and precision of dedup, against all pairs of real documents.

    python -m benchmarks.dedup_quality [DATA_DIR] [--documents 5000] [--templates 2000] [--templates-only] [--json result.json]

Documents come from DATA_DIR (Parquet files with a column `text`), else they are the docstrings of CPython and of packages that
this project depends on, which are on every machine and hold near duplicates of their own. To each tenth of them one edited
copy is added, of the kinds that people make, at strengths that give Jaccard similarities from about 0.5 to 1. The truth is the
exact Jaccard similarity of the shingle sets of every pair of documents, by a sparse matrix product. Then `lowbackground run` is
run in its two modes of verification, and its ledger is held against that.

- recall at J: of all pairs at least so similar, the fraction of which not both documents are kept;
- precision: of the dropped near duplicates, the fraction whose exact similarity to their survivor is at least the limit;
- candidates: how many planted pairs share a band, by similarity, beside what the S-curve says (sum of its values). The error
  beside it is of independent pairs; docstrings have common phrases, so these are not quite.

At last the worst case for estimates: a family of 2,000 documents from one template, 200 words that all have and 10 to 40 of their
own, so that most pairs lie around the limit. The minima of the shared words are the same for all pairs: where chance makes one
estimate too high, it makes all of them too high, and errors do not average out.
"""

import argparse
import ast
import hashlib
import importlib
import inspect
import itertools
import json
import pathlib
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import scipy.sparse
from rich.console import Console

from pipeline import runner
from pipeline.recipe import load_recipe
from transforms.kernels.similarity import lsh, minhash
from transforms.kernels.text import text

PACKAGES = ("numpy", "scipy", "pandas", "pyarrow", "apache_beam", "great_expectations")
NGRAM, BANDS, ROWS = 5, 14, 8
Words = list[str]


def real_documents(folder: str | None, n: int) -> list[str]:
    """`n` different documents of 60 words or more, chosen by hash."""
    if folder:
        files = [str(path) for path in sorted(pathlib.Path(folder).rglob("*.parquet"))]
        found = ds.dataset(files).to_table(columns=["text"])["text"].to_pylist()
    else:
        found = list(docstrings())
    by_hash = {
        hashlib.blake2b(value.encode(), digest_size=8).digest(): value for value in found if len(value.split()) >= 40
    }
    return [value for _, value in sorted(by_hash.items())[:n]]


def docstrings() -> Iterator[str]:
    """Of CPython's standard library and of PACKAGES, wherever they are installed."""
    folders = [pathlib.Path(sysconfig.get_paths()["stdlib"])]
    folders += [pathlib.Path(str(importlib.import_module(name).__file__)).parent for name in PACKAGES]
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            if {"site-packages", "test", "tests"}.intersection(path.relative_to(folder).parts):
                continue
            try:
                nodes = ast.walk(ast.parse(path.read_bytes()))
            except (SyntaxError, ValueError):
                continue
            for node in nodes:
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    yield inspect.cleandoc(ast.get_docstring(node, clean=False) or "")


def _chance(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts only."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big") / 2**64


def boilerplate(words: Words, strength: float, seed: int) -> Words:
    """Another head and foot."""
    n = max(1, int(strength * len(words) / 2))
    return [f"menu{seed}x{i}" for i in range(n)] + words + [f"foot{seed}x{i}" for i in range(n)]


def truncation(words: Words, strength: float, seed: int) -> Words:
    """The end is lost."""
    return words[: max(6, int((1 - strength) * len(words)))]


def reordering(words: Words, strength: float, seed: int) -> Words:
    """Blocks of words change places; the smaller the blocks, the more shingles break."""
    size = max(8, int((1 - strength) * 80))
    blocks = [words[i : i + size] for i in range(0, len(words), size)]
    order = sorted(range(len(blocks)), key=lambda i: (_chance(seed, i // 2), i % 2 == 0))
    return [word for i in order for word in blocks[i]]


def template(words: Words, strength: float, seed: int) -> Words:
    """The same form filled in with other values."""
    return [f"value{seed}x{i}" if _chance(seed, i) < strength / 7 else word for i, word in enumerate(words)]


def case_and_spacing(words: Words, strength: float, seed: int) -> Words:
    """Capitals: the same document in canonical form."""
    return [word.upper() for word in words]


EDITS: tuple[Callable[[Words, float, int], Words], ...] = (
    boilerplate,
    truncation,
    reordering,
    template,
    case_and_spacing,
)


def edited_copies(documents: Sequence[str]) -> list[tuple[int, str, str]]:
    """For every tenth document one copy: its number, the kind of edit, and the text."""
    found = []
    for number in range(0, len(documents), 10):
        edit = EDITS[(number // 10) % len(EDITS)]
        words = documents[number].split()
        found.append((number, edit.__name__, " ".join(edit(words, _chance("strength", number) * 0.6, number))))
    return found


def template_family(n: int) -> list[str]:
    """Documents of 200 words that all have, and 10 to 40 words of their own."""
    shared = " ".join(f"shared{i}" for i in range(200))
    return [f"{shared} " + " ".join(f"own{number}x{i}" for i in range(10 + number % 31)) for number in range(n)]


def shingle_matrix(documents: Sequence[str]) -> tuple[scipy.sparse.csr_matrix, npt.NDArray[np.uint32]]:
    """Documents x distinct shingles, ones; and their signatures."""
    _, tokens = text.canonicalise(pa.array(documents, pa.large_string()))
    words = minhash.words(tokens)
    offsets, sets = minhash.shingle_sets(*words, NGRAM)
    names, column = np.unique(sets, return_inverse=True)
    matrix = scipy.sparse.csr_matrix((np.ones(len(column), np.float32), column, offsets), (len(documents), len(names)))
    return matrix, minhash.sign(*minhash.shingles(*words, NGRAM), BANDS * ROWS)


def all_pairs(matrix: scipy.sparse.csr_matrix, least: float) -> tuple[npt.NDArray[np.int64], ...]:
    """`(left, right, similarity)` of every pair at least so similar, left < right: brute force."""
    sizes = np.asarray(matrix.sum(axis=1)).ravel()
    shared = scipy.sparse.triu(matrix @ matrix.T, k=1).tocoo()
    similarity = shared.data / (sizes[shared.row] + sizes[shared.col] - shared.data)
    similar = similarity >= least - 1e-6
    return shared.row[similar].astype(np.int64), shared.col[similar].astype(np.int64), similarity[similar]


def jaccard(matrix: scipy.sparse.csr_matrix, left: int, right: int) -> float:
    """Exact similarity of two documents."""
    shared = float(matrix[left].multiply(matrix[right]).sum())
    union = matrix[left].nnz + matrix[right].nnz - shared
    return shared / union if union else 1.0


def ledger_of(documents: Sequence[str], **dedup: object) -> dict[int, dict[str, Any]]:
    """Run the whole flow on documents; what became of each, by its number."""
    with tempfile.TemporaryDirectory(prefix="lowbackground-quality-") as name:
        folder = pathlib.Path(name)
        ids = [str(number) for number in range(len(documents))]
        (folder / "data").mkdir()
        for part in range(4):
            own = pa.table({"id": ids[part::4], "text": list(documents[part::4])})
            pq.write_table(own, folder / "data" / f"{part}.parquet")
        suite = {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 1}]}
        recipe = {
            "release": "quality", "sources": [{"name": "data", "path": "data"}], "dedup": dedup, "expectations": suite,
            "ratio": {"max_synthetic_share": 1.0}, "output": {"path": "out"},
        }  # fmt: skip
        (folder / "recipe.yaml").write_text(json.dumps(recipe))
        loaded = load_recipe(str(folder / "recipe.yaml"))
        with (folder / "log").open("w") as log:
            result = runner.run(loaded, runner.prepare(loaded, name), Console(file=log))
        rows = pa.concat_tables(
            [pq.read_table(path) for path in sorted(pathlib.Path(result.folder, "ledger").iterdir())]
        )
    by_id = {row["id"]: int(row["input_id"]) for row in rows.to_pylist()}
    return {by_id[row["id"]]: row | {"survivor": by_id[row["survivor_id"]]} for row in rows.to_pylist()}


def judged(ledger: dict[int, dict[str, Any]], matrix: scipy.sparse.csr_matrix, limit: float) -> dict[str, float]:
    """Recall at several similarities, and precision at the limit."""
    left, right, similarity = all_pairs(matrix, 0.75)
    kept = np.array([ledger[number]["stage"] != "dedup" for number in range(matrix.shape[0])])
    found = ~(kept[left] & kept[right])
    near = [number for number, row in ledger.items() if row["reason"] == "near_duplicate"]
    exact = np.array([jaccard(matrix, number, ledger[number]["survivor"]) for number in near])
    result = {f"recall at {j:.2f}": float(found[similarity >= j - 1e-6].mean()) for j in (0.8, 0.85, 0.9)}
    result |= {f"pairs at {j:.2f}": int((similarity >= j - 1e-6).sum()) for j in (0.8, 0.85, 0.9)}
    return result | {
        "near duplicates dropped": len(near),
        "precision": float((exact >= limit - 1e-6).mean()) if len(near) else 1.0,
        "least similar to its survivor": float(exact.min()) if len(near) else 1.0,
    }


def curve(
    matrix: scipy.sparse.csr_matrix, signature: npt.NDArray[np.uint32], pairs: Sequence[tuple[int, int]]
) -> list[Any]:
    """Of pairs, by similarity in steps of 0.05: how many there are, share a band, and should by the S-curve, with its error."""
    keys = lsh.band_keys(signature, BANDS, ROWS)
    exact = np.array([jaccard(matrix, a, b) for a, b in pairs])
    met = np.array([(keys[a] == keys[b]).any() for a, b in pairs])
    expected = lsh.s_curve(exact, BANDS, ROWS)  # type: ignore[arg-type]
    rows = []
    for low in np.arange(10, 20) / 20:
        inside = (exact >= low) & (exact < low + 0.05 + (low > 0.94))
        p = np.asarray(expected)[inside]
        error = float(np.sqrt((p * (1 - p)).sum()))
        rows.append((f"{low:.2f}", int(inside.sum()), int(met[inside].sum()), float(p.sum()), error))
    return rows


def corpus(folder: str | None, n: int) -> tuple[list[str], list[tuple[int, int]]]:
    """Real documents with edited copies behind them, and which is a copy of which."""
    documents = real_documents(folder, n)
    copies = edited_copies(documents)
    pairs = [(number, len(documents) + place) for place, (number, _, _) in enumerate(copies)]
    return documents + [value for _, _, value in copies], pairs


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?")
    parser.add_argument("--documents", type=int, default=5000)
    parser.add_argument("--templates", type=int, default=2000, help="documents of the family of templates")
    parser.add_argument("--limits", type=float, nargs="+", default=[0.8, 0.85], help="dedup.min_similarity")
    parser.add_argument("--templates-only", action="store_true", help="only the family of templates")
    parser.add_argument("--json", type=pathlib.Path, help="write the numbers here too")
    args = parser.parse_args()
    result = {} if args.templates_only else of_documents(*corpus(args.data, args.documents), args.limits)
    family = template_family(args.templates)
    matrix, _ = shingle_matrix(family)
    print(f"\n{len(family):,} documents from one template")
    result |= {f"templates, {name}": found for name, found in by_mode(family, matrix, (0.8,)).items()}
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")


def of_documents(documents: Sequence[str], pairs: Sequence[tuple[int, int]], limits: Sequence[float]) -> dict[str, Any]:
    """Measure and print candidates by similarity, then recall and precision."""
    matrix, signature = shingle_matrix(documents)
    print(f"{len(documents):,} documents, {len(pairs):,} of them edited copies")
    print("similarity     pairs  candidates  by the S-curve")
    rows = curve(matrix, signature, pairs)
    for low, n, met, expected, error in rows:
        print(f"{low} and up {n:8,} {met:11,} {expected:11.1f} ± {error:.1f}")
    return {"curve": rows} | by_mode(documents, matrix, limits)


def by_mode(documents: Sequence[str], matrix: scipy.sparse.csr_matrix, limits: Sequence[float]) -> dict[str, Any]:
    """Recall and precision in both modes of verification, printed too."""
    result = {}
    for verify, least in itertools.product(("estimate", "exact"), limits):
        found = judged(ledger_of(documents, verify=verify, min_similarity=least), matrix, least)
        result[f"{verify} {least}"] = found
        print(f"\nverify: {verify}, min_similarity: {least}")
        print(*(f"  {name:32}{value:10.4f}" if isinstance(value, float) else f"  {name:32}{value:10,}"
                for name, value in found.items()), sep="\n")  # fmt: skip
    return result


if __name__ == "__main__":
    main()
