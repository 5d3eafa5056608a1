"""From text to patterns to the verdict: compliance against plain Python, slices, populations, and the worked example judged."""

import datetime
import itertools
import random
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from expectations import contracts
from expectations.judge.verdict import judge
from expectations.structures.expected import documents_needed, rules
from expectations.structures.system import StructuresError, System
from expectations.suite.suite import Suite
from transforms.kernels.statistics import structures as cores
from transforms.kernels.text.text import canonicalise
from transforms.measures.metrics import in_table
from transforms.measures.tally import Tally, merge
from transforms.signals import populations as whole
from transforms.structures import shares as stage
from transforms.structures.find import Systems, comply, pack, unpack

# Documents by (woman, man, nonbinary), 1000 each: the worked example, whose numbers are in kernels/test_cores.py.
REFERENCE = {"100": 340, "010": 380, "001": 25, "110": 120, "000": 135}
CANDIDATE = {"100": 780, "010": 130, "001": 2, "110": 40, "000": 48}
WHEN = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


def counted(documents: dict[str, int]) -> cores.PatternCounts:
    patterns = [int(bits[::-1], 2) for bits, n in documents.items() for _ in range(n)]
    content = np.random.default_rng(7).integers(0, 2**64, len(patterns), np.uint64)  # a hash is as good as chance
    return cores.count(np.array(patterns, np.uint16), content, np.full(len(patterns), 10))


def system(*structures: dict, **changes: object) -> System:
    base = {"id": "test", "owner": {"team": "us"}, "rationale": "why", "structures": structures}
    return System.model_validate(base | changes)


def lexicon(name: str, *terms: str, **more: object) -> dict:
    return {"id": name, "kind": "lexicon", "terms": list(terms), **more}


GENDER = system(lexicon("woman", "she"), lexicon("man", "he"), lexicon("nonbinary", "enby"), id="gender")


def documents(texts: list[str], keep: dict[str, list[str | None]] | None = None, **columns: list) -> pa.RecordBatch:
    n = len(texts)
    data = {
        "doc_id": [b"\0" * 16] * n, "file": [0] * n, "row": list(range(n)), "id": [str(i) for i in range(n)], "text": texts,
        "created": [WHEN] * n, "language": ["en"] * n, "url": [None] * n, "declared_origin": [0] * n, "generator": [None] * n,
        "kind": [None] * n, "stratum": [None] * n, "not_understood": [None] * n, "author": [None] * n, "licence": [None] * n,
        "derived_from": [None] * n, "verifier": [None] * n,
    }  # fmt: skip
    batch = contracts.DOCUMENT.batch(data | columns)
    for name, values in (keep or {}).items():
        batch = batch.append_column(pa.field(name, pa.string()), pa.array(values, pa.string()))
    return batch


def patterns(batch: pa.RecordBatch, *systems: System, source: str = "web") -> np.ndarray:
    tokens = canonicalise(batch["text"])[1]
    return unpack(comply(batch, tokens, source, Systems(systems)), len(systems))


def bits(batch: pa.RecordBatch, one: System, **more: str) -> list[str]:
    found = patterns(batch, one, **more)[:, 0]
    return ["".join(str(int(p) >> i & 1) for i in range(len(one.structures))) for p in found]


def test_without_systems_there_is_a_column_of_nothing() -> None:
    batch = documents(["she"])
    column = comply(batch, canonicalise(batch["text"])[1], "web", Systems())
    assert column.null_count == 1
    assert Systems().columns == ()
    assert list(stage.structure_rows({}, Systems())) == []


def test_structures_by_word_pattern_and_column() -> None:
    one = system(
        lexicon("woman", "she"),
        {"id": "shout", "kind": "regex", "pattern": "[A-Z]{3}", "ignore_case": False},
        {"id": "fiction", "kind": "column", "column": "genre", "values": ["novel", "story"]},
        {"id": "language", "kind": "column", "column": "language", "values": "en"},
        {"id": "source", "kind": "column", "column": "source", "values": "web"},
    )
    batch = documents(
        ["She ran.", "he RAN", "", "SHE"],
        {"genre": ["novel", None, "essay", "story"]},
        language=["en", "de", None, "en"],
    )
    assert bits(batch, one) == ["10111", "01001", "00001", "11111"]
    assert bits(batch, one, source="books") == ["10110", "01000", "00000", "11110"]


