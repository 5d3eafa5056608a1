"""A form with fields, filled or not, as Markdown, HTML and JSON. A field without an answer says that it is not known."""

import dataclasses
import itertools
import json
from collections.abc import Sequence

from expectations.escaping import markdown
from expectations.report.page import page
from expectations.wording import plural

UNKNOWN = "not known"
MOST_ROWS = 200  # of a table that a person is shown; JSON has all

Cell = str | int | None


@dataclasses.dataclass(frozen=True)
class FormField:
    """One question of a form.

    Attributes:
      section: of the form.
      number: as the form counts.
      question: in short.
      answer: None where the releases do not say it. Nothing is ever guessed here.
      header, rows: a table beside the answer; None in a cell is not known.
      note: what an answer rests on, or whom to ask for one.
    """

    section: str
    number: str
    question: str
    answer: str | None = None
    header: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    note: str = ""


@dataclasses.dataclass(frozen=True)
class LawForm:
    """A form that a law asks for.

    Attributes:
      name: of the form, in file names and `--form`.
      title: of the page.
      law: which law and which version of the form, one sentence.
      releases: name and SHA-256 of the manifest of each release.
      fields: all questions, in the form's order.
    """

    name: str
    title: str
    law: str
    releases: tuple[tuple[str, str], ...]
    fields: tuple[FormField, ...]

    @property
    def about(self) -> str:
        """What it was filled from."""
        named = ", ".join(f"{name} (manifest sha256 {digest})" for name, digest in self.releases)
        left = sum(field.answer is None for field in self.fields)
        return (
            f"Filled by lowbackground from {named}. {left} of {plural(len(self.fields), 'question')} are not known from there; "
            "who publishes this answers them. It is a draft, and no legal advice."
        )


def _sections(form: LawForm) -> list[tuple[str, list[FormField]]]:
    return [(name, list(fields)) for name, fields in itertools.groupby(form.fields, lambda field: field.section)]


def said(cell: Cell) -> str:
    """A cell of a table, for a person."""
    return UNKNOWN if cell is None else f"{cell:,}" if isinstance(cell, int) else cell


def as_markdown(form: LawForm) -> str:
    """The form as Markdown; no text of a release can be more than words in it."""
    lines = [f"# {markdown(form.title)}", "", markdown(form.law), "", markdown(form.about)]
    for section, fields in _sections(form):
        lines += ["", f"## {markdown(section)}"]
        for field in fields:
            lines += ["", f"### {field.number} {markdown(field.question)}", ""]
            lines.append(f"**{UNKNOWN}**" if field.answer is None else markdown(field.answer))
            lines += ["", markdown(field.note)] if field.note else []
            if field.rows:
                lines += ["", *_table(field.header, field.rows[:MOST_ROWS])]
            if len(field.rows) > MOST_ROWS:
                lines += ["", f"{len(field.rows) - MOST_ROWS:,} more rows are in the JSON form."]
    return "\n".join(lines) + "\n"


def _table(header: Sequence[str], rows: Sequence[tuple[Cell, ...]]) -> list[str]:
    numbers = [all(isinstance(row[at], int) for row in rows) for at in range(len(header))]
    return [
        f"| {' | '.join(map(markdown, header))} |",
        f"|{'|'.join('--:' if number else '---' for number in numbers)}|",
        *(f"| {' | '.join(markdown(said(cell)) for cell in row)} |" for row in rows),
    ]


def as_html(form: LawForm) -> str:
    """The form as one page of HTML, everything in it escaped."""
    sections = [
        (name, [dataclasses.replace(f, rows=tuple(tuple(map(said, row)) for row in f.rows)) for f in fields])
        for name, fields in _sections(form)
    ]
    return page(
        "paper.html.j2", form.title, paper=form, about=form.about, sections=sections, unknown=UNKNOWN, most=MOST_ROWS
    )


def as_json(form: LawForm) -> str:
    """The form as JSON: `answer` is null where it is not known; every row of every table."""
    answer = {
        "format": "lowbackground.form/1",
        "form": form.name,
        "title": form.title,
        "law": form.law,
        "releases": [{"release": name, "manifest_sha256": digest} for name, digest in form.releases],
        "fields": [
            {
                "section": field.section,
                "number": field.number,
                "question": field.question,
                "known": field.answer is not None,
                "answer": field.answer,
                "note": field.note or None,
                "table": [dict(zip(field.header, row, strict=True)) for row in field.rows],
            }
            for field in form.fields
        ],
    }
    return json.dumps(answer, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


WRITERS = {"md": as_markdown, "html": as_html, "json": as_json}
