"""What the yardstick says of a sample: bits per byte and topics, and both against a reference."""

import numpy as np
import pyarrow as pa
import pytest
from small_sets import hashed

from transforms.kernels.models.bytes_model import bits_per_byte
from transforms.kernels.statistics.diversity import TypeCounts
from transforms.kernels.statistics.vocabulary import Vocabulary
from transforms.measures import sample, yardstick
from transforms.measures.against_reference import _hardness, _topics
from transforms.measures.reference import Reference, Sampled, from_table, sketches
from transforms.measures.tally import Tally
from transforms.signals.populations import FOLDS, HUMAN, SYNTHETIC

EASY = "the people of the town said that they would go to the house in the morning and see what had been done there "
HARD = "Qv7 xylo-ﬂux; zẞ9 Kyrgyz_Ω jhq~ 0x7fb3 pshwt vrmln ggdk "
BELOW = 2**64 - 1


def document(number: int, hard: bool, languages: str = "en", origin: int = HUMAN) -> dict:
    """300 characters and more of easy or hard text, turned so that no two are the same."""
    text = HARD if hard else EASY
    turn = hashed(number) % len(text)
    return {
        "key": number * 1000 + 1, "at": 2, "whose": origin, "source": 0, "language": languages,
        "fold": hashed(number, 1) % FOLDS, "head": ((text[turn:] + text) * 6)[:400],
        "words": np.array([hashed(w) for w in (f"w{number}", "q")], np.uint32).tobytes(),
    }  # fmt: skip


