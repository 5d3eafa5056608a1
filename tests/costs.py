"""What tests cost: `poe costs` ends with the CPU seconds of each file and of the dearest tests, their processes included.

A test that takes more than `SLOW` seconds is marked `slow`; where a mark and the figures differ, the test is named. The first
test of a process that calls a command also pays for the Python that has it all imported (`warm.py`).
"""

import collections
import contextlib
from collections.abc import Iterable, Iterator

import psutil
import pytest

SLOW = 3.0
SHOWN = 40
_BEGUN = pytest.StashKey[float]()


def spent() -> float:
    """CPU seconds of this process and of all that it started: what has ended and was waited for, and what is still there."""
    me, total = psutil.Process(), 0.0
    for process in (me, *me.children(recursive=True)):
        with contextlib.suppress(psutil.Error):  # it has just ended
            total += sum(process.cpu_times()[:4])  # its own, and those of children that ended
    return total


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_BEGUN] = spent()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome = yield
    if call.when == "teardown":
        outcome.get_result().user_properties.append(("cpu", spent() - item.stash[_BEGUN]))  # type: ignore[attr-defined]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    costs: dict[str, float] = {}
    slow: set[str] = set()
    for report in (one for reports in terminalreporter.stats.values() for one in reports):
        found = dict(getattr(report, "user_properties", ()))
        if "cpu" in found:
            costs[report.nodeid] = found["cpu"]
            if "slow" in report.keywords:
                slow.add(report.nodeid)
    files: collections.Counter[str] = collections.Counter()
    for node, cost in costs.items():
        files[node.partition("::")[0]] += cost  # type: ignore[assignment]
    terminalreporter.section(
        f"{sum(costs.values()):,.0f} CPU seconds in {len(costs):,} tests, {sum(costs[node] for node in slow):,.0f} of them in "
        f"{len(slow):,} that are marked slow"
    )

    def show(title: str, rows: Iterable[tuple[str, float]]) -> None:
        terminalreporter.write_line(f"\n{title}:")
        for name, cost in sorted(rows, key=lambda row: -row[1])[:SHOWN]:
            terminalreporter.write_line(f"{cost:9.2f} {name}")

    show("by file", files.items())
    show("by test", costs.items())
    show(
        f"not marked slow, and more than {SLOW:g}",
        (one for one in costs.items() if one[0] not in slow and one[1] > SLOW),
    )
    show(
        f"marked slow, and less than {SLOW / 3:g}",
        (one for one in costs.items() if one[0] in slow and one[1] < SLOW / 3),
    )