def test_an_own_column_may_be_called_as_one_of_ours() -> None:
    one = system({"id": "x", "kind": "column", "column": "row", "values": "first"})
    assert Systems((one,)).columns == ("row",)
    assert bits(documents(["a", "b"], {"row": ["first", "second"]}), one) == ["1", "0"]


def test_an_invisible_term_is_refused_in_words() -> None:
    with pytest.raises(StructuresError, match="no visible character; leave it out"):
        _ = Systems((system(lexicon("woman", "she", "\u200b")),)).words


@given(st.lists(st.text("sheSHE .,\n", max_size=12), max_size=8), st.integers(0, 3))
def test_compliance_like_plain_python(texts: list[str], cut: int) -> None:
    one = system(
        lexicon("a", "he", "she"), {"id": "b", "kind": "regex", "pattern": "hs|e$"}, lexicon("c", "s", "h", min_terms=2)
    )
    two = system(lexicon("d", "he she"), id="two")
    whole = patterns(documents(texts), one, two)
    expected = []
    for text in texts:
        words = re.findall("[a-z]+|[.]{1,3}|[,]{1,3}", text.lower())
        own = ["he" in words or "she" in words, bool(re.search("hs|e\\Z", text.lower())), {"s", "h"} <= set(words)]
        pair = ("he", "she") in itertools.pairwise(words)
        expected.append([0x8000 | sum(has << i for i, has in enumerate(own)), 0x8000 | pair])
    assert whole.tolist() == expected
    # As many rows at a time as one likes.
    parts = [patterns(documents(part), one, two) for part in (texts[:cut], texts[cut:])]
    assert np.concatenate(parts).tolist() == expected


@given(st.lists(st.lists(st.integers(0, 2**16 - 1), min_size=2, max_size=2), max_size=6), st.integers(0, 6))
def test_packing_is_undone_by_unpacking_also_in_a_slice(rows: list[list[int]], start: int) -> None:
    column = pack(np.array(rows, np.uint16).reshape(-1, 2))
    assert unpack(column.slice(start), 2).tolist() == rows[start:]


def decisions(rows: list[dict]) -> pa.RecordBatch:
    plain = {contracts.HASH: b"\0" * 16, pa.bool_(): False}
    empty = {
        f.name: [None if f.nullable else plain.get(f.type, 0)] * len(rows) for f in contracts.DECISION.schema
    }  # fmt: skip
    asked = {
        name: [row[name] for row in rows] for name in ("kept", "stage", "reason", "origin", "origin_basis", "n_tokens")
    }
    return contracts.DECISION.batch(empty | asked)


KEPT = {
    "kept": True,
    "stage": 0,
    "reason": 0,
    "origin": contracts.HUMAN,
    "origin_basis": contracts.BASIS_DECLARED,
    "n_tokens": 100,
}


def counts(rows: list[dict], *systems: System, source: str = "web") -> dict:
    """Of documents that say everything about themselves: DECISION's columns, pattern, language, created, content."""
    table = pa.table(
        {
            "content_hash": pa.array([row["content"].to_bytes(8) + b"\0" * 8 for row in rows], contracts.HASH),
            "language": pa.array([row.get("language", "en") for row in rows], pa.string()),
            "created": pa.array([row.get("created", WHEN) for row in rows], contracts.WHEN),
            "compliance": pack(np.array([[row["pattern"] | 0x8000] * len(systems) for row in rows], np.uint16)),
        }
    )
    return stage.count_split(decisions(rows), table, systems, source)


def n_of(rows: list[dict], one: System, at: str, **more: str) -> int:
    found = stage._System(one, 0, counts(rows, one, **more), None)
    return found.at[at].n


def row(number: int, **changes: object) -> dict:
    return KEPT | {"content": number << 58, "pattern": 1} | changes


