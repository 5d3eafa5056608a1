"""The demo corpus: text that is on every machine, text that a machine wrote, and planted damage.

- *Human*: CPython's own reference topics (`pydoc_data.topics`) and the docstrings of its standard library, read with `ast`
  and never imported. Nearly all of it is older than language models.
- *Synthetic*: `demo_machine.jsonl`, written by a language model for this project, and declared as such.
- *Undeclared*: documents of both kinds that say nothing about themselves.
- *DemoDocuments*: exact and near duplicates, blank documents, and records that cannot be read.

The same Python version gives the same bytes.
"""

import ast
import collections
import dataclasses
import functools
import gzip
import hashlib
import inspect
import io
import os
import pathlib
import pydoc_data.topics
import sysconfig
from collections.abc import Iterator, Sequence
from importlib import resources

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.reading.outputs import check_folder
from pipeline.recipe import RecipeError
from transforms.engine import files

Record = dict[str, object]

MIN_CHARS = 250
DOCSTRINGS = 600
UNDECLARED_HUMAN, UNDECLARED_MACHINE = 60, 8
EXACT, NEAR, CROSS, BLANK = 40, 40, 10, 8
SKIPPED_FOLDERS = {"test", "tests", "idlelib", "lib2to3", "site-packages", "turtledemo", "__pycache__"}
NOTE = " This page was copied from another site and may differ from the original."


@dataclasses.dataclass(frozen=True)
class DemoDocuments:
    """What was put into the corpus: documents by origin before duplication, and each kind of damage."""

    human: int
    synthetic: int
    undeclared: int
    exact_duplicates: int
    near_duplicates: int
    empty: int
    broken: dict[str, int]


def build_demo(folder: str, force: bool = False) -> DemoDocuments:
    """Write `corpus/<source>/` and `recipe.yaml` below a folder: a new one, or an earlier demo that nobody changed.

    Args:
      folder: to build it in.
      force: whether a demo whose recipe or corpus was changed may be built again, as ours.

    Raises:
      RecipeError: the folder holds something else, or must not be written (`outputs.check_folder`).
    """
    root = pathlib.Path(folder)
    check_folder(folder, [], force or _is_demo(root), "recipe.yaml", "demo")
    if (root / "recipe.yaml").exists() and not _is_demo(root, whole=False):
        raise RecipeError(f"demo {folder}: {root / 'recipe.yaml'} is not the demo's; name a new folder")
    corpus = root / "corpus"
    topics = list(_topics())
    docstrings = _chosen(_docstrings(), DOCSTRINGS + UNDECLARED_HUMAN)
    machine: list[Record] = [orjson.loads(line) for line in _machine_lines()]
    held_out = docstrings[DOCSTRINGS:] + machine[-UNDECLARED_MACHINE:]
    undeclared: list[Record] = [{"id": f"web-{record['id']}", "text": record["text"]} for record in held_out]
    docstrings, machine = docstrings[:DOCSTRINGS], machine[:-UNDECLARED_MACHINE]
    copies = [*_exact(docstrings[:EXACT]), *_near(docstrings[EXACT : EXACT + NEAR])]
    # A machine's edits of human texts: each must lose to its original.
    edited: list[Record] = [{**_changed(r, "machine"), "generator": "claude"} for r in topics[:CROSS]]
    blank: list[Record] = [{"id": f"blank-{n}", "text": " \n\t" * (n + 1)} for n in range(BLANK)]

    contents = {
        "cpython-topics/topics.parquet": _parquet(topics),
        "cpython-docstrings/docstrings-0.jsonl.gz": _gzip(_jsonl(docstrings[::2])),
        "cpython-docstrings/docstrings-1.jsonl.gz": _gzip(_jsonl(docstrings[1::2] + blank)),
        "machine/machine.jsonl": _jsonl(machine + edited),
        "web-undeclared/pages.jsonl.gz": _gzip(_jsonl(undeclared)),
        "web-undeclared/mirror.jsonl": _jsonl(copies),
        **{f"web-undeclared/{name}": data for name, data in _broken().items()},
    }
    changed = {name for name, data in contents.items() if not _may_be_written(corpus / name, data)}
    if changed and not force:
        raise RecipeError(
            f"demo {folder}: {corpus / min(changed)} is not as the demo writes it; name a new folder, or say --force"
        )
    files.write(str(root / "recipe.yaml"), RECIPE.encode())  # first: a demo that was stopped can be built again
    for name, data in contents.items():
        files.write(str(corpus / name), data)
    return DemoDocuments(
        human=len(topics) + len(docstrings),
        synthetic=len(machine),
        undeclared=len(undeclared),
        exact_duplicates=EXACT,
        near_duplicates=NEAR + CROSS,
        empty=BLANK,
        broken=BROKEN,
    )


