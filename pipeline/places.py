"""Where a run writes, and that none of it is an input: nothing that a run makes or replaces may be read by it.

And that its workers see what it names, wherever they are.
"""

import os
import posixpath
import re
import stat
from collections.abc import Iterator

from apache_beam.io.filesystem import FileSystem
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions

from expectations.paths import is_local
from pipeline.recipe import Recipe, RecipeError, RunnerConfig
from transforms.dedup.earlier_releases import MANIFEST
from transforms.detector.plugins import PREFIX
from transforms.ingest.sources import Split
from transforms.measures.reference import HUMAN_SUBSET

STORE = ".signals"
STAGING = ".staging"
REJECTED = ".rejected"  # ends the name of a rejection's folder
PAPERS = ".papers"  # ends the name of the folder of a release's papers
# One of each kind of file that a later run might take for data.
_FILES = (
    "README.md",
    "MANIFEST.json",
    "recipe.yaml",
    "metrics.parquet",
    "verdict.json",
    "data/train-00000-of-00001.parquet",
    "ledger/ledger-00000-of-00001.parquet",
    "signatures/part-00000-of-00001.parquet",
    "quarantine/quarantine-00000.parquet",
    "review/queue.parquet",
    "report/index.html",
)


HERE = ("localhost", "127.0.0.1", "[::1]")


def refuse_unseen(recipe: Recipe) -> None:
    """Refuse paths of this machine where workers may be on others, unless the recipe says that they share the disk.

    Raises:
      RecipeError: the path, and what to do.
    """
    if recipe.runner.shared_disk or workers_are_here(recipe.runner):
        return
    for what, path in _workers_need(recipe):
        if is_local(path):
            raise RecipeError(
                f"{what}: {path} is a path of this machine, and the workers of {recipe.runner.name} may be on others; put it in "
                "an object store, or say runner: {shared_disk: true} if all of them see it under this name"
            )


def workers_are_here(config: RunnerConfig) -> bool:
    """Whether every worker is a process of this machine, as far as Beam's options say."""
    said = PipelineOptions(list(config.options)).view_as(PortableOptions)
    here = "LOOPBACK" if config.name in ("FnApiRunner", "PrismRunner") else "DOCKER"  # Beam's own defaults
    match (said.environment_type or here).upper():
        case "LOOPBACK":
            return True
        case "EXTERNAL":
            at = said.lookup_environment_option("external_service_address", said.environment_config)
        case "PROCESS":
            at = said.job_endpoint
        case _:
            return False
    return isinstance(at, str) and at.rpartition(":")[0].rpartition("//")[2] in HERE