def test_how_far_documents_came_and_whose_they_are() -> None:
    dropped = {"kept": False, "stage": contracts.STAGES.index("dedup")}
    cut = {"kept": False, "stage": contracts.STAGES.index("balance"), "origin": contracts.SYNTHETIC}
    empty = {"kept": False, "reason": contracts.REASONS.index("empty_text")}
    by_detector = {"origin": contracts.UNKNOWN, "origin_basis": contracts.BASIS_DETECTOR, "pattern": 2}
    rows = [row(0), row(1, **dropped), row(2, **cut), row(3, **empty), row(4, **by_detector), row(5, origin=0)]
    found = stage._System(GENDER, 0, counts(rows, GENDER), None)
    assert {at: found.at[at].n for at in whole.STAGES} == {"before": 5, "deduplicated": 4, "after": 3}
    assert found.reference.n == 1  # not of whom only the detector knows something, and not who was a duplicate
    assert [one.value for one in found.reference.core] == [1, 0, 0]
    by_origin = {r["slice"]: r for r in found.rows() if r["slice_kind"] == "structure_origin" and r["stage"] == "after"}
    assert by_origin["gender/man/unknown"]["value"] == 1 / 2


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, 4),
        ({"language": "en"}, 3),
        ({"language": ["en", "de"]}, 4),
        ({"min_tokens": 100}, 3),
        ({"source": "web"}, 4),
        ({"source": "books"}, 0),
        ({"origin": ["human", "unknown"]}, 3),
        ({"created_from": "2020-01-01"}, 2),
        ({"created_before": "2020-01-01"}, 1),
        ({"created_from": "2020-01-02"}, 1),
    ],
)
def test_a_slice_says_which_documents_are_spoken_of(asked: dict, expected: int) -> None:
    rows = [
        row(0),
        row(1, language="de", created=WHEN - datetime.timedelta(microseconds=1)),
        row(2, n_tokens=99, created=None),
        row(3, origin=contracts.SYNTHETIC, created=WHEN + datetime.timedelta(days=1)),
    ]
    one = system(lexicon("woman", "she"), slice=asked)
    assert n_of(rows, one, "after") == expected


def test_a_slice_by_an_own_column_is_found_while_reading() -> None:
    one = system(lexicon("woman", "she"), slice={"columns": {"genre": "novel"}})
    found = patterns(documents(["she", "she"], {"genre": ["novel", "essay"]}), one)
    assert (found[:, 0] >= cores.IN_SLICE).tolist() == [True, False]


several = st.lists(
    st.builds(
        lambda content, pattern, kept, origin, basis: row(
            content % 64, pattern=pattern, kept=kept, stage=0 if kept else 2, origin=origin, origin_basis=basis
        ),
        st.integers(0, 63), st.integers(0, 7), st.booleans(), st.integers(0, 2), st.integers(0, 2),
    ),
    min_size=1, max_size=12,
)  # fmt: skip


@given(several, st.integers(1, 12), st.integers(0, 9))
def test_order_and_splits_change_nothing(rows: list[dict], size: int, seed: int) -> None:
    systems = (GENDER, system(lexicon("woman", "she"), id="other", weight="tokens"))

    def said(parts: list[list[dict]]) -> str:
        tallies = [Tally(patterns=counts(part, *systems)) for part in parts]
        total = merge([merge(tallies[:1]), Tally(), *tallies[1:]])
        return repr(list(stage.structure_rows(total.patterns, Systems(systems))))

    shuffled = random.Random(seed).sample(rows, len(rows))
    assert said([shuffled[at : at + size] for at in range(0, len(rows), size)]) == said([rows])


def judged(one: System, release: dict, reference: cores.Cores | None = None, **more: dict) -> dict:
    """Statuses by (metric, slice) of what a system expects, of a release with these patterns."""
    populations = {(0, 2, whole.UNKNOWN, "web"): counted(release)} | {
        (0, at, whole.HUMAN, "web"): counted(which) for at, which in more.items()
    }
    metrics = in_table(list(stage.structure_rows(populations, Systems((one,), (reference,)))))
    suite = Suite(suite="test", expectations=tuple(rules((one,))))
    verdict = judge(pa.Table.from_batches([metrics]), suite)
    return {"": verdict} | {(o.metric.removeprefix("structure."), o.slice): o for o in verdict.expectations}


