"""The recipe: one YAML file that says everything about a run.

Sections stand in the order of the flow. Each stage's settings are declared beside the stage; this module puts them
together, reads the file, and turns what is wrong with it into one line that says where and what to do.
"""

import hashlib
import json
import posixpath
import re
import typing
from collections.abc import Callable
from typing import Any

from apache_beam.options.pipeline_options import StandardOptions
from pydantic import BaseModel, Field, PrivateAttr, ValidationError, field_validator, model_validator

from expectations.errors import UserError
from expectations.loading import LoadError, Strict, closest, first_complaint, nearest, parse_yaml, read_text
from expectations.paths import joined
from pipeline.redaction import redact_message, redact_options
from transforms.dedup.candidates import DedupConfig
from transforms.detector.plugins import PREFIX
from transforms.exclusions.contamination import ContaminationConfig
from transforms.exclusions.licences import LicenceConfig
from transforms.exclusions.personal_data import PersonalDataConfig
from transforms.ingest.size_limits import ReadLimits
from transforms.ingest.sources import SPLIT_BYTES, Source
from transforms.measures.reference import HUMAN_SUBSET
from transforms.mixture.config import RatioConfig
from transforms.origin.review_labels import ReviewConfig
from transforms.origin.witnesses import EvidenceConfig
from transforms.release.shards import ShardConfig
from transforms.survey.tokenizers import TIKTOKEN

PaperName = typing.Literal["eu-summary", "ab-2013", "croissant", "openlineage", "prov", "spdx"]
RELEASE_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"  # it is a folder, so no path
MAX_NAME = 128  # of a release: an attempt's folder is called after it, and names of files end somewhere
ESCAPED = 6  # bytes of JSON that one byte of text may take, as \u001b
BESIDE_TEXT = 4_000_000  # bytes of a line for everything else in it
MOST_SHOWN = 200  # characters of a value that is wrong


class RecipeError(UserError):
    """The recipe cannot be used. The message is one line: the file, the key, what is wrong, what to do."""


class IngestConfig(Strict):
    """Limits of reading."""

    max_bad_fraction: float = Field(
        0.05,
        ge=0,
        le=1,
        description="more unreadable records than this, in all or of a source, fail the run; a lost file is all its records",
    )
    max_text_bytes: int = Field(10_000_000, ge=1, description="longer texts are quarantined")
    max_unpacked_bytes: int = Field(
        ReadLimits.max_unpacked_bytes,
        ge=1,
        description="of a compressed file that is not read from front to end, and of a member of a tar file that holds many "
        "documents: such a one is copied to a temporary file, or quarantined",
    )
    split_bytes: int = Field(SPLIT_BYTES, ge=1, description="small files are read together up to this size in storage")

    @property
    def limits(self) -> ReadLimits:
        """The limits as the readers take them."""
        return ReadLimits(
            max_text_bytes=self.max_text_bytes,
            max_unpacked_bytes=self.max_unpacked_bytes,
            max_line_bytes=max(ReadLimits.max_line_bytes, ESCAPED * self.max_text_bytes + BESIDE_TEXT),
        )


class DetectorConfig(Strict):
    """Which detector scores the text."""

    model: str | None = Field(
        None, description='folder or file of a detector, or "plugin:NAME"; empty: the bundled one'
    )
    cross_check: str | None = Field(
        "words",
        description="a second detector, whose estimate of the share is reported beside the first one's; empty: none",
    )


class OutputConfig(ShardConfig):
    """Where releases go and what shards look like."""

    path: str = Field("releases", description="folder of releases, relative to the recipe")


_WORKING = ("FnApiRunner", "PrismRunner", "PortableRunner", "FlinkRunner", "SparkRunner", "DataflowRunner")


