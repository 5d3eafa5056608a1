"""A suite: the list of expectations that a release is judged on, read from YAML and checked strictly.

A suite that says something we do not understand is refused: a misspelt severity must never turn a gate off. The shipped
suites are in `expectations/suites/`; `suite_schema()` is the schema for editors.
"""

import hashlib
import importlib.resources
import json
import os
import posixpath
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic

from expectations.errors import UserError
from expectations.language_tags import UNKNOWN, normal_tag
from expectations.loading import Loaded, LoadError, Strict, first_complaint, in_sentence, nearest, parse_yaml, read_text
from expectations.metrics.declared import METRICS, find
from expectations.paths import is_local, joined
from expectations.suite.shorthands import GENERIC, NAMED, schema_of, translated
from expectations.suite.waivers import Waiver
from expectations.wording import SLICE_KINDS

_PARAMETER = re.compile(r"\$([a-z_][a-z0-9_]*)(?:\s*\*\s*(\d+(?:\.\d+)?))?")


class SuiteError(UserError):
    """A suite cannot be used. The message is one line: which key, what is wrong, what would be right."""


def _known_metric(name: str) -> str:
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r}; {nearest(name, list(METRICS))}")
    return name


def _number_or_parameter(limit: float | str) -> float | str:
    if isinstance(limit, str) and not _PARAMETER.fullmatch(limit):
        raise ValueError(
            f'{limit!r} is neither a number nor "$parameter" nor "$parameter * 2"; write a number as 0.001'
        )
    return limit


Metric = Annotated[str, pydantic.AfterValidator(_known_metric), pydantic.Field(json_schema_extra={"enum": [*METRICS]})]
Number = Annotated[float, pydantic.Field(strict=True, allow_inf_nan=False)]
Limit = Annotated[Number | str, pydantic.AfterValidator(_number_or_parameter)]


class Expectation(Strict):
    """One thing that must be true of the metrics table (`contracts.METRICS`)."""

    expect: Literal["metric_to_be_between"]
    metric: Metric
    stage: Literal["before", "deduplicated", "after"] = "after"
    slice_kind: Annotated[str, pydantic.Field(json_schema_extra={"enum": [*SLICE_KINDS]})] = "overall"
    slice: str | None = pydantic.Field(
        None, description='One slice, or all under "name/*"; without it every slice of the kind must hold.'
    )
    bound: Literal["value", "lower", "upper"] = pydantic.Field("value", description="Which number is compared.")
    min: Limit | None = pydantic.Field(None, description='A number, "$parameter" or "$parameter * 2"; inclusive.')
    max: Limit | None = pydantic.Field(None, description='A number, "$parameter" or "$parameter * 2"; inclusive.')
    min_documents: int = pydantic.Field(
        0,
        ge=0,
        description="A number that rests on fewer is inconclusive: a warning, never a pass, unless it clearly fails.",
    )
    unsure: Literal["fail", "inconclusive"] = pydantic.Field(
        "fail", description="What it is if the value is within the limits and the bound is not."
    )
    severity: Literal["critical", "warning", "info"] = "critical"
    notes: str = ""
    waivers: tuple[Waiver, ...] = pydantic.Field((), description="Who lets it pass all the same, why, and until when.")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _by_name(cls, item: Any) -> Any:
        return translated(item) if isinstance(item, Mapping) else item

    @pydantic.field_validator("slice_kind")
    @classmethod
    def _known_kind(cls, kind: str) -> str:
        if kind not in SLICE_KINDS:
            raise ValueError(f"unknown slice kind {kind!r}; {nearest(kind, list(SLICE_KINDS))}")
        return kind

    @pydantic.field_validator("slice")
    @classmethod
    def _one_tag(cls, slice_: str | None, info: pydantic.ValidationInfo) -> str | None:
        of_language = slice_ is not None and info.data.get("slice_kind") == "language"
        return normal_tag(slice_) or UNKNOWN if of_language else slice_

    @pydantic.model_validator(mode="after")
    def _sensible(self) -> "Expectation":
        if self.min is None and self.max is None:
            raise ValueError("has neither min nor max, so it could never fail; give at least one")
        if self.slice is not None and self.slice_kind == "overall":
            raise ValueError(f"slice {self.slice!r} needs a slice_kind, such as source")
        if isinstance(self.min, float) and isinstance(self.max, float) and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}, so it could never hold")
        for waiver in self.waivers:
            if waiver.slice is not None and self.slice_kind == "overall":
                raise ValueError(f"waiver of slice {waiver.slice!r}: the expectation has no slices; leave slice out")
        return self


