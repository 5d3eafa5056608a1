"""`init`: look at some input and write a commented recipe for it."""

import dataclasses
import glob
import os
import posixpath
import typing
from collections.abc import Callable, Iterator, Sequence

import yaml

from expectations.paths import is_local
from expectations.wording import one_line, plural
from pipeline.advice.guesses import guessed
from pipeline.advice.remarks import read_twice, splits_found
from pipeline.reading.answer import refuse_unknown
from pipeline.reading.input_sample import try_source
from pipeline.reading.outputs import check_output, save
from pipeline.reading.proposals import FOLDERS, Proposal, mapped, sources_of
from pipeline.reading.summary import unread
from transforms.ingest.data_set_splits import splits_of
from transforms.ingest.listing import Listing
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import FormatName, InputError, Piece, Source, find_files, found_of
from transforms.measures.unread_input import not_read

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
{settings}    # {files:,} files, {bytes:,} bytes. {seen}
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
    if form is not None:
        refuse_unknown(form, typing.get_args(FormatName))
    # A recipe may lie in the folder of its data, where people keep it: a file of YAML is not read as data.
    is_yaml = output.endswith((".yaml", ".yml"))
    check_output(output, [name for name in data if not os.path.isdir(name)] if is_yaml else data, force)
    folder = os.path.dirname(output) or "."
    step("looking for folders")
    proposals = [_of_format(proposal, form) for path in data for proposal in sources_of(path)]
    names = [proposal.source.name for proposal in proposals]
    sources = [
        one.source.model_copy(update={"name": f"{one.source.name}-{number}"})
        if names.count(one.source.name) > 1
        else one.source
        for number, one in enumerate(proposals, 1)
    ]
    step("listing files")
    found = found_of(sources, _listed(proposals))
    step("looking at columns")
    proposals = [
        mapped(dataclasses.replace(proposal, source=source), one.pieces)
        for source, proposal, one in zip(sources, proposals, found, strict=True)
    ]
    sources = [proposal.source for proposal in proposals]
    parts = [
        splits_of((piece.path for piece in one.pieces), source.paths)
        for source, one in zip(sources, found, strict=True)
    ]
    blocks, failed = [], []
    for number, source in enumerate(sources):
        step(f"reading the first records of {source.name}, source {number + 1:,} of {len(sources):,}")
        block, reasons = _block(source, number, found[number].pieces, parts[number], folder)
        blocks.append(block)
        failed += reasons
    release = sources[0].name if len(sources) == 1 else "corpus"
    text = RECIPE.format(
        name=os.path.basename(output),
        release=_quoted(f"{release}-v1"),
        salt=_quoted(release),
        sources="\n".join(blocks),
        output=_releases(data, folder),
    )
    save(text, output)
    names = [source.name for source in sources]
    skipped = [
        f"{source.name}: {words}"
        for number, source in enumerate(sources)
        for words in (
            *splits_found(source, parts[number]),
            *unread(not_read([source], [found[number]])),
        )
    ]
    said = [f"source {one.source.name}: {line}" for one in proposals for line in one.said]
    lines = [
        f"wrote {output} with {plural(len(sources), 'source')}: {', '.join(names)}",
        *skipped,
        *_together(proposals),
        *said,
    ]
    files = [one.pieces for one in found]
    lines += [*read_twice(sources, files), *guessed(sources, files), *failed]
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


def _of_format(proposal: Proposal, form: str | None) -> Proposal:
    """The source read as the user says. Of a folder only files with an ending of that format are read, a pattern's all are:
    so one without any such file becomes a pattern.
    """
    if form is None:
        return proposal
    said = dataclasses.replace(proposal, source=proposal.source.model_copy(update={"format": form}), said=())
    try:
        find_files(said.source, _listed([said]))
    except InputError:
        path = str(said.source.path)
        if os.path.isdir(path):
            return Proposal(said.source.model_copy(update={"path": posixpath.join(glob.escape(path), "**")}))
    return said


def _listed(proposals: Sequence[Proposal]) -> dict[str, Listing]:
    """What the paths of sources stand for, so that no folder is listed twice."""
    return {str(one.source.path): one.listing for one in proposals if one.listing}


def _together(proposals: Sequence[Proposal]) -> Iterator[str]:
    """Which sources are many folders in one: they are told apart only if somebody says so."""
    for one in proposals:
        if one.n_folders > FOLDERS and one.source.path_pattern is None:
            n = plural(one.n_folders, "folder")
            yield f"{one.source.name}: {n} are one source; give a source of its own to each that is of another kind"


def _block(
    source: Source, number: int, pieces: Sequence[Piece], there: dict[str, int], folder: str
) -> tuple[str, list[str]]:
    """The lines of a source in the recipe, and what of its first records could not be read. `there`: by split, files."""
    found = try_source(source, pieces, number, ReadLimits())
    first = next(iter(found.reasons.items()), ("", "no record"))
    if found.documents:
        seen = f"The text column was found, an id was {'found' if found.with_id else 'not found'}."
        if found.reasons:
            seen += f" CHECK: some records could not be read: {_comment(': '.join(first))}"
    else:
        seen = f"CHECK: the first records could not be read: {_comment(': '.join(first))}"
    several = len([split for split in there if split]) > 1
    counts = ", ".join(f"{split or 'no split'} {n:,}" for split, n in there.items())
    parts = f"    # splits: [train]          # files by split: {counts}; without this all are read\n" if several else ""
    relative = [os.path.relpath(path, folder) if is_local(path) else path for path in source.paths]
    block = SOURCE.format(
        name=_quoted(source.name),
        path=_quoted(relative[0]) if len(relative) == 1 else f"[{', '.join(map(_in_quotes, relative))}]",
        files=len(pieces),
        bytes=sum(piece.size for piece in pieces),
        seen=seen,
        settings="".join(_settings(source)),
        text="body",
        id="key",
        parts=parts,
    )
    failed = [
        f"source {source.name}: could not read some of the first records of {path}: {reason}"
        for path, reason in found.reasons.items()
    ]
    return block, failed


def _settings(source: Source) -> Iterator[str]:
    """What is guessed of a source, as lines of the recipe."""
    if source.format != "auto":
        yield f"    format: {source.format}\n"
    if source.path_pattern:
        yield f"    path_pattern: {_quoted(source.path_pattern)}\n"
    if source.fields.text is not None:
        yield f"    fields: {{text: {_in_quotes(source.fields.text)}}}   # guessed\n"


def _quoted(value: str) -> str:
    """A string as YAML, in quotes where it needs them."""
    # The one style that can escape.
    return _in_quotes(value) if not value.isprintable() else str(yaml.safe_dump(value, width=1_000_000).splitlines()[0])


def _in_quotes(value: str) -> str:
    """A string as YAML, that may stand in a list."""
    return str(yaml.safe_dump(value, default_style='"', width=1_000_000).splitlines()[0])


def _comment(text: str) -> str:
    """Text that stays on the line of a comment."""
    return one_line(" ".join(text.split()))[:200]
