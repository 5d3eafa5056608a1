"""Text from data, file names, releases and suites, made harmless for where it is shown: one function for each place.

terminal, its one-line form `wording.one_line`   what a terminal would obey, hide or turn around is seen instead
markdown, markdown_code                          the card of a release, the summary of a verdict
HTML                                             `report.page` escapes every value
JUnit's XML, SARIF, GitHub's workflow commands   `judge.formats`
"""

import json
import re
import unicodedata

# Everything that may need a mark; plain ASCII is the fast way through.
_SUSPECT = re.compile(r"[^\n\t\x20-\x7e]")
_JOINERS = "\u200c\u200d"  # Persian, Hindi and emoji need them
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~&!$]|^[-+=:>]|^\d+[.)])")


def terminal(text: str) -> str:
    r"""`text` as lines for a terminal: control characters, overrides of direction and the like as `\u001b`.

    JSON stays the same JSON: such a character can only stand in a string there, and the escape is JSON's own.
    """
    return _SUSPECT.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and char not in _JOINERS:
        return json.dumps(char)[1:-1]
    return char


def markdown(text: str) -> str:
    """`text` on one line of Markdown, as words: no heading, link, image, HTML or table comes of it."""
    line = " ".join(terminal(text).split())
    return _MARKDOWN.sub(
        lambda match: "".join("\\" + char if char in _PUNCTUATION else char for char in match[0]), line
    )


_PUNCTUATION = "\\`*_{}[]<>#|~&!$-+=:.)"


def markdown_code(text: str) -> str:
    """`text` on one line as a span of code, whatever marks it holds."""
    line = " ".join(terminal(text).split()) or " "
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    mark, gap = "`" * (longest + 1), " " if longest or line != line.strip() else ""
    return f"{mark}{gap}{line}{gap}{mark}"
