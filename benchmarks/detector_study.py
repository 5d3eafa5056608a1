"""What was tried to make the detector better on sources that it has not seen, each way under the same judgement.

    python -m benchmarks.detector_study DATA_DIR [--only WORD]
    python -m benchmarks.detector_study DATA_DIR --generators
    python -m benchmarks.detector_study DATA_DIR --bundle OUT

`DATA_DIR` holds labelled Parquet files (columns text, label, source_dataset, domain, language, generator, attack). Each
document is scored by a model that saw neither its source nor text that it shares (`training.folds`), and the scores of all
folds are pooled: one threshold for all sources. Files named by `--evaluation` are never trained on. With `--generators` each
generator is left out as well: its documents are scored by a model that saw neither their source nor any text of that generator.
With `--bundle` the two detectors that the package brings are made from the data, whole: OUT/default and OUT/words are what lies
in transforms/detector/bundled, byte for byte. Everything is trained with one thread; it takes about 15 minutes and 4 GB.
"""

import argparse
import dataclasses
import glob
import os
import time
from collections.abc import Callable

import numba
import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
from scipy.optimize import minimize

from transforms.detector.fasttext_model import linear_of
from transforms.detector.training.evaluation import auroc, tpr_at_fpr
from transforms.detector.training.fasttext_fitting import TrainingSettings, fit
from transforms.detector.training.labelled import Labelled, compared, read_labelled
from transforms.detector.training.ngram_fitting import Training, importance_of
from transforms.detector.training.train import Fold, count, folds, train, usable_documents
from transforms.kernels.models import linear
from transforms.kernels.similarity import ngrams
from transforms.kernels.text.text import PUNCTUATION, Tokens, hash_token

LEAST_CHARS, FPR = 300, 0.01
NOT_COVERED = ("gpt2-xl", "gpt-neo-2.7b", "gpt-j-6b", "gpt-neox-20b", "opt-2.7b", "davinci", "gpt2", "gptj", "gptneo", "llama",
               "flan-t5-xxl")  # fmt: skip
UNDATED = "l2r:EducationMaterial"  # essays of a third of which the text itself says that it is of 2020 or later
NON_NATIVE = "nonnative:toefl91"
NEWEST = "claude2026"  # the file whose machine text trains an expert of its own
EVALUATION = "liang_bias.parquet"
BUNDLE = TrainingSettings(
    experts=(NEWEST,),
    exclude=(*(f"generator={name}" for name in NOT_COVERED), "attack=paraphrase_dipper", f"domain={UNDATED}"),
)
Scores = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Study:
    """The data, what is left out in turn, and what may be trained on."""

    labelled: Labelled
    folds: list[Fold]
    usable: npt.NDArray[np.bool_]
    elsewhere: npt.NDArray[np.bool_]  # evaluation only
    chars: npt.NDArray[np.int64]
    settings: TrainingSettings


def load(data_dir: str, evaluation: list[str]) -> Study:
    """Read the data; the evaluation files are one more fold, left out of every model."""
    paths = sorted(glob.glob(os.path.join(data_dir, "*.parquet")))
    last = [path for path in paths if os.path.basename(path) in evaluation]
    labelled = read_labelled([path for path in paths if path not in last] + last)
    exclude = (*(f"generator={name}" for name in NOT_COVERED), "attack=paraphrase_dipper")
    settings = TrainingSettings(exclude=exclude)
    names = {os.path.basename(path).removesuffix(".parquet") for path in last}
    elsewhere = np.isin(labelled.group("source_dataset").astype(str), sorted(names))
    usable = usable_documents(labelled, settings) & ~elsewhere
    chars = pc.utf8_length(labelled.canonical).to_numpy(zero_copy_only=False)
    return Study(labelled, folds(labelled, usable)[0], usable, elsewhere, chars, settings)


def judged(study: Study, scores: Scores) -> dict[str, float]:
    """The numbers of a row."""
    data = study.labelled
    long = (data.n_tokens >= study.settings.min_tokens) & ~np.isnan(scores)
    language, domain = data.group("language"), data.group("domain")
    english = long & (language == "en") & (study.chars >= LEAST_CHARS) & ~study.elsewhere
    covered = usable_documents(data, study.settings) & data.machine
    chinese, other = long & (language == "zh"), long & study.elsewhere

    def both(of: npt.NDArray[np.bool_], machine: npt.NDArray[np.bool_]) -> tuple[float, float]:
        human, made = scores[of & ~data.machine], scores[of & machine]
        return auroc(human, made), tpr_at_fpr(human, made, FPR)

    found: dict[str, float] = {}
    for name, of, machine in (
        ("English", english, covered),
        ("dated English", english & (domain != UNDATED), covered),
        ("every generator", english, data.machine),
        ("Chinese", chinese, data.machine),
        ("elsewhere", other, data.machine),
    ):
        found[f"{name} AUROC"], found[f"{name} TPR"] = both(of, machine)
    threshold = np.quantile(scores[english & ~data.machine], 1 - FPR, method="higher")
    found["non-native FPR"] = float((scores[long & (domain == NON_NATIVE)] > threshold).mean())
    return found