F4 = [
    {"kind": "retention", "structures": ["woman"], "min": 0.8},
    {"kind": "retention", "structures": ["man"], "min": 0.8},
    {"kind": "retention", "structures": ["nonbinary"], "min": 0.8},
    {"kind": "max_core", "max": 0.7, "severity": "warning"},
    {"kind": "expected_deviance_ratio", "min": 0.9, "severity": "warning"},
    {"kind": "core_effective_number", "min_ratio": 0.9},
]


def test_the_verdict_of_the_worked_example() -> None:
    """1000 documents a side; the candidate's default is 'she', and men and nonbinary people vanish."""
    one = GENDER.model_validate(GENDER.model_dump() | {"expectations": F4})
    found = judged(one, CANDIDATE, cores.summarise(counted(REFERENCE), 3))
    statuses = {key: item.status for key, item in found.items() if key}
    assert statuses == {
        ("retention", "gender/woman"): "pass",
        ("retention", "gender/man"): "fail",
        ("retention", "gender/nonbinary"): "fail",  # far too few to pass, and yet too far from it to wonder
        ("core", "gender/*"): "fail",
        ("expected_deviance_ratio", "gender"): "fail",
        ("effective_number_ratio", "gender"): "fail",
    }
    assert [one.slice for one in found["core", "gender/*"].not_held] == ["gender/woman"]
    verdict = found[""]
    assert verdict.status == "failed"
    assert len(verdict.reasons) == 3  # man, nonbinary, effective number
    assert len(verdict.warnings) == 2


def test_the_reference_passes_against_itself_where_there_is_enough() -> None:
    one = GENDER.model_validate(GENDER.model_dump() | {"expectations": F4})
    found = judged(one, REFERENCE, cores.summarise(counted(REFERENCE), 3))
    statuses = {key: item.status for key, item in found.items() if key}
    assert statuses.pop(("retention", "gender/nonbinary")) == "inconclusive"
    assert set(statuses.values()) == {"pass"}
    assert found[""].passed
    message = found["retention", "gender/nonbinary"].message
    assert message == (
        'The retention of the core in the release (structure "gender/nonbinary") is inconclusive: it rests on 1,000 documents, '
        "and it takes 10,920 to judge it (seen: 100%)."
    )
    assert found[""].warnings == (message,)


def test_a_release_in_which_nothing_is_left_fails() -> None:
    one = GENDER.model_validate(GENDER.model_dump() | {"expectations": F4})
    found = judged(one, {"000": 1000}, cores.summarise(counted(REFERENCE), 3))
    assert {found[key].status for key in found if key and key[0] != "core"} == {"fail"}


def test_other_references_and_rules() -> None:
    asked = [
        {"kind": "target_distribution", "group": ["woman", "man"], "max": 0.02},
        {"kind": "target_distribution", "group": ["woman", "man"], "target": {"woman": 0.9, "man": 0.1}, "max": 0.05},
        {"kind": "association", "given": "woman", "then": "man", "vs_given": "man", "max_risk_ratio": 1.25},
        {"kind": "avoid", "structure": "man", "max": 0.5},
        {"kind": "min_share", "structure": "woman", "min": 0.5},
        {"kind": "retention", "structures": ["man"], "min": 0.8},
    ]
    shares = {"woman": 0.8, "man": 0.2, "nonbinary": 0.0}
    for reference, man in ((shares, 0.85), ("uniform", 0.17 / ((0.82 + 0.17 + 0.002) / 3))):
        one = system(*GENDER.model_dump()["structures"], reference=reference, expectations=asked)
        found = judged(one, CANDIDATE)
        assert found["retention", "test/man"].worst.value == pytest.approx(man)
        assert found["divergence", "test/woman+man"].status == ("pass" if reference == shares else "fail")
        assert found["divergence", "test/woman+man=0.9,0.1"].status == "pass"
        assert found["core", "test/man"].status == "pass"
        assert found["core", "test/woman"].status == "pass"
        assert found["association", "test/man given woman against man"].worst.value == pytest.approx((40 / 820) / 1)


