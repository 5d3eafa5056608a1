"""`review serve`: a page of this machine on which people label a sample.

Who gets in is up to `pipeline/reading/local_server.py`. The page is sent an item's name and text and nothing else: not its
stream, not its score, not what is known of it.
"""

import base64
import functools
import hashlib
import http
import importlib.resources
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from expectations.paths import is_local
from expectations.wording import plural
from pipeline.commands.audit import read_sample
from pipeline.reading.local_server import Answer, LocalServer, PageRequest, refusal
from pipeline.reading.outputs import check_output
from pipeline.recipe import RecipeError
from transforms.origin.label_file import WORDS, LabelError, LabelFile, is_name, parse_label, read_labels


class Session:
    """A sample being labelled: its items, and who said what so far. Used by many threads."""

    def __init__(self, sample: pa.Table, labels: str, say: Callable[[str], None]) -> None:
        """Open the labels file and take up where it ends.

        Raises:
          LabelError: it is no labels file.
        """
        self.texts = sample["text"]
        self.items: list[str] = sample["item"].to_pylist()
        self.contents: list[str] = sample["content_hash"].to_pylist()
        self.number = {item: place for place, item in enumerate(self.items)}
        self.file = LabelFile(labels)
        self.say = say
        self.lock = threading.Lock()
        self.given: dict[str, dict[str, str]] = {}  # reviewer -> content -> label
        if self.file.cut:
            say(f"note: {self.file.cut}")
        known = read_labels([labels])
        words = {code: word for word, code in WORDS.items()}
        hashes = [content.hex() for content in known.content_hash.view("V16").tolist()]
        for reviewer, votes in known.votes.items():
            self.given[reviewer] = {hashes[at]: words[code] for at, code in np.argwhere(votes > 0).tolist()}

    def state(self, reviewer: str) -> dict[str, Any]:
        """Every item's name, and what this reviewer said of it."""
        with self.lock:
            given = self.given.get(reviewer, {})
            return {"items": [{"item": item, "label": given.get(content)} for item, content in self._pairs()]}

    def _pairs(self) -> list[tuple[str, str]]:
        return list(zip(self.items, self.contents, strict=True))

    def label(self, asked: dict[str, Any]) -> None:
        """Write an answer down.

        Raises:
          LabelError: it is none.
        """
        item = asked.get("item")
        if not isinstance(item, str) or item not in self.number:
            raise LabelError("there is no such item")
        row: dict[str, Any] = {name: asked.get(name) for name in ("item", "label", "reviewer", "seconds")} | {
            "content_hash": self.contents[self.number[item]],
            "note": asked.get("note", ""),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        parse_label(orjson.dumps(row))
        with self.lock:
            self.file.append(row)
            given = self.given.setdefault(row["reviewer"], {})
            if row["label"] is None:
                given.pop(row["content_hash"], None)
            else:
                given[row["content_hash"]] = row["label"]


@functools.cache
def load_page() -> Answer:
    """Our one static file, and the policy that lets nothing run but its own script."""
    body = (importlib.resources.files("pipeline.commands") / "review.html").read_bytes()
    script, style = (
        base64.b64encode(hashlib.sha256(found[1]).digest()).decode()
        for found in (re.search(rb"<%b>(.*?)</%b>" % (tag, tag), body, re.DOTALL) for tag in (b"script", b"style"))
        if found
    )
    policy = (
        f"default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Answer(body, policy=policy)


def review_site(session: Session, asked: PageRequest) -> Answer:
    """The page, the state of a reviewer, an item; or an answer, which is written down."""
    if asked.body is not None:
        found = _labelled(session, asked.body) if asked.path == "/api/label" else None
    elif asked.path == "/":
        return load_page()
    elif asked.path == "/api/state" and is_name(asked.query.get("reviewer")):
        found = _json(session.state(asked.query["reviewer"]))
    elif asked.path.startswith("/api/item/"):
        found = _item(session, asked.path.removeprefix("/api/item/"))
    else:
        found = None
    return found or refusal(http.HTTPStatus.NOT_FOUND, "there is nothing here")


def _item(session: Session, item: str) -> Answer:
    place = session.number.get(item)
    if place is None:
        return refusal(http.HTTPStatus.NOT_FOUND, "there is no such item")
    return _json({"item": item, "text": session.texts[place].as_py()})


def _labelled(session: Session, body: bytes) -> Answer:
    try:
        said = orjson.loads(body)
        if not isinstance(said, dict):
            raise LabelError("not an object")
        session.label(said)
    except (orjson.JSONDecodeError, LabelError) as error:
        return refusal(http.HTTPStatus.BAD_REQUEST, str(error))
    except OSError as error:
        session.say(f"error: a label could not be written: {error}")
        return refusal(http.HTTPStatus.INSUFFICIENT_STORAGE, "the label could not be written; see the terminal")
    return _json({"kept": True})


def _json(value: object) -> Answer:
    return Answer(orjson.dumps(value), "application/json")


def open_session(sample: str, labels: str, say: Callable[[str], None]) -> Session:
    """A sample, and the file that labels go to.

    Raises:
      RecipeError: the labels' file must not be written (`outputs.check_output`).
      AuditError, LabelError: the sample or the labels cannot be used.
    """
    if not is_local(labels):  # a store has no way to add a line
        raise RecipeError(
            f"--labels {labels}: must be a file of this machine; copy it to the store when people are done"
        )
    check_output(labels, [sample], force=True, option="--labels")  # what is there is added to
    session = Session(read_sample(sample), labels, say)
    say(f"{plural(len(session.items), 'item')} of {sample}; answers go to {labels}. Ctrl-C stops, and nothing is lost.")
    return session


def serve_sample(sample: str, labels: str, port: int, say: Callable[[str], None]) -> None:
    """Serve a sample until somebody stops it.

    Raises:
      UserError: the sample, the labels or the port cannot be used.
    """
    session = open_session(sample, labels, say)
    try:
        LocalServer(functools.partial(review_site, session), say, port).run()
    finally:
        session.file.close()