def each_fold(study: Study, score: Callable[[npt.NDArray[np.bool_]], Scores]) -> Scores:
    """Every document's score by the model of its fold."""
    scores = np.full(len(study.usable), np.nan)
    for _, out, rest in study.folds:
        scores[out] = score(rest)[out]
    return scores


def by_fasttext(study: Study, **changes: object) -> Scores:
    """The model of fastText alone."""
    settings = dataclasses.replace(study.settings, **changes)
    tokens = study.labelled.tokens
    return each_fold(
        study,
        lambda rest: linear.score(tokens, linear_of(fit(study.labelled, rest, settings), "fastText")).astype(
            np.float64
        ),
    )


_found: dict[tuple[int, int, int], Training] = {}  # of tokens that are kept, so that no others have their id


def _training(data: Labelled, settings: TrainingSettings) -> Training:
    """The n-grams of some tokens are found once."""
    key = (id(data.tokens), settings.ngrams, settings.ngram_min_documents)
    if key not in _found:
        _found[key] = Training(data, settings)
    return _found[key].under(settings, data)


def by_table(study: Study, tokens: Tokens | None = None, **changes: object) -> Scores:
    """The table of n-grams alone, of other tokens if they are given."""
    settings = dataclasses.replace(study.settings, **changes)
    data = dataclasses.replace(study.labelled, tokens=tokens or study.labelled.tokens)
    training = _training(data, settings)

    def score(rest: npt.NDArray[np.bool_]) -> Scores:
        table = training.table(rest)
        model = ngrams.ngram_model(table.hash64, table.weight, table.longest, table.bias)
        return ngrams.score(data.tokens, model)[:, 0].astype(np.float64)

    return each_fold(study, score)


def without_domains(study: Study) -> Study:
    """The same data, compared within sources and languages only."""
    groups = {name: column for name, column in study.labelled.groups.items() if name != "domain"}
    return dataclasses.replace(study, labelled=dataclasses.replace(study.labelled, groups=groups))


def masked(study: Study, kept: int) -> Tokens:
    """Topic masking (Stamatatos 2018): all but the most frequent words of the training data become one word."""
    tokens = study.labelled.tokens
    in_training = np.repeat(study.usable, np.diff(tokens.offsets))
    values, counts = np.unique(tokens.hash64[in_training], return_counts=True)
    frequent = np.sort(values[np.argsort(-counts, kind="stable")[:kept]])
    known = np.isin(tokens.hash64, frequent)
    kinds = np.array([hash_token(f"<{kind}>")[0] for kind in range(3)], np.uint64)
    return tokens._replace(hash64=np.where(known, tokens.hash64, kinds[tokens.kind]))


@numba.njit(nogil=True, cache=True)
def _log_ratio(offsets, hash64, documents, machine, importance, prior, bits):  # type: ignore[no-untyped-def]
    """Mean log p(token | two before, machine) - log p(.., human), each by Dirichlet-interpolated trigram counts."""
    shift = np.uint64(64 - bits)
    counts = np.zeros((2, 3, 1 << bits), np.float32)
    total = np.zeros(2)
    out = np.zeros(len(offsets) - 1)
    place = np.zeros(3, np.int64)
    before = np.zeros(3, np.int64)
    for learn in (True, False):
        for i in range(len(documents) if learn else len(out)):
            d = documents[i] if learn else i
            side = 1 if machine[d] else 0
            score = 0.0
            for t in range(offsets[d], offsets[d + 1]):
                longest = min(3, t - offsets[d] + 1)
                for n in range(longest):
                    h = ngrams._START
                    for j in range(t - n, t + 1):
                        h = ngrams._extend(h, hash64[j])
                    place[n] = np.int64((h * ngrams._PRIME) >> shift)
                if learn:
                    total[side] += importance[d]
                    for n in range(longest):
                        counts[side, n, place[n]] += importance[d]
                else:
                    p, q = 1e-6, 1e-6
                    for n in range(longest):
                        context_1 = total[1] if n == 0 else np.float64(counts[1, n - 1, before[n - 1]])
                        context_0 = total[0] if n == 0 else np.float64(counts[0, n - 1, before[n - 1]])
                        p = (counts[1, n, place[n]] + prior * p) / (context_1 + prior)
                        q = (counts[0, n, place[n]] + prior * q) / (context_0 + prior)
                    score += min(2.0, max(-2.0, np.log(p / q)))
                before[:] = place
            if not learn:
                out[d] = score / max(1, offsets[d + 1] - offsets[d])
    return out


