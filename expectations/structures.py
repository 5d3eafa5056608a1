"""Systems of structures: what diversity means to those whom a corpus concerns, in their own YAML, checked strictly.

A *structure* is something a document has or has not: a word of a list, a match of a pattern, a value in a column. A
*system* is a list of structures with an owner, who says why they matter and what must become of them. The framework is
that of arXiv 2601.06116 (Rios-Sialer), turned from what a model writes to what a corpus holds; the arithmetic is in
transforms/kernels/statistics/structures.py. What is not declared is not claimed.

`systems_schema()` is the schema for editors.
"""

import datetime
import hashlib
import json
import math
import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pydantic

from expectations.language_tags import normal_tag
from expectations.loading import LoadError, Share, Strict, as_yaml, first_complaint, in_sentence, nearest, read_text
from expectations.paths import joined, open_for_reading
from expectations.suite.suite import Expectation, SuiteError, parsed

MOST_STRUCTURES = 12  # of one system: their combinations are counted
MIN_DOCUMENTS = 300  # to see a fifth of a structure go that half of the documents have


class StructuresError(SuiteError):
    """A system cannot be used. The message is one line: which file and key, what is wrong, what would be right."""


Id = Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Ratio = Annotated[float, pydantic.Field(gt=0, strict=True, allow_inf_nan=False)]
Words = Annotated[tuple[str, ...], pydantic.Field(min_length=1)]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


OneOrMore = Annotated[Words, pydantic.BeforeValidator(_listed, json_schema_input_type=str | Words)]


class Owner(Strict):
    """Who speaks: labels are norms, so somebody stands behind them."""

    team: Annotated[str, pydantic.Field(min_length=1)]
    contact: str = ""


