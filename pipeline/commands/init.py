"""`init`: look at some input and write a commented recipe for it."""

import glob
import os
import posixpath
import re
import typing
from collections.abc import Callable, Iterator, Sequence

import yaml

from expectations.loading import nearest
from expectations.wording import one_line
from pipeline.reading.guesses import guessed
from pipeline.reading.input_sample import try_source
from pipeline.reading.outputs import check_output, save
from pipeline.reading.summary import splits_found, unread
from pipeline.recipe import RecipeError
from transforms.ingest.readers import ReadLimits
from transforms.ingest.sources import FormatName, InputError, Source, Split, find_files, plan, splits_of
from transforms.measures.input_loss import not_read

FOLDERS = 20  # with more folders below it than these, a folder is one source
RECIPE = """\
# A recipe for `lowbackground run`. Paths are relative to this file. `lowbackground check {name}` prints every setting.
release: {release}          # the folder of the release, under output.path
salt: {salt}                # changes every choice made by hashing; kept in the manifest

sources:
{sources}
ratio:
  max_synthetic_share: 0.3     # refuse to ship more; strict 0.05, cautious 0.1, mixed 0.3
  unit: tokens                 # or documents
  on_shortage: shrink          # too little real text: drop synthetic documents (shrink), or refuse (fail)

dedup:
  min_similarity: 0.8          # Jaccard similarity of 5-word shingles at which two documents are duplicates
  verify: estimate             # or exact: read the texts of candidates again, and count their shingles
  against: []                  # folders of earlier releases whose documents are not wanted again

expectations: mixed            # a preset (strict, cautious, mixed), a YAML file, or a suite written out here
structures: []                 # YAML files of what diversity means to whom, and what must not be lost

output:
  path: {output}
  keep: []                     # columns of the input that go into the release as they are, for example [url]
"""

SOURCE = """\
  - name: {name}
    path: {path}
{format}    # {files:,} files, {bytes:,} bytes. {seen}
{parts}    # origin: human            # say it only if you know it: human or synthetic. Without it, it is unknown, and scored
    # trust_dates: true        # say it only if `created` is when a text was written: older than ChatGPT is then human
    # licence: CC-BY-4.0
    # fields: {{text: {text}, id: {id}}}   # where columns are called something else
"""


