"""A system: its structures, who owns it and why, whom it speaks of, what it is held against, and that it all fits together."""

import datetime
import hashlib
import json
from typing import Annotated, Any, Literal

import pydantic

from expectations.language_tags import normal_tag
from expectations.loading import Share, Strict, nearest
from expectations.structures.rules import (
    Association,
    CoreEffectiveNumber,
    ExpectedDevianceRatio,
    Rule,
    TargetDistribution,
)
from expectations.structures.structure import Classifier, Id, OneOrMore, Structure
from expectations.suite.suite import SuiteError

MOST_STRUCTURES = 12  # of one system: their combinations are counted
MIN_DOCUMENTS = 300  # to see a fifth of a structure go that half of the documents have


class StructuresError(SuiteError):
    """A system cannot be used. The message is one line: which file and key, what is wrong, what would be right."""


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