def test_an_earlier_release_is_read_from_its_metrics() -> None:
    populations = {(0, 2, whole.UNKNOWN, "web"): counted(REFERENCE)}
    metrics = in_table(list(stage.structure_rows(populations, Systems((GENDER,)))))
    assert stage.from_metrics(metrics, GENDER, "old") == cores.summarise(counted(REFERENCE), 3)
    changed = system(lexicon("woman", "her"), *GENDER.model_dump()["structures"][1:], id="gender")
    with pytest.raises(StructuresError, match="measured system 'gender' by other structures, slice or weight"):
        stage.from_metrics(metrics, changed, "old")
    with pytest.raises(StructuresError, match="old says nothing of system 'test'"):
        stage.from_metrics(metrics, system(lexicon("x", "x")), "old")


def test_what_a_stage_did_is_counted() -> None:
    asked = [{"kind": "stage_delta", "stage": "dedup", "structures": ["man"], "max_retention_loss": 0.1}]
    one = system(*GENDER.model_dump()["structures"], expectations=asked)
    # Dedup drops 300 of 500 documents with a man: his core falls from 500 / 1000 to 200 / 700.
    dropped, left = counted({"010": 300}), counted({"010": 200, "100": 500})
    populations = {(0, 0, whole.HUMAN, "web"): dropped, (0, 2, whole.HUMAN, "web"): left}
    rows = {
        (r["metric"], r.get("stage"), r["slice"]): r["value"]
        for r in stage.structure_rows(populations, Systems((one,)))
    }
    assert rows["structure.stage_retention", "deduplicated", "test/man"] == pytest.approx((200 / 700) / 0.5)
    assert rows["structure.stage_retention", "after", "test/man"] == 1


def test_between_its_bounds_a_limit_is_inconclusive() -> None:
    """Enough documents, and a core a little above the floor: neither shown to hold nor seen to fail."""
    asked = [{"kind": "avoid", "structure": "woman", "max": 0.5}]
    one = system(*GENDER.model_dump()["structures"], expectations=asked)
    for n, status in ((470, "pass"), (490, "inconclusive"), (510, "fail")):
        found = judged(one, {"100": n, "000": 1000 - n})["core", "test/woman"]
        assert found.status == status


def test_how_often_a_release_that_lost_nothing_fails_and_one_that_lost_a_third_does_not() -> None:
    """At the least data of the reference: exact chances, over all pairs of counts that are not too rare."""
    core, n = 0.3, documents_needed(0.3)
    chances = {}
    for kept in (1.0, 0.65):
        counts = np.arange(n + 1)
        release, reference = stats.binom.pmf(counts, n, core * kept), stats.binom.pmf(counts, n, core)
        fails = passes = 0.0
        for x, y in itertools.product(np.flatnonzero(release > 1e-5), np.flatnonzero(reference > 1e-5)):
            found = cores.ratio(cores.wilson(x / n, n), cores.wilson(y / n, n))
            chance = release[x] * reference[y]
            fails += chance * (found.value < 0.8)
            passes += chance * (found.lower >= 0.8)
        chances[kept] = fails, passes
    assert chances[1.0][0] < 0.01  # false alarm
    assert chances[0.65][0] > 0.95  # caught
    assert chances[0.65][1] < 1e-4  # and never called well


def judgement(seen: int, n: int, /, **changes: object) -> dict:
    """Statuses of a floor under a structure that a classifier finds in `seen` of `n` documents."""
    asked = [{"kind": "min_share", "structure": "warm", "min": 0.02}]
    sample = {"positives": 400, "found": 352, "negatives": 6000, "alarmed": 180} | changes
    one = system(classifier("warm", sample), lexicon("woman", "she"), expectations=asked)
    return judged(one, {"10": seen, "00": n - seen})


