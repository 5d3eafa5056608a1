"""What the bundled detector reaches, beside what was measured of it before: the table in docs/detector.md.

    python -m benchmarks.detector_figures [--detector FOLDER]

Every number comes from the detector's own calibration and card, which were made from scores of sources that the scoring model
had not seen (`python -m benchmarks.detector_study DATA --bundle OUT`). It writes docs/detector_figures.json and the table. What
was before was measured by others on sets that are not here, so the two columns are of different text.
"""

import argparse
import json
import pathlib
import re
from typing import Any

import numpy as np

from transforms.detector.calibration import Calibration
from transforms.detector.detector import BUNDLED, load_detector
from transforms.detector.languages import FILE
from transforms.detector.training.generators import released
from transforms.detector.training.selftest import FAMILIES
from transforms.kernels.statistics import share_bound

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
FIGURES, PAGE = DOCS / "detector_figures.json", DOCS / "detector.md"
BEGIN, END = "<!-- figures: python -m benchmarks.detector_figures -->\n", "<!-- /figures -->\n"
NEW = "claude-2026-11"
LEFT_OUT, WITH_OWN, MIXED, MIXED_OWN = (f"{family}, language en" for family in FAMILIES.values())
Figure = dict[str, str]


def figures(folder: str) -> list[Figure]:
    """The rows, in words: what, before, after."""
    calibration = load_detector(folder).calibration
    assert calibration, "it has a calibration"
    card = pathlib.Path(folder, "README.md").read_text(encoding="utf-8")
    human = sum(b.human.flagged for b in _bands(calibration, "en")), sum(b.human.n for b in _bands(calibration, "en"))
    (toefl,) = (s for s in calibration.strata if s.elsewhere and s.name.startswith("nonnative"))
    planted = _planted(card)
    size = sum(path.stat().st_size for path in pathlib.Path(folder).iterdir() if path.suffix == ".bin")

    def bounds(family: str, with_own: str, at: float) -> str:
        return " / ".join(f"{planted[known][at]['bound']:.1%}" for known in (family, with_own))

    def row(what: str, before: str, after: str) -> Figure:
        return {"figure": what, "before": before, "after": after}

    return [
        row("English, AUROC by log-odds / by `p_synthetic`", ".914 / .902", _twice(_auroc(calibration, "en"))),
        row("English, found at a true 1 % of false alarms", ".551 / .444", f"{_found_at(calibration, 'en', 0.01):.3f}"),
        row("Chinese, AUROC by log-odds / by `p_synthetic`", ".881 / .768", _twice(_auroc(calibration, "zh"))),
        row("English human text that is called synthetic (bar: .3 to 1.2 %)", "0.25 %", _part(*human, digits=2)),
        row("English machine text that is called synthetic", "32 %", _part(*_machines(calibration, "en", lambda _: True))),
        row("of it, by models of 2022 to 2024 (bar: 50 %)", "32 %",
            _part(*_machines(calibration, "en", lambda name: "2022-11" <= released(name) < "2025"))),
        row("of it, by a model of November 2026 (bar: 50 %)", "0 of 173", _part(*_machines(calibration, "en", NEW.__eq__))),
        row("Chinese machine text that is called synthetic", "16 %", _part(*_machines(calibration, "zh", lambda _: True))),
        row("TOEFL essays that are called synthetic (bar: 2 %)", "1 of 89", f"{toefl.flagged} of {toefl.n}"),
        row("machine text that is called *human*", "11.6 %; of 2026 81 %", "none: it says synthetic or nothing"),
        row("generators are known until", "not recorded", max(scale.until for scale in calibration.scales)),
        row("**one kind of text and one generator, both unseen**", "", "writers unknown / own human text"),
        row("bound at a true 0 % (bars: 6 / 3 %)", "1.0 to 15.5 %", bounds(LEFT_OUT, WITH_OWN, 0.0)),
        row("bound at a true 10 % (bar: 20 %)", "42 to 87 %", bounds(LEFT_OUT, WITH_OWN, 0.1)),
        row("bound at a true 25 % (bar: 38 %)", "about 100 %", bounds(LEFT_OUT, WITH_OWN, 0.25)),
        row("corpora whose bound holds, of those with machine text (bar: 95 %)", "26 % (of intervals)",
            f"{_covered(planted[LEFT_OUT])} / {_covered(planted[WITH_OWN])}"),
        row("error of the estimate up to 25 % (bar: 2 points)", "up to 9 points",
            f"{_error(planted[LEFT_OUT]):.1f} / {_error(planted[WITH_OWN]):.1f} points"),
        row("**all kinds of a source and three generators, all unseen**", "", "writers unknown / own human text"),
        row("bound at a true 0 % (bars: 6 / 3 %)", "not measured", bounds(MIXED, MIXED_OWN, 0.0)),
        row("bound at a true 10 % (bar: 20 %)", "not measured", bounds(MIXED, MIXED_OWN, 0.1)),
        row("bound at a true 25 % (bar: 38 %)", "not measured", bounds(MIXED, MIXED_OWN, 0.25)),
        row("corpora whose bound holds, of those with machine text (bar: 95 %)", "not measured",
            f"{_covered(planted[MIXED])} / {_covered(planted[MIXED_OWN])}"),
        row("error of the estimate up to 25 % (bar: 2 points)", "not measured",
            f"{_error(planted[MIXED]):.1f} / {_error(planted[MIXED_OWN]):.1f} points"),
        row("language", "as the input says", "as the input says, else found (lid.176, 176 languages)"),
        row("files of the model / of lid.176 (bar: 20 MB)", "1.5 MB / none",
            f"{size / 1e6:.1f} MB / {pathlib.Path(FILE).stat().st_size / 1e6:.1f} MB"),
    ]  # fmt: skip


