"""Which duplicate stays: the policy, the laws that hold whatever the policy, earlier releases, and addresses."""

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations import contracts
from transforms.dedup.candidates import DedupConfig
from transforms.dedup.survivors import LABELLED, Standing, decide
from transforms.ingest.sources import EARLIER

CONFIG = DedupConfig(bands=4, rows=2, min_similarity=0.75)
ALIKE = (Standing(), Standing())
HUMAN, SYNTHETIC, UNKNOWN = contracts.HUMAN, contracts.SYNTHETIC, contracts.UNKNOWN


def document(number, content=None, cluster=1, signature=(0,) * 8, **other):
    """One LABELLED row. Documents of one content have one signature, as they do in life."""
    row = {
        "doc_id": number.to_bytes(16, "big"), "split": 0, "ordinal": number, "source": 0, "content": content or number,
        "n_tokens": 100, "n_bytes": 500, "created": None, "origin": UNKNOWN, "origin_basis": contracts.BASIS_NONE,
        "p_synthetic": None, "excluded": 0, "cluster": cluster, "url": None, "shingles": None,
        "signature": None if signature is None else np.array(signature, "<u4").tobytes(),
    }  # fmt: skip
    return row | other


def decided(*rows, config=CONFIG, standings=ALIKE):
    batch = pa.RecordBatch.from_pylist(list(rows), schema=LABELLED)
    found = decide(batch, standings, config).to_pylist()
    return {int.from_bytes(row["doc_id"], "big"): row for row in found}


def kept(*rows, **settings):
    return {number for number, row in decided(*rows, **settings).items() if row["kept"]}


def day(year):
    return datetime.datetime(year, 1, 1, tzinfo=datetime.UTC)


human = {"origin": HUMAN, "origin_basis": contracts.BASIS_DECLARED}
guessed = {"origin": HUMAN, "origin_basis": contracts.BASIS_DETECTOR}


@pytest.mark.parametrize(
    ("rank", "loser", "winner"),
    [
        ("declared_human", guessed, human),
        ("earliest", {"created": day(2021)}, {"created": day(2019)}),
        ("earliest", {}, {"created": day(2019)}),
        ("latest", {"created": day(2019)}, {"created": day(2021)}),
        ("latest", {}, {"created": day(2019)}),
        ("least_synthetic", {"p_synthetic": 0.75}, {"p_synthetic": 0.25}),
        ("least_synthetic", {"p_synthetic": 0.75}, {}),
        ("longest", {"n_tokens": 5}, {"n_tokens": 6}),
        ("shortest", {"n_tokens": 6}, {"n_tokens": 5}),
        ("trusted", {"source": 0}, {"source": 1}),
        ("protected", {"source": 0}, {"source": 1}),
        ("source", {"source": 0}, {"source": 1}),
    ],
)
def test_each_rank_of_the_policy_decides_alone(rank, loser, winner):
    standings = (Standing(False, 0.1, 1), Standing(True, 0.9, 0))
    settings = {"config": CONFIG.model_copy(update={"survivor": (rank,)}), "standings": standings}
    assert kept(document(1, **loser), document(2, **winner), **settings) == {2}
    assert kept(document(1, **winner), document(2, **loser), **settings) == {1}
    assert kept(document(2, **winner), document(1, **winner), **settings) == {1}  # the smaller id at last


def test_ranks_are_asked_in_the_order_of_the_recipe():
    old_and_short, new_and_long = {"created": day(2019), "n_tokens": 5}, {"created": day(2021), "n_tokens": 9}
    for order, winner in ((("earliest", "longest"), 1), (("longest", "earliest"), 2)):
        config = CONFIG.model_copy(update={"survivor": order})
        assert kept(document(1, **old_and_short), document(2, **new_and_long), config=config) == {winner}


def test_a_source_order_goes_before_all_other_ranks():
    assert DedupConfig(source_order=("b", "a")).policy[0] == "source"
    assert DedupConfig(source_order=("b",), survivor=("longest", "source")).policy == ("longest", "source")
    assert "source" not in DedupConfig().policy


def test_a_human_copy_survives_a_synthetic_one_and_both_are_counted():
    found = decided(document(1, origin=SYNTHETIC, origin_basis=contracts.BASIS_DECLARED), document(2, **human))
    assert [found[n]["kept"] for n in (1, 2)] == [False, True]
    assert {row["cluster_origins"] for row in found.values()} == {3}