class RunnerConfig(Strict):
    """Which engine runs the graph."""

    name: str = Field("FnApiRunner", description="a Beam runner; FnApiRunner is this machine")
    workers: int | None = Field(
        None, ge=1, description="tasks at a time on the local runner; empty: one for every two cores"
    )
    options: tuple[str, ...] = Field(
        (),
        description="further Beam options, as on its command line; a secret as --name=${VARIABLE}, from the environment",
    )
    dedup_parts: int | None = Field(
        None,
        ge=1,
        description="parts in which duplicates are linked to each other, so that no worker holds them all; empty: 1 up to "
        "32 GB of input, then one for every 4 GB. The release is the same",
    )
    shared_disk: bool = Field(
        False,
        description="workers on other machines see this machine's paths under the same names, as on a network disk",
    )

    @field_validator("name")
    @classmethod
    def _counts_and_keeps(cls, name: str) -> str:
        if "dask" in name.lower():
            raise ValueError(
                "the Dask runner loses data silently (tagged outputs, finish_bundle, several sinks); use FnApiRunner, "
                "FlinkRunner or DataflowRunner"
            )
        if "directrunner" in name.lower():
            raise ValueError(
                f"{name} forgets part of what its steps count, so nothing would show that no row was lost; use FnApiRunner, "
                "which is this machine too"
            )
        known = {known.lower(): known for known in StandardOptions.KNOWN_RUNNER_NAMES}
        found = known.get(name.lower(), known.get(f"{name.lower()}runner"))
        if found is None and "." not in name:  # a dotted name is a class of the user's own
            raise ValueError(f"there is no runner {name!r}; {nearest(name, _WORKING)}")
        return found or name


