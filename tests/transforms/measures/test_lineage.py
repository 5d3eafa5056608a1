"""What synthetic text was made of, against a count one by one; sites that came all at once; parts in any order."""

import collections
import dataclasses
import datetime
import random

import numpy as np
import pyarrow as pa
import pytest

from expectations import contracts
from tests.transforms.measures.test_tally import filled
from transforms.measures import bursts, lineage
from transforms.measures.lineage import Lineage, family, lineage_rows

Document = dict[str, object]
GENERATORS = ("meta-llama/Llama-3-70B", "Qwen2-7B", "gpt-4o", None)
VERIFIERS = ("llama-guard", "qwen2.5-72b-instruct", None, None)


def corpus(n: int = 400) -> list[Document]:
    """Human documents, what was made of them, what was made of that, and some whose source is not here."""
    rows: list[Document] = [{"id": f"h{i}", "origin": contracts.HUMAN, "kept": i % 5 != 0} for i in range(n // 8)]
    for i in range(n):
        made_of = f"h{i * i % 60}" if i % 7 else f"s{i // 2}" if i % 2 else None
        rows.append(
            {"id": f"s{i}", "origin": contracts.SYNTHETIC, "kept": i % 3 != 0, "made_of": made_of, "tokens": 10 + i % 13,
             "generator": GENERATORS[i % 4], "verifier": VERIFIERS[i // 4 % 4], "copies": 2 if i % 17 == 1 else 1}
        )  # fmt: skip
    return rows


def counted(rows: list[Document]) -> Lineage:
    decisions = filled(
        contracts.DECISION, len(rows), origin=[r["origin"] for r in rows], kept=[r["kept"] for r in rows],
        n_tokens=[r.get("tokens", 1) for r in rows], copies=[r.get("copies", 1) if r["kept"] else 0 for r in rows],
    )  # fmt: skip
    columns = {"id": "id", "derived_from": "made_of", "verifier": "verifier", "generator": "generator"}
    return lineage.count_split(
        decisions, pa.table({name: pa.array([r.get(key) for r in rows], pa.string()) for name, key in columns.items()})
    )


def values(found: Lineage) -> dict[tuple[str, str, str], float | None]:
    return {(r["metric"], r.get("stage", "after"), r.get("slice", "")): r["value"] for r in lineage_rows(found)}


def test_counts_are_those_of_a_walk_over_the_documents() -> None:
    rows = corpus()
    found = values(counted(rows))
    kept = [r for r in rows if r["kept"]]
    made = [r for r in kept if r.get("made_of")]
    times = collections.Counter(r["made_of"] for r in made)
    assert found["lineage.fan_out_max", "after", ""] == max(times.values())
    assert found["lineage.fan_out_mean", "after", ""] == pytest.approx(len(made) / len(times))
    assert found["lineage.seeds", "after", ""] == len(times)
    shares = np.array(list(times.values())) / len(made)
    assert found["lineage.effective_seeds", "after", ""] == pytest.approx(1 / (shares**2).sum())
    assert found["lineage.seeds", "before", ""] == len({r["made_of"] for r in rows if r.get("made_of")})
    released = {r["id"] for r in kept}
    assert found["lineage.both_kept", "after", ""] == pytest.approx(
        sum(r["made_of"] in released for r in made) / len(made)
    )
    synthetic = {r["id"] for r in rows if r["origin"] == contracts.SYNTHETIC}
    deep = [r for r in made if r["made_of"] in synthetic]
    assert 0 < len(deep) < len(made)
    assert found["lineage.deep_share", "after", ""] == pytest.approx(len(deep) / len(made))
    tokens: collections.Counter[object] = collections.Counter()
    for r in deep:
        tokens[r["generator"]] += r["tokens"] * r["copies"]
    assert found["lineage.generator_max_share", "after", "2 or more"] == pytest.approx(
        max(tokens.values()) / tokens.total()
    )
    assert 1 < found["lineage.generator_effective_number", "after", "1"] <= len(GENERATORS)
    machine = [r for r in kept if r["origin"] == contracts.SYNTHETIC]
    total = sum(r["tokens"] * r["copies"] for r in machine)
    assert found["lineage.known", "after", ""] == pytest.approx(sum(r["tokens"] * r["copies"] for r in made) / total)
    verified = [r for r in machine if r["verifier"]]
    accepted = sum(r["tokens"] * r["copies"] for r in verified)
    assert found["verifier.share", "after", ""] == pytest.approx(accepted / total)
    same = sum(r["tokens"] * r["copies"] for r in verified if family(r["verifier"]) == family(r["generator"] or ""))
    assert 0 < same < accepted
    assert found["verifier.same_family", "after", ""] == pytest.approx(same / accepted)
    assert found["verifier.share", "after", "llama-guard"] < found["verifier.share", "after", ""]


@pytest.mark.parametrize("most", [1 << 20, 250])
def test_parts_in_any_order_are_the_whole(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there are so many sources that they are a sample: then each has all that was made of it."""
    monkeypatch.setattr(lineage, "NODES", dataclasses.replace(lineage.NODES, most=most))
    rows = corpus()
    whole = list(lineage_rows(counted(rows)))
    for seed in (0, 1):
        shuffled = random.Random(seed).sample(rows, len(rows))
        parts = [counted(shuffled[at : at + 41]) for at in range(0, len(rows), 41)]
        merged = lineage.merge([lineage.merge(parts[4:]), *parts[:4], lineage.merge([])])
        assert list(lineage_rows(merged)) == whole
    exact = values(counted(rows))
    assert any("sample" in str(row.get("note")) for row in whole) == (most == 250)
    assert 0 < exact["lineage.seeds", "after", ""] < 200


def test_a_family_is_what_a_name_begins_with() -> None:
    names = {"meta-llama/Llama-3-70B": "llama", "Qwen2.5-7B": "qwen", " gpt-4o ": "gpt", "": "", "4chan/7b": ""}
    assert {name: family(name) for name in names} == names


def test_nothing_is_said_where_nothing_was_asked() -> None:
    assert list(lineage_rows(Lineage())) == []


def dated(rows: list[tuple[str | None, str, bool]]) -> bursts.Dated:
    hosts, days, kept = zip(*rows, strict=True)
    when = [datetime.datetime.fromisoformat(day).replace(tzinfo=datetime.UTC) if day else None for day in days]
    return bursts.count_split(
        pa.array(kept), pa.array(hosts, pa.string()), pa.array(when, contracts.WHEN)
    )  # fmt: skip


def test_a_site_that_came_all_at_once_is_named_and_one_crawl_is_not_a_burst() -> None:
    years = [("steady.example", f"{2000 + i % 20}-0{1 + i % 9}-15", True) for i in range(3000)]
    planted = [("planted.example", f"2021-03-{1 + i % 20:02d}", True) for i in range(250)]
    few = [("few.example", "2018-05-05", True)] * 99
    dropped = [("dropped.example", "2018-05-05", False)] * 500
    rows = [*years, *planted, *few, *dropped, (None, "2018-05-05", True), ("undated.example", "", True)]
    found = list(bursts.burst_rows(dated(rows)))
    assert [row["value"] for row in found] == [1, 250, 250]
    assert (found[2]["slice"], found[2]["note"]) == ("planted.example", "from 2021-03-01 to 2021-03-20")
    shuffled = random.Random(3).sample(rows, len(rows))
    parts = [dated(shuffled[at : at + 500]) for at in range(0, len(rows), 500)]
    assert list(bursts.burst_rows(bursts.merge([bursts.merge(parts[3:]), *parts[:3]]))) == found
    crawl = [("a.example", "2024-05-05", True), ("b.example", "2024-05-06", True)] * 500
    assert [row["value"] for row in bursts.burst_rows(dated(crawl))] == [0, 0]
    assert [row["value"] for row in bursts.burst_rows(bursts.Dated())] == [0, 0]


def test_where_there_is_no_number_the_note_says_why() -> None:
    """Sources name the columns, and nothing synthetic is there."""
    rows: list[Document] = [{"id": "h", "origin": contracts.HUMAN, "kept": True}]
    unmeasured = [row for row in lineage_rows(counted(rows)) if row["value"] is None]
    assert len(unmeasured) > 6
    assert {str(row["note"]).split()[0] for row in unmeasured} == {"nothing"}
