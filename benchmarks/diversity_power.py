"""What the warnings about diversity are worth: how often they are raised for nothing, and how often they see planted damage.

    python -m benchmarks.diversity_power [DATA_DIR] [--documents 6000] [--nulls 200] [--plants 20]

DATA_DIR is a folder of Parquet files with columns `text` and, if there are several sources, `source`; without it the corpus
is CPython's own documentation, as in the demo. The corpus is cut in two by hash, again and again: one half is the
reference, the other the release. What is planted is planted in the release:

- *truncated*: in a share of the documents, every word outside of the most frequent that make up 95 % of the text is replaced by
  one of these, which is what sampling from a language model with its tail cut off does to words (Shumailov et al. 2024);
- *source dropped*: a source is missing, the smallest that has a twentieth of the documents;
- *group lost*: every document with a given word is missing, the word being one that about a tenth of the documents have. The
  structure `group` has that word, as somebody would declare it to whom the group matters.

Prints a Markdown table: by gate, the share of cuts in which it fails (for any source or language, where it is about these), and
in brackets the share in which it cannot tell.
"""

import argparse
import collections
import fnmatch
import pathlib
import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from expectations import contracts
from expectations.judge.gx import compare
from expectations.structures import expected
from expectations.structures.system import StructureReference, System
from expectations.suite.suite import Expectation
from pipeline.commands import demo
from transforms.kernels.statistics.sampling import places
from transforms.measures.against_reference import reference_rows
from transforms.measures.metrics import in_table
from transforms.measures.reference import from_table, sketches
from transforms.measures.tally import NEEDED, Tally, tally_split
from transforms.origin.witnesses import EvidenceConfig, load_witnesses
from transforms.release.gate import REFERENCE_RULES
from transforms.structures import shares as cores
from transforms.structures.find import Systems
from transforms.survey import text_to_signals

EVIDENCE = EvidenceConfig()
WORD = re.compile(r"\w+")
MASS = 0.95


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path, nargs="?")
    parser.add_argument("--documents", type=int, default=6000)
    parser.add_argument("--nulls", type=int, default=200)
    parser.add_argument("--plants", type=int, default=20)
    asked = parser.parse_args()
    texts, source = corpus(asked.data, asked.documents)
    print(
        f"{len(texts):,} documents of {len(set(source.tolist()))} sources, {sum(map(len, texts)) / 1e6:.1f} M characters\n"
    )
    word = rare_word(texts)
    systems, group = Systems((group_of(word),)), np.array([word in WORD.findall(text.lower()) for text in texts])
    whole, cut = (measured(one, source, systems) for one in (texts, truncated(texts)))
    sizes = collections.Counter(source.tolist())
    minor = min((n, name) for name, n in sizes.items() if n >= len(texts) / 20)[1]
    everything = np.ones(len(texts), bool)
    plants = {
        "nothing": (asked.nulls, 0.0, everything),
        "5 % truncated": (asked.plants, 0.05, everything),
        "10 % truncated": (asked.plants, 0.1, everything),
        "30 % truncated": (asked.plants, 0.3, everything),
        "source dropped": (asked.plants, 0.0, source != minor),
        "group lost": (asked.plants, 0.0, ~group),
    }
    table = {}
    for name, (runs, share, kept) in plants.items():
        counts = collections.Counter(
            (gate, status)
            for run in range(runs)
            for gate, status in judged(whole, cut, systems, share, kept, run).items()
        )
        table[name] = {
            gate: (counts[gate, "fail"] / runs, counts[gate, "inconclusive"] / runs) for gate in gates(systems)
        }
    names = list(gates(systems))
    print("| planted | cuts | " + " | ".join(names) + " |\n|--|--|" + "--|" * len(names))
    for name, row in table.items():
        cells = [_share(fails) + (f" (?{_share(unsure)})" if unsure else "") for fails, unsure in row.values()]
        print(f"| {name} | {plants[name][0]} | " + " | ".join(cells) + " |")


def _share(value: float) -> str:
    """In per cent, with a digit more where it would look like none."""
    return f"{value:.2%}" if 0 < value < 0.01 else f"{value:.0%}"


def gates(systems: Systems) -> dict[str, Expectation]:
    """The rules: of the presets against a reference, and of the group."""
    found = {}
    for rule in (*REFERENCE_RULES, *expected.rules(systems.systems)):
        name = rule.metric.removeprefix("reference.")
        of = f" of {rule.slice_kind}" if rule.slice_kind in ("source", "language") else ""
        found[name + of + (f", surely {rule.min}" if rule.bound == "upper" and rule.min is not None else "")] = rule
    return found


def group_of(word: str) -> System:
    """A system with one structure: a word."""
    return System.model_validate(
        {
            "id": "group",
            "owner": {"team": "whoever it concerns"},
            "rationale": "It must not vanish.",
            "structures": [{"id": "group", "kind": "lexicon", "terms": [word]}],
            "expectations": [{"kind": "retention", "min": 0.8}],
        }
    )


def corpus(data: pathlib.Path | None, most: int) -> tuple[list[str], np.ndarray]:
    """Different texts, the first of each source by hash, and their sources."""
    found: dict[str, str] = {}
    for source, text in _demo() if data is None else _read(data):
        found.setdefault(text, source)
    texts = np.array(list(found), object)
    order = np.argsort(draw(len(texts), -1))[:most]
    return texts[order].tolist(), np.array(list(found.values()))[order]


