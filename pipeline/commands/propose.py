"""`propose`: a suite from reference releases, which every one of them passes."""

import pathlib
from collections.abc import Sequence

import pyarrow as pa

from expectations import contracts
from expectations.judge.verdict import judge
from expectations.suite import proposal
from expectations.suite.proposal import Proposed
from expectations.suite.suite import load_suite, parsed
from expectations.wording import plural
from pipeline.commands.diff import ComparedRelease, read_release
from pipeline.reading.outputs import check_output, save
from pipeline.recipe import RecipeError


def propose(folders: Sequence[str], output: str, force: bool = False) -> str:
    """Write the suite to `output`; what there is to say of it comes back.

    Raises:
      RecipeError: a folder is no release or was rejected, nothing can be proposed, or the file is there or cannot be written.
    """
    check_output(output, folders, force)
    given = [read_release(folder) for folder in folders]
    for release in given:
        if release.detector is None:
            raise RecipeError(f"{release.folder}: it has no manifest; a rejection or half a release is no reference")
    # The same shards twice say nothing of how releases differ.
    firsts = {release.shards: release for release in reversed(given)}
    releases = [release for release in given if firsts[release.shards] is release]
    again = [(release, firsts[release.shards]) for release in given if firsts[release.shards] is not release]
    found, left_out = proposal.proposals(
        [release.metrics for release in releases], len({release.detector for release in releases}) == 1
    )
    name = pathlib.Path(output).stem
    found, failed = _held(found, releases, name)
    left_out |= failed
    if not found:
        why = "; ".join(f"{metric}: {reason}" for metric, reason in list(left_out.items())[:3])
        raise RecipeError(f"propose: nothing can be proposed from {plural(len(releases), 'reference')} ({why})")
    names = [release.name for release in releases]
    text = proposal.suite_yaml(found, left_out, names, name)
    still = _judged(text, releases)
    if still:
        raise RecipeError(f"propose: no suite, since {next(iter(still.values()))}")
    save(text, output)
    said = f"{output}: {plural(len(found), 'expectation')} that {_references(len(names))}; "
    said += f"{plural(len(left_out), 'metric')} left out, as it says"
    said += "".join(f"\n{a.folder} counts once: it has the shards of {b.folder}" for a, b in again)
    return said + f"\njudge a release by it: lowbackground gate RELEASE --suite {output}"


def _references(n: int) -> str:
    return "its reference passes" if n == 1 else f"{n} references pass"


def _held(
    found: list[Proposed], releases: Sequence[ComparedRelease], name: str
) -> tuple[list[Proposed], dict[str, str]]:
    """Those that every reference passes, and what the others say."""
    if not found:
        return [], {}
    failed = _judged(proposal.suite_yaml(found, {}, [], name), releases)
    kept = [one for at, one in enumerate(found) if f"expectations[{at}]" not in failed]
    reasons = {found[int(key[13:-1])].metric: f"a reference does not pass it. {said}" for key, said in failed.items()}
    return kept, reasons


def _judged(text: str, releases: Sequence[ComparedRelease]) -> dict[str, str]:
    """What does not hold, by its key, in any of the references."""
    suite = load_suite(parsed(text, "the proposed suite").value)
    failed = {}
    for release in releases:
        table = pa.Table.from_pylist(release.metrics, schema=contracts.METRICS.schema)
        for outcome in judge(table, suite).expectations:
            if outcome.status != "pass":
                failed[outcome.key] = f"{release.name}: {outcome.message}"
    return failed