def test_a_member_that_is_not_like_the_survivor_stays():
    """1 and 2 are alike, 2 and 3 are alike, 1 and 3 are not: 3 is kept though all three are one component."""
    chain = [(1,) * 8, (1,) * 6 + (2,) * 2, (1,) * 4 + (2,) * 4]
    found = decided(*(document(i + 1, signature=s) for i, s in enumerate(chain)))
    assert [found[n]["reason"] for n in (1, 2, 3)] == [0, contracts.REASONS.index("near_duplicate"), 0]
    assert found[2]["similarity"] == 0.75
    assert [found[n]["cluster_size"] for n in (1, 2, 3)] == [2, 2, 1]
    assert found[1]["cluster"] == found[2]["cluster"] != found[3]["cluster"]
    lenient = CONFIG.model_copy(update={"min_to_survivor": 0.5})
    assert kept(*(document(i + 1, signature=s) for i, s in enumerate(chain)), config=lenient) == {1}


def test_documents_of_earlier_releases_are_not_wanted_again():
    rows = [document(1, source=EARLIER), document(2, **human), document(3, signature=(9,) * 8)]
    found = decided(*rows)
    assert set(found) == {2, 3}  # of the earlier one nothing is decided
    assert found[2]["reason"] == contracts.REASONS.index("in_earlier_release")
    assert found[2]["survivor_id"] == found[2]["earlier_id"] == rows[0]["doc_id"]
    assert found[3]["kept"]
    assert found[3]["earlier_id"] is None


def test_or_they_are_only_said_to_be_there():
    tag = CONFIG.model_copy(update={"on_match": "tag"})
    rows = [document(1, source=EARLIER), document(2), document(3), document(4, signature=(9,) * 8)]
    found = decided(*rows, config=tag)
    assert {n for n, row in found.items() if row["kept"]} == {2, 4}
    assert found[2]["earlier_id"] == rows[0]["doc_id"]
    assert found[4]["earlier_id"] is None
    assert found[3]["reason"] == contracts.REASONS.index("near_duplicate")


def test_an_exact_copy_of_an_earlier_document_needs_no_signature():
    found = decided(document(1, content=7, source=EARLIER, signature=None), document(2, content=7, signature=None))
    assert found[2]["reason"] == contracts.REASONS.index("in_earlier_release")
    assert found[2]["similarity"] == 1


def test_the_same_address():
    rows = [document(1, url=5), document(2, url=5, signature=(9,) * 8), document(3, url=6, signature=(8,) * 8)]
    found = decided(*rows)
    assert [found[n]["reason"] for n in (1, 2, 3)] == [0, contracts.REASONS.index("same_url"), 0]


rows = st.lists(
    st.tuples(
        st.integers(1, 6),  # content, which decides cluster and signature
        st.integers(-1, 1),  # source
        st.sampled_from([UNKNOWN, HUMAN, SYNTHETIC]),
        st.sampled_from([None, 2019, 2021]),
        st.sampled_from([None, 1, 2]),
    ),
    min_size=1,
    max_size=14,
)
ranks = st.lists(
    st.sampled_from(["source", "declared_human", "earliest", "longest", "trusted"]), unique=True, max_size=3
)


@settings(max_examples=200)
@given(rows, ranks, st.sampled_from(["drop", "tag"]), st.randoms(use_true_random=False))
def test_the_laws_hold_whatever_the_policy(found, policy, on_match, random):
    config = CONFIG.model_copy(update={"survivor": tuple(policy), "on_match": on_match})
    documents = [
        document(
            n + 1, content=content, cluster=content % 2, source=source, origin=origin, url=url,
            signature=tuple((content >> 1) + (place < content) for place in range(8)),
            created=None if year is None else day(year),
            origin_basis=contracts.BASIS_DECLARED if origin else contracts.BASIS_NONE,
        )
        for n, (content, source, origin, year, url) in enumerate(found)
    ]  # fmt: skip
    result = decided(*documents, config=config)
    mixed = list(documents)
    random.shuffle(mixed)
    assert decided(*mixed, config=config) == result  # the order of rows says nothing

    new = [one for one in documents if one["source"] != EARLIER]
    assert len(result) == len(new)  # every document of this run has a decision
    earlier = {one["doc_id"] for one in documents if one["source"] == EARLIER}
    by_id = {row["doc_id"]: row for row in result.values()}
    for row in result.values():
        if row["kept"]:
            assert (row["survivor_id"], row["stage"], row["reason"]) == (row["doc_id"], 0, 0)
        elif row["survivor_id"] in earlier:
            assert contracts.REASONS[row["reason"]] == "in_earlier_release"
            assert row["earlier_id"] == row["survivor_id"]
        else:
            survivor = by_id[row["survivor_id"]]  # no cluster is without one, and it is kept
            assert survivor["kept"]
            assert survivor["cluster"] == row["cluster"]
            if contracts.REASONS[row["reason"]] == "near_duplicate":
                assert row["similarity"] >= config.least_to_survivor
    for cluster in {row["cluster"] for row in result.values()}:
        members = [row for row in result.values() if row["cluster"] == cluster]
        survivors = {row["survivor_id"] for row in members}
        assert len(survivors) == 1
        if not survivors & earlier:
            assert {row["cluster_size"] for row in members} == {len(members)}