class Recipe(Strict):
    """A whole run."""

    release: str = Field(description="name of the release; its folder under output.path")
    salt: str = Field("lowbackground", description="changes every choice made by hashing; kept in the manifest")
    sources: tuple[Source, ...] = Field(min_length=1, description="what to read")
    ingest: IngestConfig = IngestConfig()
    evidence: EvidenceConfig = EvidenceConfig()
    tokenizer: str | None = Field(
        None,
        description="what counts `n_tokens`: a tokenizer.json, or tiktoken:NAME; empty: words and ideographs are counted",
    )
    detector: DetectorConfig = DetectorConfig()
    review: ReviewConfig = ReviewConfig()
    contamination: ContaminationConfig = ContaminationConfig()
    licences: LicenceConfig = LicenceConfig()
    personal_data: PersonalDataConfig = PersonalDataConfig()
    removals: tuple[str, ...] = Field(
        (), description="lists of what is to be taken out, with all that is like it (docs/exclusions.md)"
    )
    dedup: DedupConfig = DedupConfig()
    ratio: RatioConfig = RatioConfig()
    expectations: str | dict[str, Any] = Field("mixed", description="a preset, a YAML file, or a suite")
    reference: str | None = Field(
        None,
        description='what diversity is held against: the folder or name of an earlier release, or "human_subset"; empty: nothing',
    )
    structures: tuple[str, ...] = Field(
        (), description="YAML files of systems of structures: what diversity means to whom, and what must hold"
    )
    output: OutputConfig = OutputConfig()
    papers: tuple[PaperName, ...] = Field(
        (), description="papers to write beside a release that passed, into <release>.papers/ (docs/papers.md)"
    )
    runner: RunnerConfig = RunnerConfig()
    _as_written: str | None = PrivateAttr(None)

    @field_validator("release")
    @classmethod
    def _is_a_folder_name(cls, name: str) -> str:
        if not re.fullmatch(RELEASE_NAME, name):
            raise ValueError(f"{name!r} must be letters, digits, '.', '_' or '-', and start with a letter or digit")
        if len(name) > MAX_NAME:
            raise ValueError(f"{name[:20]!r}... is longer than {MAX_NAME} characters; choose a shorter name")
        for ending, what in ((".rejected", "a rejection of"), (".papers", "the papers of")):
            if name.lower().endswith(ending):
                raise ValueError(f"{name!r} is where {what} {name[: -len(ending)]!r} goes; choose another name")
        return name

    @field_validator("structures", "removals", "papers", mode="before")
    @classmethod
    def _one_file_or_more(cls, files: Any) -> Any:
        return [files] if isinstance(files, str) else files

    @field_validator("personal_data", mode="before", json_schema_input_type=bool | PersonalDataConfig)
    @classmethod
    def _counted_or_not(cls, said: Any) -> Any:
        return {"count": said} if isinstance(said, bool) else said

    @field_validator("sources")
    @classmethod
    def _names_differ(cls, sources: tuple[Source, ...]) -> tuple[Source, ...]:
        names = [source.name for source in sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two sources are called {twice[0]!r}; give each its own name")
        return sources

    @model_validator(mode="after")
    def _order_names_sources(self) -> "Recipe":
        names = [source.name for source in self.sources]
        for name in self.dedup.source_order:
            if name not in names:
                raise ValueError(f"dedup.source_order names {name!r}, which is no source; {nearest(name, names)}")
        return self

    @model_validator(mode="after")
    def _limits_name_sources(self) -> "Recipe":
        names = [source.name for source in self.sources]
        for limit in self.ratio.limits:
            if limit.source is not None and limit.source not in names:
                raise ValueError(
                    f"ratio.limits names {limit.source!r}, which is no source; {nearest(limit.source, names)}"
                )
        asks = [n for n in ("fresh_human", "retain_human") if getattr(self.ratio, n) is not None]
        if asks and not self.dedup.against:
            raise ValueError(f"ratio.{asks[0]} is about earlier releases; name their folders in dedup.against")
        if "retain_human" in asks and self.dedup.on_match != "tag":
            raise ValueError("ratio.retain_human needs dedup.on_match: tag, or what earlier releases have is dropped")
        return self

    def fingerprint(self) -> str:
        """SHA-256 of what decides the release: everything but the engine that runs it and where it is put.

        Of a recipe that was read from a file, with its paths as they stand there: the same file is the same recipe, wherever it
        is run from.
        """
        if self._as_written is not None:
            return self._as_written
        content = self.model_dump(mode="json", exclude={"runner": True, "papers": True, "output": {"path"}})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def load_recipe(path: str, overrides: typing.Sequence[str] = ()) -> Recipe:
    """Read a recipe; relative paths in it are relative to its folder.

    Args:
      path: a YAML file.
      overrides: `dotted.key=value`, the value in YAML.

    Raises:
      RecipeError: it cannot be read, or says something that is not a recipe.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such file; `lowbackground init DATA` writes a recipe for your data") from None
    except LoadError as error:
        raise RecipeError(str(error)) from None
    recipe = parse_recipe(text, path, overrides)
    found = rebased(recipe, posixpath.dirname(path.replace("\\", "/")))
    found._as_written = recipe.fingerprint()
    return found


def parse_recipe(text: str, where: str, overrides: typing.Sequence[str] = ()) -> Recipe:
    """Read the text of a recipe, its paths as they stand.

    Args:
      text: YAML.
      where: what it is called in messages.
      overrides: as for `load_recipe`.

    Raises:
      RecipeError: the first thing that is wrong, with its place and, for an unknown key, the nearest known one.
    """
    try:
        loaded = parse_yaml(text, where)
    except LoadError as error:
        raise RecipeError(str(error)) from None
    data = loaded.value
    if not isinstance(data, dict):
        raise RecipeError(f"{where}: a recipe is a mapping with the keys {', '.join(Recipe.model_fields)}")
    changed = [_override(data, override) for override in overrides]
    _remember_secrets(data.get("runner"))  # before anything is said of it
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        first = first_complaint(error)
        place = tuple(map(str, first["loc"]))
        said = next((f"--set {'.'.join(key)}" for key in changed if place[: len(key)] == key), loaded.at(first["loc"]))
        raise RecipeError(redact_message(f"{said}: {_explain(first)}")) from None


def _remember_secrets(section: Any) -> None:
    options = section.get("options") if isinstance(section, dict) else section
    strings = [options] if isinstance(options, str) else options if isinstance(options, list) else []
    redact_options([text for text in strings if isinstance(text, str)])


def _explain(complaint: Any) -> str:
    either = next((at for at, part in enumerate(complaint["loc"][:-1]) if part in _EITHER), None)
    place = ".".join(str(part) for part in complaint["loc"][: None if either is None else either + 1])
    if complaint["type"] == "extra_forbidden":
        *parents, wrong = complaint["loc"]
        known = _known_keys(parents)
        return f"unknown key {place!r}; {nearest(str(wrong), known)}"
    if complaint["type"] == "missing":
        return f"{place!r} is missing"
    if complaint["type"] == "too_short":
        return f"{place}: is empty; name at least one {str(complaint['loc'][-1]).removesuffix('s')}"
    given = complaint["input"]
    if given is None:
        return f"{place}: is empty; give it a value, or leave the line out for the default"
    message = _WANTED.get(complaint["type"], complaint["msg"].removeprefix("Value error, "))
    if either is not None:
        message = f"input should be {_EITHER[complaint['loc'][either]]}"
    message = message[:1].lower() + message[1:]
    if complaint["type"] != "value_error":
        message += f", got {_clipped(given)}"
    if complaint["type"] == "literal_error":
        known = re.findall("'([^']*)'", complaint["ctx"]["expected"])
        near = closest(str(given), known)
        message += f"; did you mean {near!r}?" if near is not None else ""
    return f"{place}: {message}" if place else message


# What is wanted, in YAML's words instead of Python's.
_WANTED = {
    "tuple_type": "input should be a list, as [one, another]",
    "model_type": "input should be a section with keys of its own",
}

# Keys that may be of more than one type: of these pydantic says only what the first one lacks.
_EITHER = {
    "path": "a path, or a list of paths",
    "expectations": "the name of a preset, a file, or a suite, as {suite: mine, expectations: [one, another]}",
}


def _known_keys(parents: list[int | str]) -> list[str]:
    model: Any = Recipe
    for part in parents:
        if isinstance(part, int):
            continue
        model = model.model_fields[part].annotation
        while not (isinstance(model, type) and issubclass(model, BaseModel)):
            model = next(a for a in typing.get_args(model) if a is not Ellipsis)
    return list(model.model_fields)


def _clipped(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _override(data: dict[str, Any], override: str) -> tuple[str, ...]:
    """Change one key. Returns where it is."""
    key, equals, value = override.partition("=")
    if not equals:
        raise RecipeError(f"--set {override}: write it as key=value, for example --set ratio.max_synthetic_share=0.1")
    *parents, last = key.split(".")
    at: Any = data
    for part in parents:
        at = at[int(part)] if isinstance(at, list) and part.isdigit() and int(part) < len(at) else _child(at, part, key)
    if isinstance(at, list) and last.isdigit() and int(last) < len(at):
        at[int(last)] = _value(key, value)
    elif isinstance(at, dict):
        at[last] = _value(key, value)
    else:
        raise RecipeError(f"--set {key}: {'.'.join(parents) or 'the recipe'} is not a section")
    return (*parents, last)


def _value(key: str, value: str) -> Any:
    try:
        return parse_yaml(value, f"--set {key}").value
    except LoadError as error:
        why = re.sub(r"^.*?, line \d+: (not YAML: )?", "", str(error))
        raise RecipeError(f"--set {key}: {value[:MOST_SHOWN]!r} is not YAML: {why}") from None


def _child(at: Any, part: str, key: str) -> Any:
    if not isinstance(at, dict):
        raise RecipeError(f"--set {key}: nothing is called {part!r} there")
    child = at.get(part)
    if child is None:
        child = at[part] = {}
    return child


def _detector(path: str | None, rebase: Callable[[str], str]) -> str | None:
    """Where a detector is: a file, unless it is a plug-in or the bundled word counts."""
    return path if not path or path == "words" or path.startswith(PREFIX) else rebase(path)


def _tokenizer(name: str | None, rebase: Callable[[str], str]) -> str | None:
    """Where a tokenizer is: a file, unless it is a vocabulary of tiktoken."""
    return name if not name or name.startswith(TIKTOKEN) else rebase(name)


def rebased(recipe: Recipe, folder: str) -> Recipe:
    """The same recipe with its relative paths made relative to where the command runs."""

    def rebase(path: str) -> str:
        return joined(folder, path)

    def each(path: str | tuple[str, ...]) -> str | tuple[str, ...]:
        return rebase(path) if isinstance(path, str) else tuple(map(rebase, path))

    sources = tuple(source.model_copy(update={"path": each(source.path)}) for source in recipe.sources)
    against = tuple(
        rebase(one) if isinstance(one, str) else one.model_copy(update={"path": each(one.path)})
        for one in recipe.contamination.against
    )
    model, check, reference = recipe.detector.model, recipe.detector.cross_check, recipe.reference
    phrases = recipe.evidence.phrases
    return recipe.model_copy(
        update={
            "sources": sources,
            "tokenizer": _tokenizer(recipe.tokenizer, rebase),
            "evidence": recipe.evidence.model_copy(update={"phrases": phrases and rebase(phrases)}),
            "detector": recipe.detector.model_copy(
                update={"model": _detector(model, rebase), "cross_check": _detector(check, rebase)}
            ),
            "review": recipe.review.model_copy(update={"labels": tuple(map(rebase, recipe.review.labels))}),
            "reference": rebase(reference) if reference and reference != HUMAN_SUBSET else reference,
            "contamination": recipe.contamination.model_copy(update={"against": against}),
            "removals": tuple(map(rebase, recipe.removals)),
            "dedup": recipe.dedup.model_copy(update={"against": tuple(map(rebase, recipe.dedup.against))}),
            "output": recipe.output.model_copy(update={"path": rebase(recipe.output.path)}),
        }
    )