def by_language_models(study: Study, prior: float) -> Scores:
    """The log-ratio of two interpolated trigram models, one of human and one of machine text."""
    data = study.labelled

    def score(rest: npt.NDArray[np.bool_]) -> Scores:
        used, cell = compared(data, rest)
        rows = np.flatnonzero(used)
        importance = importance_of(cell, data.machine, rows)
        return _log_ratio(data.tokens.offsets, data.tokens.hash64, rows, data.machine, importance, prior, 22)

    return each_fold(study, score)


def of_the_document(study: Study) -> npt.NDArray[np.float64]:
    """Sentence length and its variation, punctuation, frequent words and distinct words. float64[documents, 6]."""
    tokens = study.labelled.tokens
    offsets, sizes = tokens.offsets, np.maximum(np.diff(tokens.offsets), 1)
    row = np.repeat(np.arange(len(sizes)), np.diff(offsets))
    stop = np.isin(tokens.hash64, [hash_token(mark)[0] for mark in ".!?\u3002"])
    sentence = np.r_[0, np.cumsum(stop)[:-1]] + row  # rises at every stop and every document
    _, first, length = np.unique(sentence, return_index=True, return_counts=True)
    of = row[first]
    n = np.maximum(np.bincount(of, minlength=len(sizes)), 1)
    mean = np.bincount(of, length, len(sizes)) / n
    deviation = np.sqrt(np.maximum(np.bincount(of, length.astype(float) ** 2, len(sizes)) / n - mean**2, 0))
    comma = np.bincount(row, tokens.hash64 == hash_token(",")[0], len(sizes)) / sizes
    punctuation = np.bincount(row, tokens.kind == PUNCTUATION, len(sizes)) / sizes
    frequent = np.bincount(row, masked(study, 100).hash64 == tokens.hash64, len(sizes)) / sizes
    distinct = np.diff(np.r_[0, np.cumsum(_first_in_document(offsets, tokens.hash64))][offsets]) / sizes**0.9
    return np.stack([np.log1p(mean), deviation / np.maximum(mean, 1), comma, punctuation, frequent, distinct], axis=1)


@numba.njit(nogil=True, cache=True)
def _first_in_document(offsets, hash64):  # type: ignore[no-untyped-def]
    first = np.zeros(len(hash64), np.bool_)
    for d in range(len(offsets) - 1):
        seen = {np.uint64(0)}
        for t in range(offsets[d], offsets[d + 1]):
            first[t] = hash64[t] not in seen
            seen.add(hash64[t])
    return first


def stacked(study: Study, columns: npt.NDArray[np.float64]) -> Scores:
    """A logistic regression over columns, the scores among them held out, fitted without the source that it scores."""
    data = study.labelled
    long = (data.n_tokens >= study.settings.min_tokens) & ~np.isnan(columns).any(axis=1)

    def score(rest: npt.NDArray[np.bool_]) -> Scores:
        used, cell = compared(data, rest & long)
        rows = np.flatnonzero(used)
        weight = importance_of(cell, data.machine, rows)[rows] / len(rows)
        mean, deviation = np.nanmean(columns[rows], axis=0), np.nanstd(columns[rows], axis=0)
        x = np.c_[(columns - mean) / deviation, np.ones(len(columns))]
        sign = np.where(data.machine[rows], 1.0, -1.0)

        def loss(b: Scores) -> tuple[float, Scores]:
            z = sign * (x[rows] @ b)
            slope = -weight * sign / (1 + np.exp(z))
            return float(weight @ np.logaddexp(0, -z) + 1e-3 * b @ b), x[rows].T @ slope + 2e-3 * b

        return x @ minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x

    return each_fold(study, score)


