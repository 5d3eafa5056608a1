"""A report to the maintainer of a source: what is wrong with it, where, and how to see it.

The source's text is cut, and escaped where it is shown.
"""

import dataclasses
import json

from expectations.escaping import markdown, markdown_code
from expectations.wording import plural

LONGEST = 200  # characters of a text that are shown

# What is wrong with a source itself. What a recipe chose to leave out (its ratio, its licences) is no fault of the source.
FAULTS = {
    "empty_text": "nothing is left of its text but white space and invisible characters",
    "exact_duplicate": "the same text as another document of this source, but for case and spacing",
    "near_duplicate": "nearly the text of another document of this source",
    "same_url": "the same address as another document of this source",
    "contaminated": "it holds items of an evaluation set",
}


@dataclasses.dataclass(frozen=True)
class UpstreamExample:
    """A record that shows a fault.

    Attributes:
      reason: the fault.
      path, row: where it is in the source; row -1 is the file as a whole.
      input_id: the source's own id, if it has one.
      detail: what was found.
      text: the beginning of it; None: it is left out, or not to be had any more.
    """

    reason: str
    path: str
    row: int
    input_id: str | None
    detail: str
    text: str | None


@dataclasses.dataclass(frozen=True)
class UpstreamReport:
    """What is wrong with a source.

    Attributes:
      release, source, version: of which release, which source of it, and by which version of lowbackground.
      fingerprint: of what was read of the source; None: not known.
      documents: that were read.
      unreadable: reason of quarantine -> rows.
      faults: reason of FAULTS -> documents.
      not_understood: field -> values that were not understood.
      examples: some of each.
    """

    release: str
    source: str
    version: str | None
    fingerprint: str | None
    documents: int
    unreadable: dict[str, int]
    faults: dict[str, int]
    not_understood: dict[str, int]
    examples: tuple[UpstreamExample, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.unreadable or self.faults or self.not_understood)


def as_machine_report(report: UpstreamReport) -> str:
    """The report as JSON."""
    answer = {"format": "lowbackground.upstream/1"} | dataclasses.asdict(report)
    return json.dumps(answer, indent=2, ensure_ascii=True) + "\n"


def as_issue(report: UpstreamReport) -> str:
    """The report as Markdown, to be pasted into an issue; no text of the source can be more than words in it."""
    lines = [f"# Faults found in {markdown(report.source)}", ""]
    lines.append(
        f"Read: {plural(report.documents, 'document')}; fingerprint of what was read: {report.fingerprint or 'not known'}."
    )
    if report.is_empty:
        return "\n".join([*lines, "", "Nothing wrong was found."]) + "\n"
    lines += ["", "| fault | records | meaning |", "|---|--:|---|"]
    lines += [f"| {markdown(why)} | {n:,} | cannot be read |" for why, n in report.unreadable.items()]
    lines += [f"| {markdown(why)} | {n:,} | {FAULTS[why]} |" for why, n in report.faults.items()]
    lines += [
        f"| {markdown(field)} | {n:,} | values of this field that are not understood |"
        for field, n in report.not_understood.items()
    ]
    lines += ["", "## Examples", ""]
    for one in report.examples:
        place = one.path if one.row < 0 else f"{one.path}, row {one.row}"
        named = f", id {markdown_code(one.input_id)}" if one.input_id is not None else ""
        lines.append(f"- {markdown(one.reason)}: {markdown_code(place)}{named}: {markdown(one.detail)}")
        lines += [f"    {markdown_code(one.text)}"] if one.text is not None else []
    ours = f"lowbackground {report.version}" if report.version else "lowbackground"
    again = f"`lowbackground report-upstream releases/RELEASE {report.source}`"
    lines += [
        "",
        "## How to see it",
        "",
        "Rows are counted from 0, in lines or rows of the file, and paths are below the source's folder. To find the same again:",
        "",
        f"1. name the source in a recipe of {ours} (`lowbackground init FOLDER`);",
        "2. `lowbackground run recipe.yaml`;",
        f"3. {again}, or `lowbackground explain releases/RELEASE ID` for one document.",
        "",
        "## For machines",
        "",
        "```json",
        as_machine_report(report).replace("`", "\\u0060").rstrip("\n"),
        "```",
    ]
    return "\n".join(lines) + "\n"
