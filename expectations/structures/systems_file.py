"""Files of systems: YAML in and out, their schema for editors, and what is wrong with one in one line."""

import hashlib
import posixpath
import re
from collections.abc import Sequence
from typing import Annotated, Any, get_args

import pydantic

from expectations.loading import LoadError, Strict, as_yaml, first_complaint, in_sentence, nearest, read_text
from expectations.paths import joined, open_for_reading
from expectations.structures.rules import Rule
from expectations.structures.structure import LabelledFile, Lexicon, Sample, Structure
from expectations.structures.system import Owner, Slice, StructuresError, System
from expectations.suite.suite import SuiteError, parsed


class _SystemsFile(Strict):
    systems: Annotated[tuple[System, ...], pydantic.Field(min_length=1)]


def load_systems(paths: Sequence[str], base_dir: str = ".") -> tuple[System, ...]:
    """Load the systems that a recipe's `structures:` key names; the terms of `terms_file` become part of them.

    Args:
      paths: YAML files, relative to `base_dir`. A `terms_file` in them is relative to the file that names it, a release
        too.
      base_dir: the folder of the recipe.

    Raises:
      StructuresError: a file cannot be read, or says something we do not understand.
    """
    systems = [system for path in paths for system in _load(joined(base_dir, path))]
    names = [system.id for system in systems]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise StructuresError(f"structures: two systems are called {twice[0]!r}; give each its own id")
    return tuple(systems)


def _load(path: str) -> tuple[System, ...]:
    try:
        loaded = parsed(_text(path, "structures"), path, "it is a mapping with the key 'systems'")
        systems = _SystemsFile.model_validate(_with_terms(loaded.value, path)).systems
    except pydantic.ValidationError as error:
        steps, said = _one_line(error)
        raise StructuresError(f"{loaded.at(steps)}: {said}") from error
    except SuiteError as error:
        raise StructuresError(str(error)) from error
    for system in systems:
        for structure in system.structures:
            if isinstance(structure, Lexicon) and not structure.terms:
                raise StructuresError(f"{path}: {system.id}.{structure.id} has no terms; give `terms` or `terms_file`")
    return systems


def _text(path: str, what: str) -> str:
    try:
        return read_text(path)
    except (LoadError, FileNotFoundError) as error:
        why = str(error).removeprefix(f"{path}: ") if isinstance(error, LoadError) else error.strerror
        raise StructuresError(f"{what}: cannot read {path}: {why}") from error


def _with_terms(data: dict[str, Any], path: str) -> dict[str, Any]:
    """The same with the words of each `terms_file`, and releases, as seen from here. What is malformed is left to pydantic."""
    for system in data.get("systems") or [] if isinstance(data.get("systems"), list) else []:
        if not isinstance(system, dict):
            continue
        reference, structures = system.get("reference"), system.get("structures")
        if isinstance(reference, dict) and isinstance(reference.get("release"), str) and len(reference) == 1:
            folder = reference["release"]
            system["reference"] = {"release": joined(posixpath.dirname(path), folder)}
        for structure in structures if isinstance(structures, list) else []:
            if isinstance(structure, dict) and structure.get("kind") == "classifier":
                _find_files(structure, path)
            own = structure.get("terms", []) if isinstance(structure, dict) else None
            if isinstance(own, list) and isinstance(structure.get("terms_file"), str):
                lines = _text(
                    joined(posixpath.dirname(path), structure.pop("terms_file")), f"{path}: terms_file"
                ).splitlines()
                terms = (re.split(r"(?:^|\s)#", line)[0].strip() for line in lines)
                structure["terms"] = [*own, *(term for term in terms if term)]
    return data


def _find_files(structure: dict[str, Any], path: str) -> None:
    """The files of a classifier as seen from here, and what its model is."""
    labelled, model = structure.get("labelled"), structure.get("model")
    if isinstance(labelled, dict) and isinstance(labelled.get("file"), str):
        structure["labelled"] = labelled | {"file": joined(posixpath.dirname(path), labelled["file"])}
    if isinstance(model, str):
        structure["model"] = joined(posixpath.dirname(path), model)
        if structure.get("model_sha256") is None:  # a release's own copy says it, wherever the file is by then
            try:
                with open_for_reading(structure["model"]) as file:
                    structure["model_sha256"] = hashlib.sha256(file.read()).hexdigest()
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or error
                raise StructuresError(f"{path}: model: cannot read {structure['model']}: {why}") from error


def systems_yaml(systems: tuple[System, ...]) -> str:
    """Systems as YAML with every default and every term written out: `load_systems` reads it again."""
    return as_yaml({"systems": [s.model_dump(mode="json") for s in systems]})


def systems_schema() -> dict[str, Any]:
    """JSON Schema of a file of systems."""
    return _SystemsFile.model_json_schema()


def _by_kind(union: Any) -> dict[str, type[pydantic.BaseModel]]:
    """The members of a union that its `kind` tells apart, by that word."""
    members = get_args(get_args(union)[0])
    return {get_args(member.model_fields["kind"].annotation)[0]: member for member in members}


_MODELS, _RULES = _by_kind(Structure), _by_kind(Rule)


def _one_line(error: pydantic.ValidationError) -> tuple[list[Any], str]:
    """The place of the first complaint, and it as `path: what is wrong; what would be right`."""
    first = first_complaint(error)
    steps = list(first["loc"])
    # The kind of a structure or rule is a step of pydantic's behind its number, no key of the file.
    shown = [
        step
        for before, step in zip([None, *steps], steps, strict=False)
        if not (isinstance(before, int) and step in _MODELS | _RULES)
    ]
    keys = _model_at(steps[:-1]).model_fields if first["type"] == "extra_forbidden" else ()
    return shown, in_sentence(first, shown, keys, _wanted(first, steps))


def _wanted(first: Any, steps: list[Any]) -> str:
    given, kind, context = first["input"], first["type"], first.get("ctx", {})
    if kind == "union_tag_invalid":
        return f"unknown kind {context['tag']!r}; {nearest(context['tag'], _RULES if 'expectations' in steps else _MODELS)}"
    if kind == "union_tag_not_found":
        return "has no `kind`"
    if kind == "string_pattern_mismatch":
        return f"{given[:60]!r} is no id; use at most 40 small letters, digits, '_' and '-', a letter first"
    if kind == "literal_error":
        return f"unknown value {str(given)[:60]!r}; known: {context['expected']}"
    if kind == "model_type" and steps[-1:] == ["owner"]:
        return f"an owner is a team and how to reach it, {{team: ..., contact: ...}}, got {str(given)[:80]!r}"
    return ""


def _model_at(steps: list[Any]) -> type[pydantic.BaseModel]:
    """The model whose keys a place in the file has."""
    known: dict[str, Any] = {"slice": Slice, "owner": Owner, "sample": Sample, "labelled": LabelledFile} | (
        _RULES if "expectations" in steps else _MODELS
    )
    model: type[pydantic.BaseModel] = known.get(str(steps[-1]), System) if steps else _SystemsFile
    return model