def rows(study: Study) -> dict[str, Callable[[], Scores]]:
    """What is tried, by name; later rows use the scores of earlier ones."""
    made: dict[str, Scores] = {}

    def keep(name: str, make: Callable[[], Scores]) -> Callable[[], Scores]:
        def run() -> Scores:
            if name not in made:
                made[name] = make()
            return made[name]

        return run

    fasttext = keep("fasttext", lambda: by_fasttext(study))
    table = keep("table", lambda: by_table(study))
    tried = {
        "fastText, compared within source and language": lambda: by_fasttext(without_domains(study)),
        "fastText, compared within domain too": fasttext,
        "two trigram models, prior 500": lambda: by_language_models(study, 500.0),
        "table, compared within source and language": lambda: by_table(without_domains(study)),
        "table, all n-grams": lambda: by_table(study, ngram_min_z=0.0),
        "table, z >= 1": lambda: by_table(study, ngram_min_z=1.0),
        "table, z >= 2": table,
        "table, z >= 4": lambda: by_table(study, ngram_min_z=4.0),
        "table, 1 to 2 tokens": lambda: by_table(study, ngrams=2),
        "table, 1 to 4 tokens, all but 500 words masked": lambda: by_table(study, masked(study, 500), ngrams=4),
        "table, stacked with the document's shape": lambda: stacked(study, np.c_[table(), of_the_document(study)]),
    }
    for weight in (0.1, 0.25, 0.5, 1.0):
        tried[f"table + {weight} fastText"] = lambda weight=weight: table() + weight * fasttext()
    return tried


def by_generator(study: Study) -> None:
    """Print how each generator is found in English, seen in other sources and never seen."""
    data, training = study.labelled, Training(study.labelled, study.settings)
    generator, machine = data.group("generator").astype(str), data.machine & study.usable
    english = (data.n_tokens >= study.settings.min_tokens) & (data.group("language") == "en")
    english &= (study.chars >= LEAST_CHARS) & ~study.elsewhere
    seen, unseen = np.full((2, len(machine)), np.nan)

    def score(rest: npt.NDArray[np.bool_]) -> Scores:
        return np.fmax.reduce(training.model(rest).scores(data.texts, data.tokens), axis=1).astype(np.float64)

    for _, out, rest in study.folds:
        seen[out] = score(rest)[out]
        for name in sorted(set(generator[out & machine & english])):
            of = out & (generator == name)
            unseen[of] = score(rest & (generator != name))[of]
    human = seen[english & ~data.machine & ~np.isnan(seen)]
    print("| generator | documents | AUROC | TPR | AUROC, never seen | TPR, never seen |\n|---|--:|--:|--:|--:|--:|")
    for name in [*sorted(set(generator[machine & english])), ""]:
        of = english & machine & ((generator == name) | (not name))
        numbers = [
            f(human, scores[of], *rest) for scores in (seen, unseen) for f, *rest in ((auroc,), (tpr_at_fpr, FPR))
        ]
        print(f"| {name or 'all'} | {int(of.sum()):,} | {' | '.join(f'{number:.3f}' for number in numbers)} |")


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir")
    parser.add_argument("--evaluation", action="append", help="file name; default: liang_bias.parquet")
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    parser.add_argument("--generators", action="store_true", help="leave each generator out as well")
    parser.add_argument("--bundle", metavar="OUT", help="make the detectors that the package brings")
    args = parser.parse_args()
    if args.bundle:
        bundle(args.data_dir, args.bundle)
        return
    study = load(args.data_dir, args.evaluation or [EVALUATION])
    if args.generators:
        by_generator(study)
    else:
        by_row(study, args.only)


def bundle(data_dir: str, out: str) -> None:
    """Make both bundled detectors, and say how long it took."""
    paths = sorted(glob.glob(os.path.join(data_dir, "*.parquet")))
    names = {os.path.basename(path): path for path in paths}
    elsewhere = [names.pop(EVALUATION)]
    data = [*(path for name, path in names.items() if name != f"{NEWEST}.parquet"), names[f"{NEWEST}.parquet"]]
    start = time.perf_counter()

    def say(line: str) -> None:
        print(f"{time.perf_counter() - start:5.0f} s  {line}", flush=True)

    for name, make in (("default", train), ("words", count)):
        made = make(data, os.path.join(out, name), BUNDLE, elsewhere, say)
        say(f"{name}: {made.sha256}")


def by_row(study: Study, only: str) -> None:
    """Print what was tried, a row each."""
    head = False
    for name, make in rows(study).items():
        if only not in name:
            continue
        start = time.perf_counter()
        found = judged(study, make())
        if not head:
            print(f"| | {' | '.join(found)} | seconds |\n|---|{'--:|' * (len(found) + 1)}", flush=True)
            head = True
        numbers = " | ".join(f"{value:.3f}" for value in found.values())
        print(f"| {name} | {numbers} | {time.perf_counter() - start:.0f} |", flush=True)


if __name__ == "__main__":
    main()