def _demo() -> Iterator[tuple[str, str]]:
    yield from (("topics", str(record["text"])) for record in demo._topics())
    yield from (("docstrings", str(record["text"])) for record in demo._docstrings())


def _read(data: pathlib.Path) -> Iterator[tuple[str, str]]:
    for path in sorted(data.rglob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            yield str(row.get("source") or "all"), row["text"]


def draw(n: int, run: int) -> np.ndarray:
    """A number in [0, 1) for each document, by hash."""
    numbers = np.arange(n, dtype=np.uint64)
    return places((numbers, numbers), str(run), "power").u / 2.0**64


def truncated(texts: list[str]) -> list[str]:
    """The same texts without their rare words."""
    counts = collections.Counter(word for text in texts for word in WORD.findall(text.lower()))
    head, seen, total = [], 0, counts.total()
    for word, n in counts.most_common():
        if seen > MASS * total:
            break
        head.append(word)
        seen += n
    kept = set(head)

    def replaced(match: re.Match[str]) -> str:
        word = match[0].lower()
        return match[0] if word in kept else head[sum(word.encode()) * 7919 % min(len(head), 500)]

    return [WORD.sub(replaced, text) for text in texts]


def rare_word(texts: list[str]) -> str:
    """The word that is nearest to being in a tenth of the texts."""
    documents = collections.Counter(word for text in texts for word in set(WORD.findall(text.lower())))
    return min(sorted(documents), key=lambda one: abs(documents[one] - len(texts) / 10))


def measured(texts: list[str], source: np.ndarray, systems: Systems) -> pa.Table:
    """SIGNALS, with the words of every document; and the number of its source."""
    config = text_to_signals.SurveyConfig("words", None, EVIDENCE, ngram=5, num_perm=8, systems=systems)
    loaded, every = (text_to_signals.load_detectors(config), load_witnesses(EVIDENCE)), _Everything()
    parts = [_documents(texts[at : at + 500]) for at in range(0, len(texts), 500)]
    batches = [text_to_signals.measure_documents(part, config, *loaded, every) for part in parts]
    signals = pa.Table.from_batches(batches).select([*NEEDED, "compliance"]).combine_chunks()
    return signals.append_column("source", pa.array(source).dictionary_encode().indices.cast(pa.int16()))


class _Everything(text_to_signals.HeadSample):
    def mask(self, keys: np.ndarray) -> np.ndarray:
        return np.ones(len(keys), bool)


def _documents(texts: list[str]) -> pa.RecordBatch:
    return filled(contracts.DOCUMENT, len(texts), text=pa.array(texts, pa.large_string()))


def filled(contract: contracts.Contract, n: int, **columns: object) -> pa.RecordBatch:
    """A batch in which only some columns matter."""

    def zeros(field: pa.Field) -> pa.Array:
        if field.nullable:
            return pa.nulls(n, field.type)
        zero = {contracts.HASH: b"\0" * 16, pa.string(): "", pa.bool_(): False}.get(field.type, 0)
        return pa.array([zero] * n, field.type)

    return contract.batch({f.name: columns[f.name] if f.name in columns else zeros(f) for f in contract.schema})


def tally(signals: pa.Table, systems: Systems) -> Tally:
    """Of documents that are all kept."""
    n = len(signals)
    decisions = filled(
        contracts.DECISION,
        n,
        kept=pa.array(np.ones(n, bool)),
        origin=pa.array(np.full(n, contracts.HUMAN, np.int8)),
        source=signals["source"].combine_chunks(),
    )
    found = tally_split(decisions, signals)
    found.patterns = cores.count_split(decisions, signals, systems.systems, "all")
    return found


def judged(
    whole: pa.Table, cut: pa.Table, systems: Systems, share: float, kept: np.ndarray, run: int
) -> dict[str, str]:
    """What the rules say of one half against the other, with so large a share of it planted."""
    u = draw(len(whole), run)
    release = (u >= 0.5) & kept
    planted = release & (u < 0.5 + share / 2)
    both = pa.concat_tables([whole.filter(pa.array(release & ~planted)), cut.filter(pa.array(planted))])
    mine, theirs = (tally(one.combine_chunks(), systems) for one in (both, whole.filter(pa.array(u < 0.5))))
    names = tuple(map(str, range(1 + int(pa.compute.max(whole["source"]).as_py()))))
    half = from_table(sketches(theirs, names), "half")
    (group,) = systems.systems
    earlier = cores.from_metrics(in_table(list(cores.structure_rows(theirs.patterns, systems))), group, "half")
    of_release = group.model_copy(update={"reference": StructureReference.model_validate({"release": "half"})})
    against = Systems((of_release,), (earlier,))
    rows = in_table([*reference_rows(mine, names, half), *cores.structure_rows(mine.patterns, against)]).to_pylist()
    said = {}
    for name, rule in gates(systems).items():
        chosen = [
            row for row in rows
            if (row["metric"], row["slice_kind"]) == (rule.metric, rule.slice_kind)
            and fnmatch.fnmatchcase(row["slice"], rule.slice or "*")
        ]  # fmt: skip
        assert rule.min is None or isinstance(rule.min, float), rule
        said[name] = compare(chosen, rule.bound, rule.min, rule.max, 0, rule.unsure)["status"]
    return said


if __name__ == "__main__":
    main()
