"""Whatever order parts are merged in, and however often: the same bytes of METRICS and SKETCHES, to the last digit."""

import datetime
import hashlib
import pathlib
import pickle
import pydoc_data.topics

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations import contracts
from tests.transforms.measures.test_tally import filled
from transforms.detector.detector import load_detector
from transforms.engine import counted
from transforms.measures import duplicates_left as residual
from transforms.measures.measure import TallyFn
from transforms.measures.metrics import metrics_table
from transforms.measures.reference import sketches
from transforms.measures.tally import NEEDED, Tally, tally_split
from transforms.origin.witnesses import EvidenceConfig, load_witnesses
from transforms.survey import text_to_signals

PARTS, DOCUMENTS = 7, 24
SOURCES = ("books", "code", "forum", "news", "web")
LANGUAGES = ("de", "en", "fi", "fr", "it", "pl", "pt")
GENERATORS = ("a", "b", "c", "d", "e")


def part(number: int, texts: list[str]) -> Tally:
    """One split's tally: real texts, and every slice that metrics are said by, in sizes that divide to no round number."""
    n, config = len(texts), EvidenceConfig()
    settled = text_to_signals.SurveyConfig(None, None, config, ngram=5, num_perm=64)
    i = number * DOCUMENTS + np.arange(n)
    documents = filled(
        contracts.DOCUMENT,
        n,
        text=texts,
        doc_id=[hashlib.md5(bytes([k])).digest() for k in i.tolist()],
        language=[LANGUAGES[k * k % 7] for k in i],
        generator=[GENERATORS[k % 5] for k in i],
        created=[datetime.datetime(2015 + int(k) % 9, 1, 1, tzinfo=datetime.UTC) for k in i],
    )
    loaded = text_to_signals.load_detectors(settled), load_witnesses(config)
    signals = pa.table(text_to_signals.measure_documents(documents, settled, *loaded, text_to_signals.HeadSample()))
    kept = i % 6 != 0
    decisions = filled(
        contracts.DECISION,
        n,
        doc_id=documents["doc_id"],
        ordinal=np.arange(n),
        kept=kept,
        copies=np.where(kept, 1 + (i % 11 == 0), 0),
        reason=np.where(kept, 0, contracts.REASONS.index("near_duplicate")),
        source=i % len(SOURCES),
        origin=np.where(i % 3 == 0, contracts.SYNTHETIC, contracts.HUMAN),
        origin_basis=np.where(i % 4 == 0, contracts.BASIS_DETECTOR, contracts.BASIS_DECLARED),
        detector_band=np.maximum(signals["detector_band"].to_numpy(), 0),
        n_tokens=signals["n_tokens"].to_numpy(),
        cluster_size=1 + i % 3,
        similarity=pa.array(np.where(kept, 0, 0.8), pa.float32(), mask=kept),
    )
    tally = tally_split(decisions, signals.select(NEEDED))
    tally.kin = residual.count_split(decisions, signals.select(residual.NEEDED))
    return tally


class Parts(list[bytes]):
    """Pickled tallies, so that no test changes another's."""

    def __repr__(self) -> str:
        return f"{len(self)} parts"


@pytest.fixture(scope="module")
def parts() -> Parts:
    topics = [text for _, text in sorted(pydoc_data.topics.topics.items())]
    texts = [text[at : at + 900] for text in topics for at in range(0, len(text) - 900, 900)]
    assert len(texts) >= PARTS * DOCUMENTS
    return Parts(pickle.dumps(part(k, texts[k * DOCUMENTS : (k + 1) * DOCUMENTS])) for k in range(PARTS))


def digest(total: Tally) -> str:
    """Of METRICS and SKETCHES as they would be written."""
    metrics = metrics_table(total, SOURCES, load_detector(None))
    written = [batch.serialize().to_pybytes() for batch in (metrics, *sketches(total, SOURCES).to_batches())]
    return hashlib.sha256(b"".join(written)).hexdigest()


@pytest.fixture(scope="module")
def one_way(parts: Parts) -> str:
    """One part after the other into one accumulator, as one worker does it."""
    fn = TallyFn("goes nowhere")
    total = fn.create_accumulator()
    for data in parts:
        total = fn.add_input(total, pickle.loads(data))
    return digest(fn.extract_output(total))


@pytest.mark.slow
@settings(max_examples=25)
@given(data=st.data())
def test_any_tree_of_merging_gives_the_same_bytes(
    parts: Parts, one_way: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    fn = TallyFn(str(tmp_path_factory.mktemp("tallies")))
    coder = fn.get_accumulator_coder()
    order = data.draw(st.permutations(range(PARTS)))
    totals = [fn.create_accumulator()]
    for number in order:
        # More than one of them now and then: a worker that had nothing sends the accumulator of nothing.
        totals += [fn.create_accumulator() for _ in range(data.draw(st.integers(0, 2), label="other workers"))]
        totals[-1] = fn.add_input(totals[-1], pickle.loads(parts[number]))
    while len(totals) > 1:
        first = data.draw(st.integers(0, len(totals) - 2), label="merge with the next")
        pair = [coder.decode(coder.encode(fn.compact(total))) for total in totals[first : first + 2]]
        totals[first : first + 2] = [fn.merge_accumulators(iter(pair))]
    assert digest(fn.extract_output(totals[0])) == one_way


def test_merged_in_groups_first_it_gives_the_same_bytes(parts: Parts, one_way: str, tmp_path: pathlib.Path) -> None:
    """As the engine does it where there are very many splits, with its own steps in between."""
    found = tmp_path / "digest"
    with beam.Pipeline(runner="FnApiRunner") as root:
        tallies = root | beam.Create(list(map(pickle.loads, parts)), reshuffle=False).with_output_types(Tally)
        merged = counted.CombineGlobally(
            "tallies", TallyFn(f"{tmp_path}/attempt"), without_defaults=True, most=counted.FAN_OUT_FROM
        )
        tallies | merged | beam.Map(lambda total: found.write_text(digest(total)))
    assert found.read_text() == one_way


def test_what_is_compared_has_the_numbers_that_once_differed(one_way: str, parts: Parts) -> None:
    fn = TallyFn("goes nowhere")
    total = fn.extract_output(fn.merge_accumulators(map(pickle.loads, parts)))
    table = metrics_table(total, SOURCES, load_detector(None))
    found = dict(zip(table["metric"].to_pylist(), table["value"].to_pylist(), strict=True))
    for name in ("source", "language", "generator", "year"):
        assert found[f"{name}.effective_number"] > 2
