"""`history`: releases in their order, each number as a line of small bars, and what the last step and the whole way come to."""

import dataclasses
import itertools
import json
from collections.abc import Sequence

from expectations import release_diff, wording
from expectations.metrics import declared
from expectations.noise import key_of
from expectations.release_diff import Movement
from expectations.report.diff_page import render_history
from pipeline.commands.diff import ComparedRelease, called, moved_between, read_release
from pipeline.reading.outputs import an_answer, check_output, save
from pipeline.recipe import RecipeError

BARS = "▁▂▃▄▅▆▇█"
MISSING = "·"


def history(folders: Sequence[str], form: str, html: str | None = None, force: bool = False) -> tuple[str, bool]:
    """What `history` answers, and whether the last step or the whole way is worse.

    Args:
      folders: releases, the oldest first.
      form: "text" or "json".
      html: a file to write the same to as a page.
      force: whether a file that is there, and no such page, may be replaced.

    Raises:
      RecipeError: fewer than two folders, one of them is no release, or the page cannot be written.
    """
    if len(folders) < 2:
        raise RecipeError("history: give at least two releases, the oldest first")
    if html is not None:
        check_output(html, folders, force, an_answer, "--html")
    releases = [read_release(folder) for folder in folders]
    whole = moved_between(releases[0], releases[-1])
    steps = [(a, b, release_diff.verdict(moved_between(a, b))) for a, b in itertools.pairwise(releases)]
    all_the_way = release_diff.verdict(whole)
    worse = "worse" in (all_the_way.status, steps[-1][2].status)
    shown = [one for one in whole if release_diff.decides(one) and one.sign != "other"]
    values = [series(one, releases) for one in shown]
    if html is not None:
        of, names = dict(zip(shown, values, strict=True)), [release.name for release in releases]
        save(
            render_history(names, shown, all_the_way, of, [(a.name, b.name, v) for a, b, v in steps], called(releases)),
            html,
        )
    if form == "json":
        answer = {
            "format": "lowbackground.history/1",
            "releases": [release.name for release in releases],
            "verdict": dataclasses.asdict(all_the_way),
            "steps": [{"from": a.name, "to": b.name, "verdict": dataclasses.asdict(v)} for a, b, v in steps],
            "numbers": [dataclasses.asdict(one) | {"values": of} for one, of in zip(shown, values, strict=True)],
        }
        return json.dumps(answer, indent=2, allow_nan=False) + "\n", worse
    lines = [" -> ".join(release.name for release in releases), ""]
    lines += [_line(one, of) for one, of in zip(shown, values, strict=True)]
    lines += ["", *(f"step {a.name} -> {b.name}: {v.line}" for a, b, v in steps)]
    lines.append(f"verdict, first to last: {all_the_way.line}")
    return "\n".join(map(wording.one_line, lines)) + "\n", worse


def series(one: Movement, releases: Sequence[ComparedRelease]) -> list[float | None]:
    """The number in each release."""
    return [
        next((wording.stable(row["value"]) for row in release.metrics if key_of(row) == one.key), None)
        for release in releases
    ]


def sparkline(values: Sequence[float | None]) -> str:
    """A bar for each value, from the lowest to the highest of them; a dot where there is none."""
    known = [value for value in values if value is not None]
    low, span = (min(known), max(known) - min(known)) if known else (0.0, 0.0)
    return "".join(
        MISSING if value is None else BARS[round((value - low) / span * (len(BARS) - 1)) if span else 3]
        for value in values
    )


def _line(one: Movement, values: Sequence[float | None]) -> str:
    form = declared.find(one.metric).form
    first, last = (wording.number(values[at], form) for at in (0, -1))
    said = {"unknown": "?", "same": "within noise"}.get(one.status, one.status)
    of = "" if one.slice_kind == "overall" else f', {one.slice_kind} "{one.slice}"'
    return f"  {one.sign:16.16} {said:12} {first:>10} {sparkline(values)} {last:<10} {one.metric}{of}"