def _workers_need(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """All paths that a worker opens, by the key that names them."""
    for source in recipe.sources:
        for path in source.paths:
            yield f"source {source.name}", path
    yield "output.path", recipe.output.path
    for what, model in (("model", recipe.detector.model), ("cross_check", recipe.detector.cross_check)):
        if model and model != "words" and not model.startswith(PREFIX):
            yield f"detector.{what}", model
    if recipe.evidence.phrases:
        yield "evidence.phrases", recipe.evidence.phrases
    yield from (("dedup.against", path) for path in recipe.dedup.against)


def target(output: str, release: str, passed: bool) -> str:
    """The folder of a release, or of its rejection."""
    return posixpath.join(output, release if passed else f"{release}{REJECTED}")


def refuse_inputs_as_outputs(recipe: Recipe, base_dir: str, splits: tuple[Split, ...]) -> None:
    """Refuse a run that would write into what it reads, or read what it writes. Real paths are compared.

    Args:
      recipe: its paths are relative to here.
      base_dir: the folder of the recipe.
      splits: what its sources stand for.

    Raises:
      RecipeError: the two paths, and what to do.
    """
    output = recipe.output.path
    if not is_local(output):
        _refuse_remote(recipe)
    written = [
        target(output, recipe.release, passed=True),
        target(output, recipe.release, passed=False),
        posixpath.join(output, STAGING),
        posixpath.join(output, STORE),
    ]
    if not is_local(output):
        for what, path in _read(recipe, base_dir, splits):
            for place in written:
                if f"{path}/".startswith(f"{place}/"):
                    raise RecipeError(_lies_there(what, path, place))
        return
    for source in recipe.sources:
        for path in source.paths:
            if is_local(path) and _would_be_read(path, output, written[:2]):
                raise RecipeError(
                    f"output.path: {output} lies in what source {source.name} reads ({path}), so a later run would read this "
                    "release; put it elsewhere, or name the source's files more closely"
                )
    there = {(found.st_dev, found.st_ino): folder for folder in written if (found := _status(folder))}
    known: dict[str, str | None] = {}
    for what, path in _read(recipe, base_dir, splits) if there else ():
        # A file of a source is found below a path without `..`; its folders are looked at once for all files in them.
        at = os.path.abspath(path) if what == "sources" else os.path.realpath(path)
        folder = _lies_in(at, there, known) if is_local(path) else None
        if folder:
            raise RecipeError(_lies_there(what, path, folder))


def _lies_there(what: str, path: str, folder: str) -> str:
    return (
        f"{what}: {path} lies in {folder}, which this run writes or replaces; choose another release name or another "
        "output.path"
    )


def _read(recipe: Recipe, base_dir: str, splits: tuple[Split, ...]) -> Iterator[tuple[str, str]]:
    """All that a run reads, by the key that names it."""
    for source in recipe.sources:
        for path in source.paths:
            yield f"source {source.name}", path
    yield from (("sources", path) for path in sorted({piece.path for split in splits for piece in split.pieces}))
    yield "the recipe's folder", base_dir
    yield from (("dedup.against", path) for path in recipe.dedup.against)
    for one in recipe.contamination.against:
        paths = (one,) if isinstance(one, str) else (one.path,) if isinstance(one.path, str) else one.path
        yield from (("contamination.against", path) for path in paths)
    yield from (("removals", path) for path in recipe.removals)
    yield from (("review.labels", path) for path in recipe.review.labels)
    yield from (("structures", posixpath.join(base_dir, path)) for path in recipe.structures)
    if isinstance(recipe.expectations, str):
        yield "expectations", posixpath.join(base_dir, recipe.expectations)
    one_each = {
        "evidence.phrases": recipe.evidence.phrases,
        "detector.model": recipe.detector.model,
        "detector.cross_check": recipe.detector.cross_check,
        "reference": _reference(recipe),
    }
    yield from ((what, path) for what, path in one_each.items() if path)


def _reference(recipe: Recipe) -> str | None:
    """The folder of the reference, which may be named by a release in the output folder."""
    asked = recipe.reference
    if asked is None or asked == HUMAN_SUBSET or os.path.exists(posixpath.join(asked, MANIFEST)):
        return None if asked == HUMAN_SUBSET else asked
    return posixpath.join(recipe.output.path, posixpath.basename(asked))


def _refuse_remote(recipe: Recipe) -> None:
    """In an object store names are all there is, and its tools know no way to quote a sign of a pattern."""
    output = recipe.output.path.rstrip("/")
    if re.search(r"[*?\[\]]", output):
        raise RecipeError(f"output.path: {output} has a sign of a pattern in it; choose another folder")
    for source in recipe.sources:
        for path in source.paths:
            if f"{output}/".startswith(f"{path.rstrip('/')}/"):
                raise RecipeError(
                    f"output.path: {output} lies in what source {source.name} reads ({path}); put it elsewhere"
                )


def can_be_a_folder(output: str) -> None:
    """Refuse an output path that is a file, or inside of one, before any work.

    Raises:
      RecipeError: it is.
    """
    at = output if is_local(output) else ""
    while at and at != os.path.dirname(at):
        if os.path.exists(at) and not os.path.isdir(at):
            which = "is a file" if at == output else f"would be inside of {at}, which is a file"
            raise RecipeError(f"output.path: {output} {which}; name a folder for releases")
        at = os.path.dirname(at)


def _would_be_read(path: str, output: str, written: list[str]) -> bool:
    """Whether a source's path stands for files of the release that is to be written."""
    if os.path.exists(path) or not re.search(r"[*?\[]", path):
        return os.path.isdir(path) and _is_inside(output, path)
    fixed, slash, rest = _cut(path)
    pattern = re.compile(
        FileSystem.translate_pattern(_escaped(os.path.realpath(fixed or "/" if slash else ".")) + rest)
    )
    return any(pattern.match(posixpath.join(os.path.realpath(folder), name)) for folder in written for name in _FILES)


def _cut(pattern: str) -> tuple[str, str, str]:
    """A pattern as the folder that it is surely below, and the rest with its slash."""
    found = re.search(r"[*?\[]", pattern)
    folder, slash, _ = pattern[: found.start() if found else None].rpartition("/")
    return folder, slash, "/" + pattern[len(folder) + len(slash) :]


def _escaped(path: str) -> str:
    """A path as a pattern that matches it: a special character stands for any one."""
    return re.sub(r"[*?\[]", "?", path).rstrip("/")


def _status(path: str, follow_links: bool = True) -> os.stat_result | None:
    try:
        return os.stat(path, follow_symlinks=follow_links)
    except OSError:
        return None


def _lies_in(at: str, folders: dict[tuple[int, int], str], known: dict[str, str | None]) -> str | None:
    """The folder, of those named by device and inode, that a path is or lies in. What is above it is looked at once."""
    if at not in known:
        known[at] = None  # a loop of links ends here
        # One that is not there (yet): what it would lie in counts.
        status, above = _status(at, follow_links=False), os.path.dirname(at)
        if status and stat.S_ISLNK(status.st_mode):
            known[at] = _lies_in(os.path.realpath(at), folders, known)
        else:
            found = folders.get((status.st_dev, status.st_ino)) if status else None
            known[at] = found or (_lies_in(above, folders, known) if above != at else None)
    return known[at]


def _is_inside(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it, by what they are and not by how they are written. False if there is no folder."""
    try:
        wanted = os.stat(folder)
    except OSError:
        return False
    at = os.path.realpath(path)
    while True:
        try:
            if os.path.samestat(os.stat(at), wanted):
                return True
        except OSError:
            pass  # not there (yet): what it would lie in counts
        if at == os.path.dirname(at):
            return False
        at = os.path.dirname(at)
