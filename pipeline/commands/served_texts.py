"""The text of a document as `serve` shows it: cut, beside that of its survivor, and where it is from."""

import functools
import os
import re
from typing import Any

from pipeline.advice.examples import two_texts
from pipeline.advice.side_by_side import visible
from pipeline.commands.served_addresses import link, spelled
from pipeline.reading.document_fate import beside_title
from pipeline.reading.document_text import NoTextError, input_text, places, released_recipe, survivor_text
from pipeline.reading.release_tables import ReleaseTables
from pipeline.recipe import Recipe, RecipeError
from transforms.ingest.sources import InputError

SHOWN, WHOLE = 4_000, 1_000_000  # characters of a text
PAIR, WHOLE_PAIR = 300, 5_000  # words of each of two texts
AT_ONCE = 64_000_000  # bytes of a file of the input that is read without being asked for


def shown_texts(
    tables: ReleaseTables, number: int, row: dict[str, Any], survivor: dict[str, Any] | None, whole: bool, read: bool
) -> dict[str, Any]:
    """The text of a document, of a duplicate beside that of the one which stands for it, cut; and ways to see more."""
    shown: dict[str, Any] = {"pair": None, "text": None, "other_from": None, "ways": [], "cut": 0, "n_chars": 0}
    shown["beside"] = (lambda title: f"{title[0].upper()}{title[1:]}")(beside_title(row, survivor))
    again = {"release": number, "at": spelled(row["place"])}
    if row["reason"] == "withdrawn":
        return shown | {"text_from": "It was withdrawn: its text is not shown."}
    try:
        text, shown["text_from"] = _text(tables, row, read)
    except NoTextError as error:
        return shown | {"text_from": f"It cannot be shown: {error}."}
    if text is None:
        return shown | {"ways": [("Read it from the input", link("/document", **again, read=1))]}
    if row["stage"] == "dedup" and row["survivor_id"] != row["id"]:
        try:
            recipe = _recipe(tables.folder)
            rows = functools.partial(tables.rows, "ledger")
            other, where = survivor_text(row["survivor_id"], tables.folder, recipe, rows)
            left, right = two_texts(text, other, WHOLE_PAIR if whole else PAIR)
            shown |= {"pair": (left, right), "other_from": f"From {where}"}
            is_cut = left[-1:] == [("…", False)] or right[-1:] == [("…", False)]
            ways = [("Show more of both", link("/document", **again, read=1, whole=1))] if is_cut and not whole else []
            return shown | {"ways": ways}
        except NoTextError as error:
            shown["other_from"] = f"The text that was chosen instead cannot be shown: {error}."
    most = WHOLE if whole else SHOWN
    if len(text) > most and not whole:
        shown["ways"] = [("Show the whole text", link("/document", **again, read=1, whole=1))]
    return shown | {"text": _spell(text[:most]), "n_chars": len(text), "cut": most if len(text) > most else 0}


def _text(tables: ReleaseTables, row: dict[str, Any], read: bool) -> tuple[str | None, str]:
    """A document's text and where it is from; None: it takes a long reading, which nobody asked for.

    Raises:
      NoTextError: it is nowhere any more.
    """
    if row["kept"] and (text := tables.text(row["id"])) is not None:
        return text, "From the release"
    recipe = _recipe(tables.folder)
    ways = places(row["path"], tables.folder, recipe)
    if not read and not any(os.path.isfile(path) and os.path.getsize(path) <= AT_ONCE for path in ways):
        return None, "It is in no shard. The file of the input is large or not here, and is not read unasked."
    try:
        return input_text(row, tables.folder, recipe), "From the input"
    except InputError as error:
        raise NoTextError(str(error)) from None


def _recipe(folder: str) -> Recipe:
    try:
        return released_recipe(folder)
    except RecipeError as error:
        raise NoTextError(str(error)) from None


def _spell(text: str) -> str:
    """A text with its lines as they are, and everything else escaped that a screen would obey, reorder or not show."""
    return "".join(part if part in ("\n", "\t") else visible(part) for part in re.split("([\n\t])", text))