def classifier(name: str, sample: dict) -> dict:
    return {"id": name, "kind": "classifier", "column": "warmth", "threshold": 0.5, "sample": sample}


def test_false_alarms_are_no_norm() -> None:
    """It finds 3 % in text that has none of it: that is no 3 %, whatever is counted."""
    n = 20_000
    assert judgement(600, n)["core", "test/warm"].status == "fail"
    assert judgement(600, n)["core", "test/warm"].worst.value == pytest.approx(0, abs=1e-9)
    assert judgement(3000, n)["core", "test/warm"].status == "pass"
    worst = judgement(3000, n)["core", "test/warm"].worst
    assert worst.value == pytest.approx((0.15 - 0.03) / (0.88 - 0.03))
    # As much found, but hardly anything labelled: not shown.
    unsure = judgement(1500, n, negatives=100, alarmed=3, positives=20, found=18)["core", "test/warm"]
    assert unsure.status == "inconclusive"


SURE = {"positives": 2000, "found": 1800, "negatives": 3000, "alarmed": 60}


def classified(
    found: dict[str, int], human: dict[str, int], *asked: dict, **changes: object
) -> tuple[dict, list[dict]]:
    one = system(classifier("warm", SURE), lexicon("woman", "she"), expectations=asked, **changes)
    populations = {(0, 2, whole.UNKNOWN, "web"): counted(found), (0, 1, whole.HUMAN, "web"): counted(human)}
    rows = list(stage.structure_rows(populations, Systems((one,))))
    return {(row["metric"].removeprefix("structure."), row.get("stage"), row["slice"]): row for row in rows}, rows


def test_retention_is_of_what_is_there_and_not_of_what_is_found() -> None:
    """Found in 20 % of the human documents and in 6 % of the release, it is not 30 % of it that is left but 22 %."""
    found, rows = classified({"10": 1200, "00": 18_800}, {"10": 4000, "00": 16_000})
    retention = found["retention", "after", "test/warm"]
    assert retention["value"] == pytest.approx((0.06 - 0.02) / (0.2 - 0.02))
    assert retention["lower"] < retention["value"] < retention["upper"]
    assert found["reference", "after", "test/warm"]["value"] == pytest.approx((0.2 - 0.02) / (0.9 - 0.02))
    assert found["found", "after", "test/warm"]["value"] == pytest.approx(0.06)
    assert "it found 1,800 of 2,000 that have it and 60 of 3,000 that have not" in retention["note"]
    for name in ("expected_deviance", "core_entropy", "effective_number"):
        assert stage.BY_WORD in found[name, "after", "test"]["note"]
    assert all(row["note"] == stage.BY_WORD for row in rows if row["slice_kind"] == "pattern")
    assert ("found", "after", "test/woman") not in found
    # A classifier that tells less needs more documents.
    blunt = {**SURE, "found": 1000, "alarmed": 300}
    one = system(classifier("warm", blunt), lexicon("woman", "she"))
    populations = {
        (0, 2, whole.UNKNOWN, "web"): counted({"10": 3000, "00": 7000}),
        (0, 1, whole.HUMAN, "web"): counted({"10": 3000, "00": 7000}),
    }
    needed = next(
        row["needed"]
        for row in stage.structure_rows(populations, Systems((one,)))
        if row["metric"] == "structure.retention"
    )
    there = (0.3 - 0.1) / (0.5 - 0.1)
    assert needed == pytest.approx(280 * 0.3 * 0.7 / (0.4 * there) ** 2, rel=0.01)


def test_a_stage_is_judged_by_what_is_there_before_and_after_it() -> None:
    populations = {
        (0, 0, whole.HUMAN, "web"): counted({"10": 5000, "00": 5000}),
        (0, 2, whole.HUMAN, "web"): counted({"10": 2000, "00": 18_000}),
    }
    one = system(
        classifier("warm", SURE), expectations=[{"kind": "stage_delta", "stage": "dedup", "max_retention_loss": 0.3}]
    )
    row = next(row for row in stage.structure_rows(populations, Systems((one,)))
               if row["metric"] == "structure.stage_retention" and row["stage"] == "deduplicated")  # fmt: skip
    before, after = 7000 / 30_000, 2000 / 20_000
    assert row["value"] == pytest.approx((after - 0.02) / (before - 0.02))
    assert row["lower"] < row["value"] < row["upper"]


