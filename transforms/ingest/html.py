"""Pages of HTML -> their text, by Resiliparse: the main content, or all that is shown where none is found."""

from collections.abc import Callable

import pyarrow as pa
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding
from resiliparse.parse.html import DOMContext, HTMLTree, traverse_dom

DEEPEST = 2000  # elements within each other; to find the main content takes time by the square of it


class _TooDeepError(Exception):
    """Ends the walk."""


def page_text(page: bytes, encoding: str | None = None) -> str | None:
    """The text of a page; None if it shows none.

    Args:
      page: as it was sent.
      encoding: as its server says; without it what the page says, or what its bytes look like.
    """
    try:
        shown = page.decode()  # what is valid UTF-8 is nothing else, whatever a server says
    except UnicodeDecodeError:
        shown = bytes_to_str(page, encoding or detect_encoding(page, from_html_meta=True) or "utf-8", errors="replace")
    tree = HTMLTree.parse(shown)
    main = "" if _is_deep(tree, shown) else extract_plain_text(tree, main_content=True).strip()
    return main or extract_plain_text(tree).strip() or None


def _is_deep(tree: HTMLTree, shown: str) -> bool:
    """Whether a page's elements are more than `DEEPEST` deep, as no page is that people wrote: all of it is then its text."""
    if shown.count("<") <= DEEPEST or tree.body is None:
        return False

    def look(node: DOMContext) -> None:
        if node.depth > DEEPEST:
            raise _TooDeepError

    try:
        traverse_dom(tree.body, look, elements_only=True)
    except _TooDeepError:
        return True
    return False


def pages_as_text(pages: pa.LargeBinaryArray) -> tuple[pa.LargeStringArray, Callable[[int], tuple[str, str, bytes]]]:
    """Pages as text, and what to say of one that has none. large_string[n]."""

    def explain(i: int) -> tuple[str, str, bytes]:
        return "missing_text", "the page shows no text", pages[i].as_py()

    return pa.array([page_text(page) for page in pages.to_pylist()], pa.large_string()), explain