def _bands(calibration: Calibration, language: str) -> list[Any]:
    number = [known.name for known in calibration.languages].index(language)
    return [band for band in calibration.bands if band.language == number]


def _machines(calibration: Calibration, language: str, chosen: Any) -> tuple[int, int]:
    families = [f for band in _bands(calibration, language) for f in band.families if chosen(f.name)]
    return sum(f.flagged for f in families), sum(f.n for f in families)


def _histograms(calibration: Calibration, language: str) -> tuple[Any, Any]:
    """Log-odds of human and of machine documents, in bins of all lengths."""
    bands = _bands(calibration, language)
    human = np.sum([band.human_histogram for band in bands], axis=0)
    machine = np.sum([f.histogram for band in bands for f in band.families] or [np.zeros(share_bound.BINS)], axis=0)
    return human / human.sum(), machine / max(1, machine.sum())


def _auroc(calibration: Calibration, language: str) -> float:
    """From the bins: documents of one bin are taken for equal."""
    human, machine = _histograms(calibration, language)
    return float(machine @ (np.cumsum(human) - human / 2))


def _found_at(calibration: Calibration, language: str, rate: float) -> float:
    """Machine documents above the point that so many human ones reach, between bins in a straight line."""
    human, machine = _histograms(calibration, language)
    above = np.r_[0, np.cumsum(human[::-1])], np.r_[0, np.cumsum(machine[::-1])]
    return float(np.interp(rate, *above))


def _planted(card: str) -> dict[str, dict[float, dict[str, float]]]:
    """The card's table of planted shares: by family of corpora and share."""
    found: dict[str, dict[float, dict[str, float]]] = {}
    for line in card.split("## Planted shares")[1].split("```")[1].splitlines():
        if head := re.fullmatch(r"(.*): \d+ corpora a line", line):
            family = found.setdefault(head[1], {})
        elif numbers := re.findall(r"([-+.\d]+)%", line):
            planted, bias, error, bound, covered = (float(number) / 100 for number in numbers)
            family[round(planted, 4)] = {"bias": bias, "error": error, "bound": bound, "covered": covered}
    return found


def _covered(rows: dict[float, dict[str, float]]) -> str:
    """Of the corpora that hold machine text."""
    covered = [row["covered"] for planted, row in rows.items() if planted]
    return f"{np.mean(covered):.0%} (worst {min(covered):.0%})"


def _error(rows: dict[float, dict[str, float]]) -> float:
    return 100 * max(row["error"] for planted, row in rows.items() if planted <= 0.25)


def _twice(auroc: float) -> str:
    """The same for both: p_synthetic is the sigmoid of the log-odds."""
    return f"{auroc:.3f} / {auroc:.3f}"


def _part(flagged: int, n: int, digits: int = 1) -> str:
    return f"{100 * flagged / n:.{digits}f} % ({flagged:,} of {n:,})"


def table(rows: list[Figure]) -> str:
    """The rows as Markdown."""
    lines = ["| | before | now |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {row['figure']} | {row['before']} | {row['after']} |" for row in rows)]) + "\n"


def page_with(page: str, rows: list[Figure]) -> str:
    """The page with its table made anew."""
    head, rest = page.split(BEGIN)
    return head + BEGIN + table(rows) + END + rest.split(END)[1]


def main() -> None:
    """Write the figures and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", default=BUNDLED, help="folder; default: the bundled one")
    rows = figures(parser.parse_args().detector)
    FIGURES.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), rows), encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