def _is_demo(root: pathlib.Path, whole: bool = True) -> bool:
    """Whether a folder has the demo's recipe; not `whole`: or one that began as it."""
    try:
        text = (root / "recipe.yaml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return text == RECIPE if whole else text.startswith(RECIPE.splitlines()[0])


def _topics() -> Iterator[Record]:
    """The reference topics, cut at paragraphs into documents of 100 words or more."""
    for name, topic in sorted(pydoc_data.topics.topics.items()):
        words, paragraphs, part = 0, [], 0
        for paragraph in topic.split("\n\n"):
            paragraphs.append(paragraph)
            words += len(paragraph.split())
            if words >= 200:
                yield {"id": f"{name}/{part}", "text": "\n\n".join(paragraphs)}
                words, paragraphs, part = 0, [], part + 1
        if words >= 100:
            yield {"id": f"{name}/{part}", "text": "\n\n".join(paragraphs)}


@functools.cache  # some seconds; an interpreter's library stays as it is
def _docstrings() -> tuple[Record, ...]:
    """The longer docstrings of the standard library, each text once."""
    found: list[Record] = []
    stdlib = pathlib.Path(sysconfig.get_paths()["stdlib"])
    seen = set()
    paths: list[pathlib.Path] = []
    for folder, below, names in os.walk(stdlib):
        below[:] = set(below) - SKIPPED_FOLDERS
        paths += [pathlib.Path(folder, name) for name in names if name.endswith(".py")]
    for path in sorted(paths):
        relative = path.relative_to(stdlib)
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        module = ".".join(relative.with_suffix("").parts)
        for node in _statements(tree):
            if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            text = inspect.cleandoc(ast.get_docstring(node, clean=False) or "")
            if len(text) >= MIN_CHARS and text not in seen:
                seen.add(text)
                found.append({"id": f"{module}:{getattr(node, 'name', '')}:{getattr(node, 'lineno', 0)}", "text": text})
    return tuple(found)


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes of `ast.walk` that can hold a class or a function, in its order: without expressions, which are most."""
    left: collections.deque[ast.AST] = collections.deque([tree])
    while left:
        node = left.popleft()
        yield node
        for field in ("body", "handlers", "orelse", "finalbody", "cases"):
            left.extend(getattr(node, field, ()))


def _chosen(records: Sequence[Record], n: int) -> list[Record]:
    """`n` of the records, by hash."""
    return sorted(records, key=lambda r: hashlib.blake2b(str(r["id"]).encode(), digest_size=8).digest())[:n]


def _machine_lines() -> list[bytes]:
    return (resources.files("pipeline.commands") / "demo_machine.jsonl").read_bytes().splitlines()


def _exact(records: list[Record]) -> Iterator[Record]:
    """The same words in capitals, or with other white space: equal in canonical form."""
    for number, record in enumerate(records):
        text = str(record["text"])
        yield {"id": f"copy-of-{record['id']}", "text": text.upper() if number % 2 else "\n" + "  ".join(text.split())}


def _near(records: list[Record]) -> Iterator[Record]:
    for record in records:
        yield _changed(record, "near")


def _changed(record: Record, prefix: str) -> Record:
    """The same text with its third word gone and a sentence added: too little to be another document."""
    words = str(record["text"]).split(" ")
    return {"id": f"{prefix}-copy-of-{record['id']}", "text": " ".join(words[:2] + words[3:]) + NOTE}


BROKEN = {"bad_json": 1, "missing_text": 1, "text_not_string": 1, "invalid_utf8": 1, "truncated_file": 1}


def _broken() -> dict[str, bytes]:
    """Files with the records that `BROKEN` counts."""
    lines = [
        b'{"id": "cut-off", "text": "this line ends too',
        b'{"id": "no-text"}',
        b'{"id": "number", "text": 42}',
        b'{"id": "latin-1", "text": "caf\xe9"}',
        b'{"id": "fine", "text": "The one good line of this file."}',
    ]
    whole = _gzip(orjson.dumps({"id": "lost", "text": "No byte of this document arrived. " * 400}) + b"\n")
    return {"broken.jsonl": b"\n".join(lines) + b"\n", "truncated.jsonl.gz": whole[: len(whole) // 2]}


def _may_be_written(path: pathlib.Path, data: bytes) -> bool:
    """Whether nothing is lost if a file of the corpus is written: it is not there, or as it will be."""
    try:
        return path.read_bytes() == data
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _gzip(data: bytes) -> bytes:
    sink = io.BytesIO()
    with gzip.GzipFile(fileobj=sink, mode="wb", mtime=0) as file:
        file.write(data)
    return sink.getvalue()


def _jsonl(records: list[Record]) -> bytes:
    return b"".join(orjson.dumps(record) + b"\n" for record in records)


def _parquet(records: list[Record]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(records), sink)
    return bytes(sink.getvalue())


RECIPE = """\
# The recipe of `lowbackground demo`. Paths are relative to this file.
release: demo                    # the folder of the release, under output.path
salt: demo                       # changes every choice made by hashing; kept in the manifest

sources:
  - name: cpython-topics         # CPython's own reference, written by people
    path: corpus/cpython-topics/*.parquet
    origin: human                # what the source is known to be; leave it out where you do not know
    licence: PSF-2.0
    trust: 1.0                   # between duplicates of the same age the more trusted source's survives
  - name: cpython-docstrings     # the docstrings of its standard library
    path: corpus/cpython-docstrings   # a folder: every data file in it
    origin: human
    licence: PSF-2.0
    trust: 1.0
  - name: machine                # written by a language model for this demo
    path: corpus/machine/*.jsonl
    origin: synthetic
    generator: claude            # of rows that do not name one themselves
    licence: Apache-2.0
  - name: web-undeclared         # says nothing about itself: the detector is asked
    path: corpus/web-undeclared

ratio:
  max_synthetic_share: 0.05    # the release may hold this much synthetic text, counted in
  unit: tokens                   # tokens (or documents)

expectations: mixed              # what must be true of the release: a preset, or a file of your own

output:
  path: releases                 # releases/demo is the release
"""


def planted(found: DemoDocuments) -> str:
    """What the demo put into its corpus."""
    broken = sum(found.broken.values())
    return (
        f"planted: {found.human:,} human, {found.synthetic:,} machine-written, {found.undeclared:,} undeclared; "
        f"{found.exact_duplicates} exact and {found.near_duplicates} near duplicates, {found.empty} empty, {broken} broken"
    )