def test_stated_shares_and_an_earlier_release_are_held_against_the_corrected_share() -> None:
    release = {"10": 1200, "00": 18_800}
    true = (0.06 - 0.02) / (0.9 - 0.02)
    found, _ = classified(release, {}, reference={"warm": 0.1, "woman": 0.5})
    assert found["retention", "after", "test/warm"]["value"] == pytest.approx(true / 0.1)
    found, _ = classified(release, {}, reference="uniform")
    assert found["retention", "after", "test/warm"]["value"] == pytest.approx(true / (true / 2))
    one = system(classifier("warm", SURE), lexicon("woman", "she"))
    rows = list(stage.structure_rows({(0, 2, whole.UNKNOWN, "web"): counted(release)}, Systems((one,))))
    earlier = stage.from_metrics(in_table(rows), one, "old")
    again = list(stage.structure_rows({(0, 2, whole.UNKNOWN, "web"): counted(release)}, Systems((one,), (earlier,))))
    retention = next(row for row in again if row["metric"] == "structure.retention" and row["slice"] == "test/warm")
    assert retention["value"] == pytest.approx(1)
    assert retention["lower"] < 1 < retention["upper"]


def test_a_loss_of_the_mix_is_told_from_a_loss_inside_of_sources() -> None:
    """The web floods the release: half of the structure is gone, and nothing of it inside of any source."""
    sources = {"web": {"100": 100, "000": 900}, "books": {"100": 500, "000": 500}}
    flood = {"100": 200, "000": 1800}

    def left(flooded: bool, lost: bool) -> tuple[dict, dict]:
        books = {"100": 250, "000": 750} if lost else sources["books"]
        populations = {
            (0, 2, whole.HUMAN, "web"): counted(sources["web"]),
            (0, 2, whole.HUMAN, "books"): counted(books),
        }
        if lost:  # what dedup kept and the mixture dropped: 250 books
            populations[0, 1, whole.HUMAN, "books"] = counted({"100": 250})
        if flooded:
            populations[0, 2, whole.SYNTHETIC, "web"] = counted(flood)
        rows = list(stage.structure_rows(populations, Systems((GENDER,))))
        return tuple(
            next(r for r in rows if r["metric"] == f"structure.{name}" and r["slice"] == "gender/woman")
            for name in ("retention", "retention_at_mix")
        )

    raw, at_mix = left(flooded=True, lost=False)
    assert raw["value"] == pytest.approx((800 / 4000) / (600 / 2000))
    assert at_mix["value"] == pytest.approx(1)
    assert at_mix["lower"] < 1 < at_mix["upper"]
    raw, at_mix = left(flooded=True, lost=True)
    reference = 600 / 2250
    assert at_mix["value"] == pytest.approx((1000 / 2250 * 0.1 + 1250 / 2250 * 0.25) / reference)
    assert raw["value"] == pytest.approx((550 / 4000) / reference)


def test_a_source_that_is_gone_cannot_be_mixed_in() -> None:
    populations = {(0, 2, whole.HUMAN, "web"): counted(REFERENCE), (0, 1, whole.HUMAN, "books"): counted(REFERENCE)}
    rows = list(stage.structure_rows(populations, Systems((GENDER,))))
    found = [r for r in rows if r["metric"] == "structure.retention_at_mix"]
    assert len(found) == 3
    assert all(
        np.isnan(r["value"]) and r["note"] == "the release has nothing of books, which the reference has" for r in found
    )
    stated = system(*GENDER.model_dump()["structures"], reference="uniform")
    assert not [
        r for r in stage.structure_rows(populations, Systems((stated,))) if r["metric"] == "structure.retention_at_mix"
    ]
