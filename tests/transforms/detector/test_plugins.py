"""Detectors of others, installed as packages are: by an entry point."""

import json
import sys

import numpy as np
import pyarrow as pa
import pytest

from transforms.detector.detector import DetectorError, load_detector
from transforms.detector.plugins import load_plugin
from transforms.kernels.text.text import canonicalise, count_words

PLUGIN = '''
import numpy as np

class Vowels:
    """Log-odds are how many more vowels than z's there are; a text with an x cannot be judged."""
    version = "1"

    def score(self, texts):
        lines = texts.to_pylist()
        return np.array([float("nan") if "x" in t else sum(c in "aeiou" for c in t) / 9 - t.count("z") for t in lines])

class Broken(Vowels):
    def score(self, texts):
        raise RuntimeError("no\\nlicence")

class Short(Vowels):
    def score(self, texts):
        return np.zeros(len(texts) + 1)

class Infinite(Vowels):
    def score(self, texts):
        return np.full(len(texts), np.inf)

class Nameless:
    def score(self, texts):
        return np.zeros(len(texts))

def starts_not():
    raise OSError("weights are missing")
'''
NAMES = {"vowels": "Vowels", "broken": "Broken", "short": "Short", "infinite": "Infinite", "nameless": "Nameless",
         "dead": "starts_not", "gone": "Missing"}  # fmt: skip


@pytest.fixture(autouse=True)
def installed(tmp_path, monkeypatch):
    """A package in a folder on the path, with its metadata."""
    (tmp_path / "vowel_plugin.py").write_text(PLUGIN)
    about = tmp_path / "vowel_plugin-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: vowel-plugin\nVersion: 1\n")
    lines = "\n".join(f"{name} = vowel_plugin:{what}" for name, what in NAMES.items())
    (about / "entry_points.txt").write_text(f"[lowbackground.detectors]\n{lines}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("vowel_plugin", None)
    return tmp_path


def scored(detector, texts):
    array = pa.array(texts, pa.large_string())
    _, tokens = canonicalise(array)
    return detector.score(array, tokens, count_words(tokens))


def test_a_plug_in_sees_texts_as_they_were_read_and_may_decline():
    detector = load_detector("plugin:vowels")
    assert detector.name == "plugin:vowels"
    assert detector.calibration is None
    long = "AEIOU aeiou zebra " * 20
    scores = scored(detector, [long, long + "x", "aei"])
    assert scores.log_odds[0] == pytest.approx(sum(c in "aeiou" for c in long) / 9 - 20)
    assert np.isnan(scores.log_odds[1:]).all()
    assert scores.band.tolist() == [0, -1, -1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "version 1.*failed on 1 text: RuntimeError: no licence"),
        ("short", r"answered \(2,\) for 1 text"),
        ("infinite", "a score is infinite"),
        ("nameless", "needs `version`"),
        ("dead", "does not start: OSError: weights are missing"),
        ("gone", "does not start: AttributeError"),
    ],
)
def test_what_is_wrong_with_a_plug_in_is_said_in_one_line(name, message):
    with pytest.raises(DetectorError, match=message) as raised:
        scored(load_detector(f"plugin:{name}"), ["word " * 60])
    assert "\n" not in str(raised.value)


def test_a_folder_names_its_plug_in_and_holds_it_to_its_version(installed):
    _, described = load_plugin("vowels")
    folder = installed / "detector"
    folder.mkdir()
    (folder / "plugin.json").write_bytes(described)
    with pytest.raises(DetectorError, match=r"calibration\.json: not found"):
        load_detector(str(folder))
    (folder / "plugin.json").write_text(json.dumps(json.loads(described) | {"version": "2"}))
    with pytest.raises(DetectorError, match=r"made with version 2 .* but 1 is installed"):
        load_detector(str(folder))
    (folder / "plugin.json").write_text("[]")
    with pytest.raises(DetectorError, match="does not name a plug-in"):
        load_detector(str(folder))
