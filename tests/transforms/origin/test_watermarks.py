"""Watermark plug-ins: found by entry point, asked in batches, checked; with a real watermark."""

import pathlib
import sys
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from transforms.origin import watermarks
from transforms.origin.watermarks import WatermarkConfig, WatermarkError, load_watermark
from transforms.origin.witnesses import EvidenceConfig, load_witnesses

PLUGINS = pathlib.Path(__file__).parents[2] / "plugins"
WORDS = [f"word{number}" for number in range(500)]


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package beside its metadata on the path is installed, for all that entry points know."""
    monkeypatch.syspath_prepend(str(PLUGINS))
    yield
    sys.modules.pop("greenlist_watermark", None)


def config(name: str = "greenlist", max_fpr: float = 1e-6, **options: object) -> WatermarkConfig:
    return WatermarkConfig(name=name, max_fpr=max_fpr, options=options or {"key": "k1"})


def look(texts: list[str], *configs: WatermarkConfig) -> watermarks.WatermarkFound:
    return watermarks.look(pa.array(texts, pa.large_string()), [load_watermark(one) for one in configs])


def marked(key: str, n: int = 200, seed: str = "") -> str:
    import greenlist_watermark

    return greenlist_watermark.write(key, WORDS, n, seed=seed)


def test_a_marked_text_is_a_hit_and_others_are_no_evidence() -> None:
    load_watermark(config())
    found = look([marked("k1"), marked("other key"), "too short", marked("k1", 10)], config())
    assert found.hit.tolist() == [True, False, False, False]
    assert found.name.to_pylist() == ["greenlist/key-2", None, None, None]
    assert found.p_value[0] < 1e-6 < found.p_value[1]
    assert np.isnan(found.p_value[2:]).all()


def test_unmarked_text_is_a_hit_no_oftener_than_accepted() -> None:
    """At a rate of 1 %, of 2,000 texts 20 are expected, and 40 would be 4.5 standard deviations."""
    load_watermark(config())
    texts = [marked(f"another {number}", 60, str(number)) for number in range(2000)]
    hits = int(look(texts, config(max_fpr=0.01)).hit.sum())
    assert hits <= 40
    assert np.median(look(texts[:200], config()).p_value) > 0.3


def test_of_several_detectors_the_smallest_p_value_names_the_hit() -> None:
    load_watermark(config())
    two = config(key="k2")
    found = look([marked("k1"), marked("k2"), marked("k3")], config(), two)
    assert found.hit.tolist() == [True, True, False]
    each = [look([marked(key)], config(key=key)).p_value[0] for key in ("k1", "k2")]
    assert found.p_value[:2].tolist() == each


def test_without_a_detector_and_without_a_text() -> None:
    found = watermarks.look(pa.array(["a"], pa.large_string()), ())
    assert (found.hit.tolist(), found.name.to_pylist()) == ([False], [None])
    assert len(look([], config()).hit) == 0


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("raise", r"'broken' \(version 0\): failed on 2 texts: ValueError: cannot tokenise; ask its makers"),
        ("none", "failed on 2 texts: TypeError"),
        ("text", "failed on 2 texts: ValueError"),
        ("short", "must give one value each"),
        ("large", "1.5 is no p-value"),
        ("negative", "is no p-value"),
        ("key", "a key id is no string"),
    ],
)
def test_a_plug_in_that_answers_nonsense_is_named(how: str, said: str) -> None:
    with pytest.raises(WatermarkError, match=said) as error:
        look(["one", "two"], config("broken", how=how))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (config("gone"), r"'gone': no installed package declares it .*\(there is: .*greenlist"),
        (config("broken", how="start"), "'broken': does not start: RuntimeError: no key"),
        (config("greenlist", other=1), "does not start: TypeError"),
        (config("broken", how="version"), "is no detector: it needs `version`"),
    ],
)
def test_a_plug_in_that_cannot_be_used_is_refused_before_the_run(wrong: WatermarkConfig, said: str) -> None:
    with pytest.raises(WatermarkError, match=said):
        load_witnesses(EvidenceConfig(watermarks=(wrong,)))


def test_signals_depend_on_plug_in_version_options_and_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    def of(*configs: WatermarkConfig) -> str:
        return load_witnesses(EvidenceConfig(watermarks=configs)).fingerprint()

    prints = [of(), of(config()), of(config(key="k2")), of(config(max_fpr=1e-3))]
    import greenlist_watermark

    monkeypatch.setattr(greenlist_watermark.Detector, "version", "1.3")
    assert len({*prints, of(config())}) == 5
    assert of() == prints[0]