def batch(documents: list[dict]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(documents, schema=sample.SAMPLED)


def rows(documents: list[dict]) -> dict:
    """Rows of the release by metric and slice."""
    found = sample.sample_rows([batch(documents)], BELOW, ("web",))
    return {(row["metric"], row["slice"]): row for row in found if row["stage"] == "after"}


def test_the_numbers_are_those_of_each_head() -> None:
    documents = [document(n, hard=n % 10 == 0) for n in range(400)]
    model = yardstick.bundled().bytes_model
    heads = [one["head"].encode() for one in documents]
    offsets = np.cumsum([0, *map(len, heads)]).astype(np.int64)
    bits = bits_per_byte(np.frombuffer(b"".join(heads), np.uint8), offsets, model.trie)
    found = rows(documents)
    assert found["lm.bpb_mean", ""]["value"] == pytest.approx(bits.mean())
    assert found["lm.bpb_sd", ""]["value"] == pytest.approx(bits.std())
    assert found["lm.bpb_q95", ""]["value"] == pytest.approx(np.quantile(bits, 0.95))
    tail = found["lm.bpb_tail", ""]
    assert tail["value"] == pytest.approx(0.1), "the hard ones"
    assert tail["lower"] < 0.1 < tail["upper"] < 0.15
    assert found["lm.bpb_low", ""]["value"] == pytest.approx(0.9), "the easy ones repeat one sentence"
    assert found["lm.bpb_mean", "human"]["value"] == found["lm.bpb_mean", ""]["value"]
    assert ("lm.bpb_mean", "synthetic") not in found


def test_a_share_of_none_has_an_upper_limit_all_the_same() -> None:
    row = rows([document(n, hard=False) for n in range(200)])["lm.bpb_tail", ""]
    assert row["value"] == 0
    assert 0 < row["upper"] < 0.03


def test_the_tail_is_that_of_the_language() -> None:
    """What is hard for English is not for the Portuguese of the yardstick, or the other way."""
    human = yardstick.bundled().bytes_model.human
    assert human["pt"].q95 > human["en"].q95
    for more in range(len(HARD)):
        documents = [document(n, hard=False) | {"head": (EASY[:60] + HARD[:more]) * 5} for n in range(100)]
        if human["en"].q95 < rows(documents)["lm.bpb_q50", ""]["value"] < human["pt"].q95:
            break
    else:
        pytest.fail("no text is between the two, so nothing is tested")
    tails = [rows([one | {"language": name} for one in documents])["lm.bpb_tail", ""]["value"] for name in ("en", "pt")]
    assert tails == [1.0, 0.0]


def test_short_heads_say_nothing() -> None:
    documents = [document(n, hard=False) for n in range(150)]
    short = [one | {"head": one["head"][:150], "whose": SYNTHETIC, "key": one["key"] + 1} for one in documents]
    found = rows(documents + short)
    assert found["lm.bpb_mean", ""]["n"] == 150
    assert ("lm.bpb_mean", "synthetic") not in found
    assert np.isnan(rows(short)["lm.bpb_mean", ""]["value"])


def test_reading_twice_reads_once() -> None:
    whole = sample.merge([batch([document(n, hard=False) for n in range(10)])])
    once = sample.read(whole)
    assert sample.read(once) is once
    assert sample.merge([once]).equals(once)


def side(bits: np.ndarray, topic: np.ndarray, own: bool = False) -> tuple[Sampled, Reference]:
    fold = np.array([hashed(n, 2) % FOLDS for n in range(len(bits))], np.int8)
    found = Sampled(np.zeros((len(bits), 256), np.int8), fold, topic.astype(np.int16), bits)
    none = TypeCounts(np.zeros(0, np.uint32), np.zeros(0, np.int64))
    nothing = {order: Vocabulary({(2, 0, "web", "en", 0): none}, {}, 1) for order in (1, 2, 3)}
    return found, Reference("the release first", nothing, *found, own=own)


def drawn(n: int, salt: int) -> np.ndarray:
    """Bits per byte of `n` documents: about uniform between 1 and 3."""
    return np.array([1 + 2 * hashed(salt, number) / 2**32 for number in range(n)])


def against(one: np.ndarray, other: np.ndarray) -> dict:
    nothing = np.zeros(0)
    return {
        row["metric"].removeprefix("reference."): row
        for row in _hardness(side(one, nothing)[0], side(other, nothing)[1])
    }


def test_another_sample_of_the_same_kind_keeps_the_tail() -> None:
    found = against(drawn(4096, 1), drawn(4096, 2))
    for name, error in (("bpb_sd", 0.03), ("bpb_tail", 0.25), ("bpb_low", 0.25)):
        assert found[name]["lower"] <= 1 <= found[name]["upper"]
        assert found[name]["value"] == pytest.approx(1, abs=error)
        assert found[name]["needed"] <= 4096, "or a rule could never be judged"


def test_a_lost_tail_is_seen() -> None:
    """Of the reference's hardest twentieth four in five are gone, and everything moves towards the easy."""
    bits = drawn(5000, 1)
    bits = bits[(bits < 2.9) | (np.arange(5000) % 5 == 0)]
    found = against(bits, drawn(len(bits), 2))
    assert found["bpb_tail"]["upper"] < 0.5
    assert found["bpb_sd"]["upper"] < 1
    assert found["bpb_tail"]["n"] == len(bits)


def test_topics_that_went_are_seen() -> None:
    mix = np.array([hashed(3, n) % 40 for n in range(4000)])
    other = np.array([hashed(4, n) % 40 for n in range(4000)])
    bits = np.full(4000, np.nan)
    same = {row["metric"]: row for row in _topics(side(bits, mix)[0], side(bits, other)[1])}
    less = {row["metric"]: row for row in _topics(side(bits, mix % 20)[0], side(bits, other)[1])}
    for order in (1, 2):
        assert same[f"reference.topic_hill_{order}"]["value"] == pytest.approx(1, abs=0.02)
        assert less[f"reference.topic_hill_{order}"]["value"] == pytest.approx(0.5, abs=0.02)
    assert same["reference.topic_distance"]["value"] == pytest.approx(0, abs=0.003)
    assert less["reference.topic_distance"]["lower"] > 0.2


def test_what_cannot_be_compared_says_why() -> None:
    bits, topic, nothing = drawn(400, 1), np.zeros(400), np.zeros(0)
    mine = side(bits, topic)[0]
    for compared in (_hardness, _topics):
        rows = list(compared(mine, side(nothing, nothing)[1]))
        assert len(rows) == 3
        for row in rows:
            assert np.isnan(row["value"])
            assert "the release first was not read by this yardstick; make that release again" in row["note"]
    (row, *_) = _hardness(mine, side(np.full(400, np.nan), topic)[1])
    assert row["note"] == "no document of one side is long enough"


def test_a_release_tells_the_next_one_its_readings_but_not_those_of_another_yardstick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tally = Tally(sampled=[batch([document(n, hard=n % 9 == 0) for n in range(300)])])
    table = sketches(tally, ("web",))
    found = from_table(table, "first")
    chosen = sample.reached(sample.merge(tally.sampled), 2, BELOW)
    assert found.topic.tolist() == chosen["topic"].to_pylist()
    assert found.bits == pytest.approx(chosen["bits"].to_numpy(), abs=1e-4)
    other = yardstick.Yardstick(yardstick.bundled().bytes_model, yardstick.bundled().topics, 1)
    monkeypatch.setattr(yardstick, "bundled", lambda: other)
    again = from_table(table, "first")
    assert len(again.topic) == len(again.bits) == 0
    assert len(again.points) == 300
