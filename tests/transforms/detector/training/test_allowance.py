"""What is learned of bounds where a source and a generator are left out."""

import numpy as np

from transforms.detector.calibration import Band, Calibration, Family
from transforms.detector.training.allowance import DOCUMENTS, SHARES, Judged, expected
from transforms.kernels.statistics import share_bound


def test_a_hard_generator_counts_however_few_its_corpora_are():
    """Counted by corpora, one in forty is nothing, and bounds missed the hardest generator that is left out."""
    easy, hard = (np.array(SHARES) * part for part in (1.0, 0.7))
    limits = np.stack([easy] * 39 + [hard])
    judged = Judged(("easy",) * 39 + ("hard",), np.stack([limits, limits]), 0.0, "")
    np.testing.assert_allclose(judged.allowance().limits, hard)
    np.testing.assert_allclose(judged.allowance(unseen=["hard"]).limits, easy)


def test_one_strange_corpus_of_a_generator_counts_at_the_largest_share_only():
    limits = np.tile(np.array(SHARES), (8, 1))
    limits[3] = limits[3] * 0.9
    allowance = Judged(("one",) * 8, np.stack([limits, limits]), 0.0, "").allowance()
    np.testing.assert_allclose(allowance.limits, [*SHARES[:-1], 0.9 * SHARES[-1]])


def test_a_corpus_has_machine_text_of_other_lengths_than_human_text():
    def family(name: str, n: int) -> Family:
        scores = np.zeros(share_bound.BINS, np.int64)
        scores[100] = n
        return Family(name, 0, n, scores)

    bands = (
        Band(0, 50, 0, (family("s/kind", 300),), (family("machine", 100),)),
        Band(0, 100, 0, (family("s/kind", 100),), (family("machine", 300),)),
        Band(0, 200, 0, (), (family("machine", 19),)),  # too few to stand for its text
    )
    calibration = Calibration("", 0.01, ("one",), (), (), bands, (), (), "")
    corpus = expected(calibration, 0, "s/kind", "machine", 0.4).sum(axis=1) / DOCUMENTS
    np.testing.assert_allclose(corpus, [0.6 * 0.75 + 0.4 * 0.25, 0.6 * 0.25 + 0.4 * 0.75, 0.0])
    assert not expected(calibration, 0, "s/kind", "nobody", 0.4).any()