class Slice(Strict):
    """Which documents a system speaks of: those that meet every condition. One of which a date is asked and not known is out."""

    source: OneOrMore | None = None
    language: OneOrMore | None = pydantic.Field(None, description="tags, as en; eng_Latn is one, too")
    origin: OneOrMore | None = None
    min_tokens: Annotated[int, pydantic.Field(ge=0)] = 0
    created_from: datetime.date | None = None
    created_before: datetime.date | None = None
    columns: dict[str, OneOrMore] = pydantic.Field({}, description="columns of the input and the values that count")

    @pydantic.field_validator("language")
    @classmethod
    def _one_tag(cls, languages: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if languages is None else tuple(map(normal_tag, languages))

    @pydantic.field_validator("origin")
    @classmethod
    def _known_origin(cls, origins: tuple[str, ...] | None) -> tuple[str, ...] | None:
        known = ["human", "synthetic", "unknown"]
        for origin in origins or ():
            if origin not in known:
                raise ValueError(f"unknown origin {origin!r}; {nearest(origin, known)}")
        return origins


class Lexicon(Strict):
    """Has at least `min_terms` different terms of a list, as whole words of the canonical text (case, quotes folded)."""

    kind: Literal["lexicon"]
    id: Id
    terms: tuple[str, ...] = ()
    terms_file: str | None = pydantic.Field(
        None, description="one term a line, added to `terms`; # after a space, or first, starts a comment"
    )
    min_terms: Annotated[int, pydantic.Field(ge=1)] = 1
    note: str = ""


class Regex(Strict):
    """Matches an RE2 pattern anywhere in the text."""

    kind: Literal["regex"]
    id: Id
    pattern: Annotated[str, pydantic.Field(min_length=1)]
    ignore_case: bool = True
    note: str = ""

    @pydantic.field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            matches_nothing = pc.match_substring_regex(pa.array([""]), pattern=pattern)[0].as_py()
        except pa.ArrowInvalid as error:
            reason = str(error).removeprefix("Invalid regular expression: ")
            raise ValueError(
                f"RE2 cannot use the pattern ({reason}); it has no look-around and no back-reference"
            ) from None
        if matches_nothing:
            raise ValueError("the pattern matches the empty text, so every document; make it ask for something")
        return pattern


class Column(Strict):
    """A column of the input has one of some values."""

    kind: Literal["column"]
    id: Id
    column: Annotated[str, pydantic.Field(min_length=1)]
    values: OneOrMore
    note: str = ""

    @pydantic.field_validator("column")
    @classmethod
    def _not_text(cls, column: str) -> str:
        if column in ("text", "created"):
            raise ValueError(f"{column!r} is no label; use a lexicon or regex for text, the slice for dates")
        return column


Count = Annotated[int, pydantic.Field(ge=0, strict=True)]


class Sample(Strict):
    """How a classifier did on documents that people labelled, none of which it was trained on."""

    positives: Annotated[Count, pydantic.Field(ge=1, description="documents that have the structure")]
    found: Annotated[Count, pydantic.Field(description="how many of them it found")]
    negatives: Annotated[Count, pydantic.Field(ge=1, description="documents that have it not")]
    alarmed: Annotated[Count, pydantic.Field(description="how many of those it found all the same")]

    @pydantic.model_validator(mode="after")
    def _tells_apart(self) -> "Sample":
        for part, whole in (("found", "positives"), ("alarmed", "negatives")):
            if getattr(self, part) > getattr(self, whole):
                raise ValueError(f"{part} is more than {whole}")
        if self.found * self.negatives <= self.alarmed * self.positives:
            raise ValueError(
                f"it finds {self.found} of {self.positives} that have the structure and {self.alarmed} of {self.negatives} "
                "that have not, so it tells nothing; use another threshold or classifier"
            )
        return self

    def said(self) -> str:
        """In words."""
        return (
            f"it found {self.found:,} of {self.positives:,} that have it and {self.alarmed:,} of {self.negatives:,} that "
            "have not"
        )


class LabelledFile(Strict):
    """A Parquet file of labelled documents, such as `audit export` writes: the text, or the scores, beside a label."""

    file: Annotated[str, pydantic.Field(min_length=1)]
    label: str = pydantic.Field("label", description="the column of labels; null: not labelled, and left out")
    positive: OneOrMore = pydantic.Field(
        description="labels of documents that have the structure; any other has it not"
    )


class Classifier(Strict):
    """A score at or above a threshold: of a column of the input, or of a two-class fastText model.

    What it says is corrected by what it got wrong on a labelled sample, and is not accepted without one. Documents that it
    cannot judge, without a score or a word it knows, are outside of the system's slice.
    """

    kind: Literal["classifier"]
    id: Id
    column: str | None = pydantic.Field(None, description="a column of numbers of the input")
    model: str | None = pydantic.Field(None, description="a fastText model, .bin or .ftz, with two labels")
    positive_label: str | None = pydantic.Field(
        None, description="of the model: the label of documents that have the structure, without __label__"
    )
    threshold: Annotated[float, pydantic.Field(strict=True, allow_inf_nan=False)] = pydantic.Field(
        description="the least score of a document that has it; of a model, the probability of its label"
    )
    sample: Sample | None = pydantic.Field(None, description="counts of the labelled sample, of a column")
    labelled: LabelledFile | None = pydantic.Field(
        None, description="or the sample itself, from which they are counted"
    )
    model_sha256: str | None = pydantic.Field(None, description="of the model's file; filled in")
    note: str = ""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _needs_labels(cls, value: Any) -> Any:
        if isinstance(value, dict) and not value.get("sample") and not value.get("labelled"):
            raise ValueError(
                "kind 'classifier' needs a labelled sample, or it takes its own errors for a norm; give "
                "labelled: {file: labels.parquet, positive: [...]} or sample: {positives: ..., found: ..., negatives: ..., "
                "alarmed: ...}"
            )
        return value

    @pydantic.model_validator(mode="after")
    def _one_score(self) -> "Classifier":
        if (self.column is None) == (self.model is None):
            raise ValueError("a classifier is either a `column` of scores or a `model`")
        if self.column in ("", "text", "created", "source"):
            raise ValueError(f"{self.column!r} is no column of scores")
        if self.model is None and self.positive_label is not None:
            raise ValueError("`positive_label` belongs to a `model`")
        if self.model is not None:
            if not self.positive_label:
                raise ValueError("`positive_label` says which of the model's two labels is the structure's")
            if not 0 < self.threshold < 1:
                raise ValueError(f"the threshold of a model is a probability between 0 and 1, got {self.threshold}")
            if self.labelled is None:
                raise ValueError(
                    "the errors of a model are counted here, on the form of the text that it is given here; give `labelled`"
                )
        return self


Structure = Annotated[Lexicon | Regex | Column | Classifier, pydantic.Field(discriminator="kind")]


class StructureReference(Strict):
    """What the release is held against: `human_subset`, `uniform`, `{release: FOLDER}` or `{structure: share, ...}`."""

    kind: Literal["human_subset", "uniform", "release", "target"]
    release: str | None = None
    target: tuple[tuple[str, Share], ...] = ()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _written(cls, value: Any) -> Any:
        if value in ("human_subset", "uniform"):
            return {"kind": value}
        if isinstance(value, dict) and set(value) == {"release"} and isinstance(value["release"], str):
            return {"kind": "release", "release": value["release"]}
        if value and isinstance(value, dict) and all(isinstance(share, int | float) for share in value.values()):
            return {"kind": "target", "target": [(name, float(share)) for name, share in value.items()]}
        raise ValueError(
            f"{str(value)[:80]!r} is no reference; write human_subset, uniform, {{release: FOLDER}} or a share for each structure"
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        """As people write it."""
        share = {"type": "number", "minimum": 0, "maximum": 1}
        return {
            "description": cls.__doc__,
            "anyOf": [
                {"enum": ["human_subset", "uniform"]},
                {
                    "type": "object",
                    "properties": {"release": {"type": "string"}},
                    "required": ["release"],
                    "additionalProperties": False,
                },
                {"type": "object", "additionalProperties": share, "minProperties": 1},
            ],
        }

    @pydantic.model_serializer
    def _as_written(self) -> Any:
        if self.kind == "release":
            return {"release": self.release}
        return dict(self.target) if self.kind == "target" else self.kind


class _Rule(Strict):
    severity: Literal["critical", "warning", "info"] = "critical"
    notes: str = ""
    of_documents: ClassVar[bool] = False  # whether the reference has to be documents, and not shares alone


class MinShare(_Rule):
    """The core of a structure does not fall under a floor."""

    kind: Literal["min_share"]
    structure: str
    min: Share


class Retention(_Rule):
    """Each core is at least this fraction of the reference's."""

    kind: Literal["retention"]
    structures: Literal["all"] | Words = "all"
    min: Ratio


class MaxCore(_Rule):
    """No structure becomes the norm."""

    kind: Literal["max_core"]
    structures: Literal["all"] | Words = "all"
    max: Share


class ExpectedDevianceRatio(_Rule):
    """Documents differ from the core about as much as the reference's do."""

    of_documents = True
    kind: Literal["expected_deviance_ratio"]
    min: Ratio


class CoreEffectiveNumber(_Rule):
    """As many structures effectively share the core as in the reference (Hill number of order 1)."""

    kind: Literal["core_effective_number"]
    min_ratio: Ratio


class TargetDistribution(_Rule):
    """Within a group of structures, shares are near to a target: Jensen-Shannon divergence, in bits."""

    kind: Literal["target_distribution"]
    group: Words
    target: Literal["reference"] | dict[str, Share] = "reference"
    measure: Literal["jsd"] = "jsd"
    max: Annotated[float, pydantic.Field(gt=0, le=1, strict=True, allow_inf_nan=False)]


class Avoid(_Rule):
    """A structure that should stay rare."""

    kind: Literal["avoid"]
    structure: str
    max: Share


class Association(_Rule):
    """`then` is not much more frequent where `given` is than where `vs_given` is."""

    kind: Literal["association"]
    given: str
    then: str
    vs_given: str
    max_risk_ratio: Ratio


class StageDelta(_Rule):
    """A stage of the pipeline does not norm away what it was given."""

    kind: Literal["stage_delta"]
    stage: Literal["dedup", "balance"]
    structures: Literal["all"] | Words = "all"
    max_retention_loss: Share


Rule = Annotated[
    MinShare
    | Retention
    | MaxCore
    | ExpectedDevianceRatio
    | CoreEffectiveNumber
    | TargetDistribution
    | Avoid
    | Association
    | StageDelta,
    pydantic.Field(discriminator="kind"),
]
STAGE_AFTER = {"dedup": "deduplicated", "balance": "after"}  # what a stage leaves, in the words of the metrics


class System(Strict):
    """A named list of structures, who owns it and why, whom it speaks of, and what must hold."""

    id: Id
    owner: Owner
    rationale: Annotated[str, pydantic.Field(min_length=1)]
    slice: Slice = Slice()
    weight: Literal["docs", "tokens"] = "docs"
    structures: Annotated[tuple[Structure, ...], pydantic.Field(min_length=1, max_length=MOST_STRUCTURES)]
    reference: StructureReference = StructureReference.model_validate("human_subset")
    min_documents: Annotated[int, pydantic.Field(ge=1)] = pydantic.Field(
        MIN_DOCUMENTS, description="fewer on either side make what is said of the system as a whole inconclusive"
    )
    expectations: tuple[Rule, ...] = ()

    @property
    def names(self) -> list[str]:
        """The ids of its structures, in order: bit i of a pattern is structure i."""
        return [structure.id for structure in self.structures]

    @property
    def classifiers(self) -> list[str]:
        """Those of its structures whose shares are corrected."""
        return [structure.id for structure in self.structures if isinstance(structure, Classifier)]

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> "System":
        names = self.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two structures are called {twice[0]!r}; give each its own id")
        for rule in self.expectations:
            self._check(rule)
            self._check_classifiers(rule)
        if self.classifiers and self.weight == "tokens":
            raise ValueError(
                "weight: tokens cannot be used with a classifier: its errors are counted in documents, and long ones may be "
                "easier; use weight: docs"
            )
        if self.reference.kind == "target" and sorted(dict(self.reference.target)) != sorted(names):
            wrong = sorted(set(dict(self.reference.target)) ^ set(names))
            raise ValueError(f"reference: it gives a share for each structure and nothing else; look at {wrong[0]!r}")
        if self.reference.kind == "human_subset" and self.slice.origin and "human" not in self.slice.origin:
            raise ValueError("reference: human_subset is empty in a slice without origin human; use another reference")
        return self

    def _check_classifiers(self, rule: Any) -> None:
        """The share of one structure can be corrected; what rests on how structures meet in a document cannot."""
        if isinstance(rule, ExpectedDevianceRatio | CoreEffectiveNumber):
            meet = self.classifiers
        elif isinstance(rule, TargetDistribution | Association):
            named = rule.group if isinstance(rule, TargetDistribution) else (rule.given, rule.then, rule.vs_given)
            meet = [name for name in named if name in self.classifiers]
        else:
            meet = []
        if meet:
            raise ValueError(
                f"{rule.kind} rests on how structures meet in documents, and what the classifier of {meet[0]!r} gets wrong "
                "cannot be corrected there; ask for min_share, max_core, avoid, retention or stage_delta, or put it into a "
                "system of its own"
            )

    def _check(self, rule: Any) -> None:
        named = [getattr(rule, key, None) for key in ("structure", "given", "then", "vs_given")]
        lists = [getattr(rule, key, ()) for key in ("structures", "group")]
        target = getattr(rule, "target", "reference")
        for name in [*named, *(one for words in lists if words != "all" for one in words)]:
            if name is not None and name not in self.names:
                raise ValueError(f"{rule.kind} names {name!r}, which is no structure; {nearest(name, self.names)}")
        if target != "reference" and sorted(target) != sorted(rule.group):
            raise ValueError(
                "target_distribution: `target` gives a share for each structure of `group` and nothing else"
            )
        if rule.of_documents and self.reference.kind in ("uniform", "target"):
            raise ValueError(f"{rule.kind} needs a reference made of documents: human_subset or a release")

    def definition(self) -> str:
        """SHA-256 of what its numbers mean: structures, slice and weight; not of who asks, nor of what is asked."""
        return _digest(self.model_dump(mode="json", include={"slice", "weight"}) | {"structures": self._looked_for()})

    def looked_for(self) -> str:
        """SHA-256 of what is looked for in a document: structures, and the values of columns that the slice asks."""
        return _digest({"columns": self.slice.columns, "structures": self._looked_for()})

    def _looked_for(self) -> list[dict[str, Any]]:
        said: list[dict[str, Any]] = self.model_dump(mode="json", include={"structures"})["structures"]
        # What the labels say of a classifier corrects what it found, and finds nothing else.
        apart = {"classifier": ("model", "sample", "labelled")}
        return [
            {key: value for key, value in one.items() if key != "note" and key not in apart.get(one["kind"], ())}
            for one in said
        ]

    def sha256(self) -> str:
        """SHA-256 of all that it says, terms included."""
        return _digest(self.model_dump(mode="json"))


def _digest(said: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


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


def documents_needed(core: float) -> int:
    """Documents on each side that it takes to see a fifth of a structure go (one-sided 95 %, power 80 %): 280 (1 - m) / m."""
    return math.ceil(280 * (1 - core) / core - 1e-9) if core > 0 else 2**62


def rules(systems: tuple[System, ...]) -> Iterator[Expectation]:
    """What systems expect, as expectations about the metrics table (transforms/structures/shares.py makes its rows)."""
    for system in systems:
        for rule in system.expectations:
            for asked in _asked(system, rule):
                why = f"{system.id}, owned by {system.owner.team}: {rule.notes or system.rationale}"
                yield Expectation(
                    expect="metric_to_be_between", severity=rule.severity, notes=why, unsure="inconclusive", **asked
                )


def _asked(system: System, rule: Any) -> Iterator[dict[str, Any]]:
    """Each rule reads the bound that speaks against the release; a stage's own effect is counted, if no classifier errs in it.

    A rule passes if that bound is within the limit and fails if the value is not. Between the two it is inconclusive: at
    the least data, a release that lost nothing would else fail one time in five.
    """
    about: dict[str, Any] = {"slice_kind": "structure"}
    whole = {"slice_kind": "system", "slice": system.id, "bound": "lower"}
    match rule:
        case MinShare() | MaxCore() | Avoid():
            yield from _about_core(system, rule)
        case Retention():
            for slice_ in _slices(system, rule.structures):
                yield about | {"metric": "structure.retention", "slice": slice_, "bound": "lower", "min": rule.min}
        case StageDelta():
            each = system.names if rule.structures == "all" and system.classifiers else rule.structures
            for slice_ in _slices(system, each):
                one = about | {"metric": "structure.stage_retention", "slice": slice_, "stage": STAGE_AFTER[rule.stage]}
                corrected = {"bound": "lower"} if slice_.partition("/")[2] in system.classifiers else {}
                yield one | corrected | {"min": 1 - rule.max_retention_loss}
        case ExpectedDevianceRatio():
            yield whole | {"metric": "structure.expected_deviance_ratio", "min": rule.min}
        case CoreEffectiveNumber():
            yield whole | {"metric": "structure.effective_number_ratio", "min": rule.min_ratio}
        case TargetDistribution():
            one = {"metric": "structure.divergence", "slice_kind": "group", "slice": group_slice(system, rule)}
            yield one | {"bound": "upper", "max": rule.max}
        case Association():
            one = {"metric": "structure.association", "slice_kind": "association", "bound": "upper"}
            yield one | {"slice": association_slice(system, rule), "max": rule.max_risk_ratio}


def _about_core(system: System, rule: Any) -> Iterator[dict[str, Any]]:
    low, high = getattr(rule, "min", None), getattr(rule, "max", None)
    slices = _slices(system, rule.structures if isinstance(rule, MaxCore) else (rule.structure,))
    needed = system.min_documents if isinstance(rule, MaxCore) else documents_needed(low or high or 1)
    about = {"metric": "structure.core", "slice_kind": "structure", "min_documents": needed}
    for slice_ in slices:
        yield (
            about
            | ({"bound": "upper", "max": high} if low is None else {"bound": "lower", "min": low})
            | {"slice": slice_}
        )


def _slices(system: System, structures: Any) -> list[str]:
    return [f"{system.id}/*"] if structures == "all" else [f"{system.id}/{name}" for name in structures]


def group_slice(system: System, rule: TargetDistribution) -> str:
    """What the rows of a target distribution are called; targets that differ are different rows."""
    target = "" if rule.target == "reference" else "=" + ",".join(f"{rule.target[name]:g}" for name in rule.group)
    return f"{system.id}/{'+'.join(rule.group)}{target}"


def association_slice(system: System, rule: Association) -> str:
    """What the row of an association is called."""
    return f"{system.id}/{rule.then} given {rule.given} against {rule.vs_given}"


_MODELS: dict[str, type[pydantic.BaseModel]] = {
    "lexicon": Lexicon,
    "regex": Regex,
    "column": Column,
    "classifier": Classifier,
}
_RULES: dict[str, type[pydantic.BaseModel]] = {
    "min_share": MinShare,
    "retention": Retention,
    "max_core": MaxCore,
    "expected_deviance_ratio": ExpectedDevianceRatio,
    "core_effective_number": CoreEffectiveNumber,
    "target_distribution": TargetDistribution,
    "avoid": Avoid,
    "association": Association,
    "stage_delta": StageDelta,
}


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