WHY = {name: contracts.REASONS.index(name) for name in contracts.EXCLUDED}


def test_an_excluded_document_stands_for_none_and_counts_in_no_cluster():
    """Though it would be preferred by every rank, and is the same text as one of the others."""
    for reason in ("contaminated", "licence", "empty_text"):
        rows = [document(1, content=7, excluded=WHY[reason], **human), document(2, content=7), document(3)]
        found = decided(*rows)
        assert [contracts.REASONS[found[n]["reason"]] for n in (1, 2, 3)] == [reason, "", "near_duplicate"]
        assert [found[n]["cluster_size"] for n in (1, 2, 3)] == [1, 2, 2]
        assert found[1]["survivor_id"] == rows[0]["doc_id"]
        assert found[1]["similarity"] is None
        assert {found[n]["cluster_origins"] for n in (2, 3)} == {0}
        assert contracts.STAGES[found[1]["stage"]] == ("ingest" if reason == "empty_text" else "exclusions")


def test_what_is_like_a_withdrawn_document_goes_with_it():
    """Also what is like only the second of two that are withdrawn, and what an earlier release has."""
    chain = [(1,) * 8, (1,) * 6 + (2,) * 2, (1,) * 4 + (2,) * 4]
    rows = [document(i + 1, signature=s) for i, s in enumerate(chain)]
    rows[0]["excluded"] = rows[1]["excluded"] = WHY["withdrawn"]
    found = decided(*rows, document(4, content=1, source=EARLIER), document(5, signature=(9,) * 8))
    assert [contracts.REASONS[found[n]["reason"]] for n in (1, 2, 3, 5)] == ["withdrawn"] * 3 + [""]
    assert [contracts.STAGES[found[n]["stage"]] for n in (1, 2, 3)] == ["exclusions", "exclusions", "dedup"]
    assert found[3]["survivor_id"] == rows[1]["doc_id"]
    assert found[3]["similarity"] == 0.75
    assert {row["cluster_size"] for row in found.values()} == {1}


@settings(max_examples=200)
@given(rows, ranks, st.lists(st.sampled_from(["", *contracts.EXCLUDED]), min_size=14, max_size=14))
def test_the_others_are_decided_on_as_if_the_excluded_were_not_there(found, policy, why):
    """Or, of withdrawn ones, as if an earlier release had them."""
    config = CONFIG.model_copy(update={"survivor": tuple(policy)})
    documents = [
        document(
            n + 1, content=content, cluster=content % 2, source=max(source, 0), origin=origin, url=url,
            signature=tuple((content >> 1) + (place < content) for place in range(8)),
            excluded=WHY.get(reason, 0),
        )
        for n, ((content, source, origin, _, url), reason) in enumerate(zip(found, why, strict=False))
    ]  # fmt: skip
    result = decided(*documents, config=config)
    withdrawn = [one | {"source": EARLIER, "excluded": 0} for one in documents if one["excluded"] == WHY["withdrawn"]]
    others = [one for one in documents if not one["excluded"]]
    expected = decided(*others, *withdrawn, config=config) if others else {}
    for one in documents:
        number = one["ordinal"]
        if one["excluded"]:
            assert result[number]["reason"] == one["excluded"]
            assert not result[number]["kept"]
        elif contracts.REASONS[expected[number]["reason"]] == "in_earlier_release":
            assert contracts.REASONS[result[number]["reason"]] == "withdrawn"
            assert result[number]["survivor_id"] == expected[number]["survivor_id"]
        else:
            assert result[number] == expected[number]
