"""One of our pages: text from anywhere stays text, nothing is fetched, and the one script is our own.

All text on a page is hostile: file names, sources and languages come from data that anyone may have written. Jinja escapes
every value, `printable` makes control characters visible, and a content security policy is the last fence: it names the style
and the script by their hashes, so that nothing else runs (decision 60). Without the script all is there but sorting and search.
"""

import base64
import functools
import hashlib
import importlib.resources
import math
import re
from typing import TYPE_CHECKING, Any

import markupsafe

from expectations import wording
from expectations.metrics import declared

if TYPE_CHECKING:
    import jinja2

# Control characters, lone surrogates, and the marks that reverse or hide the text around them.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufffe\uffff]"
)
_HEADING = re.compile(r'<h2 id="([a-z-]+)">(.*?)</h2>', re.S)
_CODE = re.compile("`([^`]+)`|(--set (?:&#39;.*?&#39;|[^ ,;)]+))")
STATUS = {"pass": "holds", "fail": "does not hold", "inconclusive": "inconclusive", "error": "not measured"}
STATUS |= {"waived": "waived"}


def page(template: str, title: str, **values: Any) -> str:
    """A whole page, the same for the same values.

    Args:
      template: what is in it, a file in `templates`; its headings with an id are the table of contents. One that has
        none is to be read from top to bottom, and gets no script.
      title: of the window.
      values: what it shows; every text in them is escaped.
    """
    return _page(template, title, values, served=False)


def served_page(template: str, title: str, **values: Any) -> str:
    """As `page`, for a page that has a server, which its forms may ask."""
    return _page(template, title, values, served=True)


def _page(template: str, title: str, values: dict[str, Any], served: bool) -> str:
    body = _environment().get_template(template).render(**values)
    contents = [(at, markupsafe.Markup(words)) for at, words in _HEADING.findall(body)]  # noqa: S704
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=title,
            policy=policy(served, bool(contents)),
            style=markupsafe.Markup(_style(served)),  # noqa: S704 (our own file, as is the script)
            script=markupsafe.Markup(_ours("page.js")),  # noqa: S704
            body=markupsafe.Markup(body),  # noqa: S704 (escaped where it was made)
            contents=contents,
        )
    )


def policy(served: bool = False, script: bool = True) -> str:
    """What a page may do: have our style and, perhaps, our script; ask its server by forms if one `served` it."""
    allowed = [f"style-src {_named(_style(served))}", *([f"script-src {_named(_ours('page.js'))}"] if script else [])]
    return "; ".join(
        ["default-src 'none'", *allowed, "base-uri 'none'", f"form-action '{'self' if served else 'none'}'"]
    )


def _style(served: bool) -> str:
    return _ours("page.css") + (_ours("served.css") if served else "")


def _ours(name: str) -> str:
    return (importlib.resources.files("expectations") / "templates" / name).read_text("utf-8")


def _named(text: str) -> str:
    """How a policy allows exactly this style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@functools.cache
def _environment() -> "jinja2.Environment":
    import jinja2  # late: a run begins without it

    from expectations.report.kept_templates import KeptTemplates

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("expectations"),
        bytecode_cache=KeptTemplates(),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "clip": _clip,
        "coded": _coded,
        "plural": wording.plural,
        "amount": wording.amount,
        "count": lambda value: wording.number(value, "count"),
        "share": lambda value: wording.number(value, "share"),
        "span": lambda row: wording.span(row["lower"], row["upper"], "share"),
        "said": lambda value, metric: wording.number(value, declared.find(metric).form),
        "title_of": wording.title,
        "kind": lambda kind: wording.SLICE_KINDS.get(kind, kind),
        "reason": lambda reason: wording.REASONS.get(reason, reason),
        "status": lambda status: STATUS.get(status, status),
        "bytes": _bytes,
    }
    return environment


def printable(value: Any) -> Any:
    """What a template prints: our own markup as it is, text with unprintable characters marked, a dash for None."""
    if isinstance(value, markupsafe.Markup):
        return value
    return "–" if value is None else _UNPRINTABLE.sub("\ufffd", str(value))


def _clip(value: Any, longest: int = 300) -> str:
    text = str(value)
    return (
        text if len(text) <= longest else f"{text[:longest]}… ({wording.plural(len(text) - longest, 'more character')})"
    )


def _coded(value: Any) -> markupsafe.Markup:
    """Text with what stands in backticks, and keys to set, as code."""
    safe = str(markupsafe.escape(printable(value)))
    return markupsafe.Markup(_CODE.sub(lambda found: f"<code>{found[1] or found[2]}</code>", safe))  # noqa: S704 (escaped)


def _bytes(value: float | None) -> str:
    if value is None:
        return "–"
    power = min(4, int(math.log10(value) // 3)) if value >= 1 else 0
    return f"{wording.plain(value / 1000**power, 3)} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"
