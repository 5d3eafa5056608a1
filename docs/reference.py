"""Write the reference pages from the code: `python docs/reference.py`. A test holds the pages against what this makes.

The words come from where they are declared: descriptions of recipe keys, the glossary for columns, the table of metrics, and
the docstrings and options of commands.
"""

import pathlib
import re
import sys
import typing
from collections.abc import Iterator
from typing import Any

import pydantic
import typer
from pydantic_core import PydanticUndefined

from expectations import contracts, wording
from expectations.metrics import declared
from pipeline import cli
from pipeline.recipe import Recipe

DOCS = pathlib.Path(__file__).resolve().parent
FOLDER = DOCS / "reference"
MADE = "<!-- made by docs/reference.py: change the code, not this page -->\n\n"
FILES = {
    "data/*.parquet": contracts.release(()),
    "ledger/*.parquet": contracts.LEDGER,
    "quarantine/*.parquet": contracts.QUARANTINE,
    "review/queue.parquet": contracts.REVIEW,
    "metrics.parquet": contracts.METRICS,
    "signatures/*.parquet": contracts.signed(112),
    "sketches.parquet": contracts.SKETCHES,
    "what `audit sample` writes": contracts.AUDIT,
}


def pages() -> dict[str, str]:
    """Every page by its name."""
    made = {"recipe": recipe(), "columns": columns(), "metrics": table_of_metrics(), "command-line": command_line()}
    return {f"{name}.md": MADE + text for name, text in made.items()}


def recipe() -> str:
    """All keys of a recipe, section by section."""
    lines = [
        "# Recipe",
        "",
        "Every key of a recipe, with its default. `lowbackground schema recipe` is the same for editors.",
        "",
    ]
    return "\n".join([*lines, *_section(Recipe, "")]) + "\n"


def _section(model: type[pydantic.BaseModel], path: str) -> Iterator[str]:
    yield from ("| key | default | what it is |", "|---|---|---|")
    inner = []
    for name, field in model.model_fields.items():
        below = _model_of(field.annotation)
        key = f"{path}{name}"
        if below is not None and below is not model:
            inner.append((key, below, field))
        yield f"| `{key}` | {_default(field)} | {_cell(field.description or _doc(below))} |"
    for key, below, field in inner:
        many = "[]" if "tuple" in str(field.annotation) else ""
        yield from ("", f"## `{key}{many}`", "", _doc(below), "")
        yield from _section(below, f"{key}{many}.")


def _model_of(annotation: Any) -> type[pydantic.BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    found = (_model_of(part) for part in typing.get_args(annotation) if part is not Ellipsis)
    return next((model for model in found if model is not None), None)


def _default(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, pydantic.BaseModel):
        return "below"
    if value is None or value in ((), {}, ""):
        return "empty"
    text = list(value) if isinstance(value, tuple) else str(value).lower() if isinstance(value, bool) else value
    return f"`{_cell(str(text))}`"


def _doc(model: type[pydantic.BaseModel] | None) -> str:
    return (model.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ").strip() if model else ""


def columns() -> str:
    """The columns of every file of a release, with the glossary's words."""
    said = _glossary()
    lines = [
        "# Columns",
        "",
        "The columns of every table that a run leaves. What a word means is in the [glossary](../GLOSSARY.md).",
    ]
    for name, contract in FILES.items():
        lines += [
            "",
            f"## {name if '`' in name else f'`{name}`'}",
            "",
            "| column | type | what it is |",
            "|---|---|---|",
        ]
        for field in contract.schema:
            null = "" if field.nullable else ", never null"
            lines.append(f"| `{field.name}` | {_type(field.type)}{null} | {_cell(said.get(field.name, ''))} |")
    return "\n".join(lines) + "\n"


def _type(dtype: Any) -> str:
    text = str(dtype)
    return "text" if text in ("string", "large_string") else text


def _glossary() -> dict[str, str]:
    """Column -> its glossary entry."""
    found: dict[str, str] = {}
    for line in (DOCS / "GLOSSARY.md").read_text(encoding="utf-8").splitlines():
        if row := re.match(r"\| (.+?) \| (.+) \|$", line):
            for name in re.findall(r"`([a-z_0-9]+)`", row[1]):
                found.setdefault(name, row[2])
            for name in re.findall(r"`([a-z_0-9]+)`", row[2]):
                found.setdefault(name, row[2])
    return found


def table_of_metrics() -> str:
    """All metrics with their facts."""
    lines = [
        "# Metrics", "",
        "What `metrics.parquet` may hold and suites may ask, from one table (`expectations/metrics/`). *Sign* is what a metric",
        "tells of collapse, in the order in which it is seen; *worse* is the way in which it gets worse; what *grows* with the",
        "corpus is compared only between releases of one size.",
        "",
        "| metric | what it is | unit | sign | worse | grows |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for metric in sorted(declared.METRICS.values(), key=lambda m: m.name):
        sign = "" if metric.sign == "other" else metric.sign
        grows = "yes" if metric.grows else ""
        lines.append(f"| `{metric.name}` | {_cell(metric.title)} | {metric.unit} | {sign} | {metric.worse} | {grows} |")
    lines += ["", "## Slices", "", "| kind | slices are |", "|---|---|"]
    lines += [f"| `{kind}` | {words or 'everything'} |" for kind, words in wording.SLICE_KINDS.items()]
    return "\n".join(lines) + "\n"


def command_line() -> str:
    """All commands with their arguments and options."""
    lines = ["# Command line", ""]
    lines += ["| exit code | meaning |", "|--:|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in exit_codes().items()]
    whole = typer.main.get_command(cli.app)
    lines += [
        "",
        "## Options of every command",
        "",
        "They may stand anywhere, as in `lowbackground run recipe.yaml -v`.",
        "",
    ]
    lines += [*_options(whole), *_commands(whole, "lowbackground")]
    return "\n".join(lines) + "\n"


def exit_codes() -> dict[str, str]:
    """What each exit code means: the README's table, which is the one place that says it."""
    return dict(
        re.findall(r"^\| (\d) \| (.+) \|$", (DOCS.parent / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    )


def _commands(command: Any, path: str) -> Iterator[str]:
    for name, one in getattr(command, "commands", {}).items():
        called = f"{path} {name}"
        if hasattr(one, "commands"):
            yield from _commands(one, called)
            continue
        yield from ("", f"## `{called}`", "", _cell((one.help or "").strip().split("\f")[0]), "")
        yield from _options(one)


def _options(command: Any) -> Iterator[str]:
    shown = [p for p in command.params if not getattr(p, "hidden", False) and p.name != "help"]
    if shown:
        yield from ("| | what it is |", "|---|---|")
    for parameter in shown:
        named = parameter.param_type_name == "option"
        names = (
            ", ".join(f"`{name}`" for name in parameter.opts)
            if named
            else f"`{parameter.metavar or parameter.name.upper()}`"
        )
        yield f"| {names} | {_cell(parameter.help or '')}{_shown_default(parameter.default)} |"


def _shown_default(value: Any) -> str:
    return f" (default: `{value}`)" if isinstance(value, str | int | float) and value is not False else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> int:
    """Write the pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