def write_recipe(
    data: Sequence[str],
    output: str,
    force: bool = False,
    form: str | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> str:
    """Write a recipe for the data and say what to do next.

    Args:
      data: files, folders and patterns.
      output: the recipe.
      force: whether a file that is there may be replaced.
      form: how all of it is read (`Source.format`); None: by the endings.
      step: is told what is being done.

    Raises:
      RecipeError, InputError: the recipe exists already, there is no such format, or there is nothing to read.
    """
    formats = list(typing.get_args(FormatName))
    if form is not None and form not in formats:
        raise RecipeError(f"--format {form}: {nearest(form, formats)}")
    # A recipe may lie in the folder of its data, where people keep it: a file of YAML is not read as data.
    is_yaml = output.endswith((".yaml", ".yml"))
    check_output(output, [name for name in data if not os.path.isdir(name)] if is_yaml else data, force)
    folder = os.path.dirname(output) or "."
    step("looking for folders")
    sources = [_of_format(source, form) for path in data for source in _sources(path)]
    names = [source.name for source in sources]
    sources = [
        source.model_copy(update={"name": f"{source.name}-{number}"}) if names.count(source.name) > 1 else source
        for number, source in enumerate(sources, 1)
    ]
    step("listing files")
    planned = plan(sources)
    blocks = []
    for number, source in enumerate(sources):
        step(f"reading the first records of {source.name}, source {number + 1:,} of {len(sources):,}")
        blocks.append(_block(source, number, planned.splits, folder))
    release = sources[0].name if len(sources) == 1 else "corpus"
    text = RECIPE.format(
        name=os.path.basename(output),
        release=_quoted(f"{release}-v1"),
        salt=_quoted(release),
        sources="\n".join(blocks),
        output=_releases(data, folder),
    )
    save(text, output)
    step("looking at columns")
    found = ", ".join(f"{source.name}" for source in sources)
    skipped = [
        f"{source.name}: {words}"
        for number, source in enumerate(sources)
        for words in (
            *splits_found(source, splits_of(source, (piece.path for piece in planned.found[number].pieces))),
            *unread(not_read([source], [planned.found[number]])),
        )
    ]
    lines = [f"wrote {output} with {len(sources)} source(s): {found}", *skipped, *_together(sources), *guessed(sources)]
    return "\n".join([*lines, f"next: read it, then lowbackground check {output}"])


def _releases(data: Sequence[str], folder: str) -> str:
    """A folder for releases, relative to the recipe's: beside it, where the recipe lies in its own data, for a run may not write
    into what it reads.
    """
    here = os.path.realpath(folder)
    inside = any(
        os.path.isdir(name) and os.path.commonpath([here, os.path.realpath(name)]) == os.path.realpath(name)
        for name in data
    )
    return f"../{os.path.basename(here)}-releases" if inside else "releases"


def _sources(path: str) -> list[Source]:
    """One source for a path; one for each subfolder of a folder that holds a few folders of data and no data itself."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", posixpath.basename(path.rstrip("/")) or "corpus").strip("-.*") or "corpus"
    folders = _folders(path) or []
    if 1 < len(folders) <= FOLDERS:
        below = [source for folder in folders for source in _sources(folder)]
        if len(below) <= FOLDERS:
            return below
    return [Source(name=name, path=path)]


def _of_format(source: Source, form: str | None) -> Source:
    """The source read as the user says. Of a folder only files with an ending of that format are read, a pattern's all are:
    so one without any such file becomes a pattern.
    """
    if form is None:
        return source
    said = source.model_copy(update={"format": form})
    try:
        find_files(said)
    except InputError:
        if os.path.isdir(str(said.path)):
            return said.model_copy(update={"path": posixpath.join(glob.escape(str(said.path)), "**")})
    return said


def _together(sources: Sequence[Source]) -> Iterator[str]:
    """Which sources are many folders in one: they are told apart only if somebody says so."""
    for source in sources:
        n = len(_folders(str(source.path)) or ())
        if n > FOLDERS:
            yield f"{source.name}: {n:,} folders are one source; give a source of its own to each that is of another kind"


def _folders(path: str) -> list[str] | None:
    """The folders in a folder that holds nothing else; None if there is anything else, or no folder."""
    if not os.path.isdir(path):
        return None
    with os.scandir(path) as entries:
        visible = [entry for entry in entries if not entry.name.startswith((".", "_"))]
        folders = sorted(entry.path for entry in visible if entry.is_dir())
    return folders if len(folders) == len(visible) else None


def _block(source: Source, number: int, splits: Sequence[Split], folder: str) -> str:
    pieces = {piece.path: piece.size for split in splits if split.source == number for piece in split.pieces}
    found = try_source(source, splits, number, ReadLimits())
    first = next(iter(found.reasons.items()), ("", "no record"))
    if found.documents:
        seen = f"The text column was found, an id was {'found' if found.with_id else 'not found'}."
        if found.reasons:
            seen += f" CHECK: some records could not be read: {_comment(': '.join(first))}"
    else:
        seen = f"CHECK: the first records could not be read: {_comment(': '.join(first))}"
    there = splits_of(source, pieces)
    several = len([split for split in there if split]) > 1
    counts = ", ".join(f"{split or 'no split'} {n:,}" for split, n in there.items())
    parts = f"    # splits: [train]          # files by split: {counts}; without this all are read\n" if several else ""
    path = source.path if isinstance(source.path, str) else source.path[0]
    form = "" if source.format == "auto" else f"    format: {source.format}\n"
    relative = path if "://" in path else os.path.relpath(path, folder)
    return SOURCE.format(
        name=_quoted(source.name),
        path=_quoted(relative),
        files=len(pieces),
        bytes=sum(pieces.values()),
        seen=seen,
        format=form,
        text="body",
        id="key",
        parts=parts,
    )


def _quoted(value: str) -> str:
    """A string as YAML, in quotes where it needs them."""
    style = None if value.isprintable() else '"'  # the one style that can escape
    return str(yaml.safe_dump(value, default_style=style, width=1_000_000).splitlines()[0])


def _comment(text: str) -> str:
    """Text that stays on the line of a comment."""
    return one_line(" ".join(text.split()))[:200]
