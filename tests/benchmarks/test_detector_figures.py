"""The table of the docs is what the bundled detector says of itself."""

import json

from benchmarks.detector_figures import FIGURES, PAGE, figures, page_with
from transforms.detector.detector import BUNDLED


def test_the_page_and_the_json_say_what_the_bundled_detector_reaches():
    rows = figures(BUNDLED)
    again = "run `python -m benchmarks.detector_figures`"
    assert json.loads(FIGURES.read_text(encoding="utf-8")) == rows, again
    page = PAGE.read_text(encoding="utf-8")
    assert page_with(page, rows) == page, again