class Suite(Strict):
    """A named list of expectations."""

    suite: str = pydantic.Field(description="Its name, shown in the verdict and the report.")
    description: str = ""
    expectations: tuple[Expectation, ...] = pydantic.Field(min_length=1)

    def sha256(self) -> str:
        """The fingerprint of the suite as written (before parameters), over its meaning and not its layout."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()

    def resolve(self, params: Mapping[str, float | None]) -> "Suite":
        """The same suite with every `$parameter` replaced by its number.

        Raises:
          SuiteError: a parameter is not in `params`, is None, or makes min exceed max.
        """
        resolved = []
        for place, item in enumerate(self.expectations):
            numbers = {
                side: _number(limit, params, f"suite {self.suite}: expectations[{place}].{side}")
                for side, limit in (("min", item.min), ("max", item.max))
            }
            resolved.append(item.model_dump() | numbers)
        return _validated({**self.model_dump(), "expectations": resolved}, f"suite {self.suite}, with its parameters")


def suite_schema() -> dict[str, Any]:
    """JSON Schema of a suite, with the expectations by name that `Expectation` reads as the generic one."""
    schema = Suite.model_json_schema()
    schema["required"].remove("suite")  # a file's name will do
    generic = schema["$defs"]["Expectation"]
    named = [schema_of(name, generic) for name in NAMED]
    schema["properties"]["expectations"]["items"] = {"anyOf": [{"$ref": "#/$defs/Expectation"}, *named]}
    return schema


def presets() -> list[str]:
    """The names of the suites that ship with the package, sorted."""
    folder = importlib.resources.files("expectations") / "suites"
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_suite(value: str | Mapping[str, Any], base_dir: str = ".", kept: bool = False) -> Suite:
    """Load the suite that a recipe's `expectations:` key names.

    Args:
      value: the name of a preset, the path of a YAML file (relative to `base_dir`), or the suite itself as a mapping.
      base_dir: the folder of the recipe.
      kept: whether it is the copy that a release keeps of its suite, which was good when the release was made.

    Raises:
      SuiteError: there is no such suite, it says something we do not understand, or it has a limit that cannot fail.
    """
    if isinstance(value, Mapping):
        return _can_fail(_validated({"suite": "recipe", **value}, "inline suite"), "inline suite", kept)
    if not isinstance(value, str):
        raise SuiteError(f"expectations: got {value!r}; write a preset ({', '.join(presets())}), a path or a mapping")
    if value in presets():
        text = (importlib.resources.files("expectations") / "suites" / f"{value}.yaml").read_text("utf-8")
        return _validated(parsed(text, f"suite {value}").value, f"suite {value}")
    path = joined(base_dir, value)
    name, ending = posixpath.splitext(posixpath.basename(path))
    if not ending and is_local(path) and not os.path.exists(path):
        raise SuiteError(f"expectations: no suite {value!r}; {nearest(value, presets())}, or the path of a YAML file")
    try:
        loaded = parsed(read_text(path), path)
    except (LoadError, FileNotFoundError) as error:
        why = str(error).removeprefix(f"{path}: ") if isinstance(error, LoadError) else error.strerror
        raise SuiteError(f"expectations: cannot read {path}: {why}") from error
    suite = _validated({"suite": name, **loaded.value}, path, loaded)
    return _can_fail(suite, path, kept, loaded)


def _can_fail(suite: Suite, where: str, kept: bool, loaded: Loaded | None = None) -> Suite:
    """The suite, if each of its limits that is a number can be broken by some release, and kept by some other."""
    for place, item in enumerate(suite.expectations if not kept else ()):
        for side, other in (("min", item.max), ("max", item.min)):
            limit = getattr(item, side)
            if isinstance(limit, float) and (wrong := idle_limit(item.metric, side, limit, other is not None)):
                at = loaded.at(("expectations", place, side)) if loaded else where
                raise SuiteError(f"{at}: expectations[{place}].{side}: {wrong}")
    return suite


def idle_limit(metric: str, side: str, limit: float, is_pair: bool) -> str:
    """What is wrong with a limit that every release keeps, or none can, and the nearest that would do; empty: nothing.

    Args:
      metric: that it is a limit of.
      side: "min" or "max".
      limit: a number.
      is_pair: whether the expectation has the other limit too: then the end of what there is, `min: 0`, may be said.
    """
    about = find(metric)
    lowest, highest = about.range
    is_max = side == "max"
    end = highest if is_max else lowest
    beyond = limit > end if is_max else limit < end
    never_holds = limit < lowest if is_max else limit > highest
    if not never_holds and not beyond and (limit != end or is_pair):
        return ""
    kind = "a share" if about.form == "share" else "this number"
    said = f"{limit:g} is {'below' if is_max else 'above'} all that {kind} can be, so it could never hold"
    if not never_holds:
        said = f"{kind} is never {'above' if is_max else 'below'} {end:g}, so {limit:g} could never fail"
    if about.form == "share" and 1 < limit <= 100:
        return f"{said}; for {limit:g} % write {limit / 100:g}"
    if about.form == "share":
        return f"{said}; write a fraction, such as {0.99 if is_max else 0.01:g} for {99 if is_max else 1} %"
    if never_holds:
        return f"{said}; write {lowest:g} or more"
    return f"{said}; the nearest that could is {lowest + (1 if about.form == 'count' else 0.1):g}"


def parsed(text: str, where: str, what: str = "a suite is a mapping with the key 'expectations'") -> Loaded:
    """A YAML file that is a mapping, read strictly (expectations/loading.py).

    Raises:
      SuiteError: it is not; the message says where.
    """
    try:
        loaded = parse_yaml(text, where)
    except LoadError as error:
        raise SuiteError(str(error)) from error
    if not isinstance(loaded.value, dict):
        raise SuiteError(f"{where}: {what}, got {type(loaded.value).__name__}")
    return loaded


def _validated(data: Mapping[str, Any], where: str, loaded: Loaded | None = None) -> Suite:
    try:
        return Suite.model_validate(dict(data))
    except pydantic.ValidationError as error:
        first = first_complaint(error)
        raise SuiteError(f"{loaded.at(first['loc']) if loaded else where}: {_said(first)}") from error


def _said(first: Any) -> str:
    given, kind, wanted = first["input"], first["type"], ""
    # "float" and "str" are the branches of "number or parameter", no keys of ours.
    place = [step for step in first["loc"] if step not in ("float", "str")]
    nested = (("waivers", Waiver), ("expectations", Expectation))
    known = next((model for key, model in nested if key in place[:-1]), Suite).model_fields
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", first["ctx"]["expected"])
        words += list(NAMED) if GENERIC in words else []
        wanted = f"unknown value {given!r}; {nearest(str(given), words)}"
    elif isinstance(given, bool):
        pass
    elif kind == "too_short":
        wanted = "is empty, so nothing would be checked; give at least one expectation"
    elif kind in ("tuple_type", "model_type"):
        wanted = f"should be a {'list' if kind == 'tuple_type' else 'mapping'}, got {str(given)[:80]!r}"
    return in_sentence(first, place, known, wanted)


def _number(limit: float | str | None, params: Mapping[str, float | None], where: str) -> float | None:
    if not isinstance(limit, str):
        return limit
    match = _PARAMETER.fullmatch(limit)
    assert match, limit
    value = params.get(match[1])
    if value is None:
        given = ", ".join(sorted(key for key, have in params.items() if have is not None)) or "none"
        raise SuiteError(f"{where}: parameter ${match[1]} is not set (set: {given}); set it or write a number")
    return float(value) * float(match[2] or 1)
