"""Expectations by the names that people say them by: `synthetic_share_to_be_at_most: 0.1`, of tokens, by its upper bound.

Each is `metric_to_be_between` with the choices made that are easy to get wrong: which number, at which stage, by which
bound. A suite may use either; expectations/judge/gx.py registers each with Great Expectations as well.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from expectations.loading import nearest
from expectations.metrics.declared import METRICS

GENERIC = "metric_to_be_between"
ALWAYS = ("expect", "severity", "notes", "waivers", "min_documents")  # keys that every expectation takes


@dataclasses.dataclass(frozen=True)
class Named:
    """One name, and what it stands for.

    Attributes:
      side: the limit that it takes, `min` or `max`.
      of: what `of:` may say, and the metric that it then reads; the first is meant if nothing is said.
      stage, bound, unsure: as in `suite.Expectation`.
      slices: the kinds of slices that it may be asked of.
      about: a sentence for the schema and for users of Great Expectations.
    """

    side: Literal["min", "max"]
    of: Mapping[str, str]
    about: str
    stage: str = "after"
    bound: str = "value"
    unsure: str = "fail"
    slices: tuple[str, ...] = ("overall",)

    def takes(self) -> list[str]:
        """The keys of YAML that it takes."""
        own = [self.side, *(["of"] if len(self.of) > 1 else [])]
        own += ["slice_kind"] if len(self.slices) > 1 else []
        return [*ALWAYS, *own, *(["slice"] if self.slices != ("overall",) else [])]

    def metric(self, of: str | None) -> str:
        """The metric that `of` names.

        Raises:
          ValueError: it names none.
        """
        chosen = next(iter(self.of)) if of is None else of
        if chosen not in list(self.of):
            raise ValueError(f"of: unknown {chosen!r}; {nearest(str(chosen), list(self.of))}")
        return self.of[chosen]

    def slice_kind(self, metric: str) -> str:
        """The kind of slices that is meant if nothing is said: only systems of structures have no overall number."""
        return "overall" if "overall" in self.slices and not metric.startswith("structure.") else self.slices[0]


# Numbers as a fraction of the reference's: whatever is called so, of this version or of a later one.
_RATIOS = {
    name: name
    for name, measure in METRICS.items()
    if (name.endswith((".ratio", "_ratio")) and name != "repetition.compression_ratio")
    or (name.startswith("reference.") and measure.form == "share")
}

NAMED: dict[str, Named] = {
    "synthetic_share_to_be_at_most": Named(
        "max",
        {"tokens": "synthetic_share.tokens", "documents": "synthetic_share.documents"},
        "The share of synthetic text, by its upper bound, is at most `max`.",
        bound="upper",
        slices=("overall", "source", "language"),
    ),
    "source_share_to_be_at_most": Named(
        "max", {"tokens": "source.max_share"}, "No source has more than `max` of the tokens."
    ),
    "language_share_to_be_at_most": Named(
        "max", {"tokens": "language.max_share"}, "No language has more than `max` of the tokens."
    ),
    "generator_share_to_be_at_most": Named(
        "max", {"tokens": "generator.max_share"}, "No generator has more than `max` of the synthetic tokens."
    ),
    "effective_number_to_be_at_least": Named(
        "min",
        {f"{name}s": f"{name}.effective_number" for name in ("source", "language", "generator", "topic")},
        "The effective number (Hill, order 1) of sources, languages, generators or topics is at least `min`.",
    ),
    "diversity_ratio_to_be_at_least": Named(
        "min",
        _RATIOS,
        "A measure of diversity, as a fraction of the reference's, is at least `min`, by its lower bound.",
        bound="lower",
        unsure="inconclusive",
        slices=("system", "overall", "source", "language"),
    ),
    "structure_retention_to_be_at_least": Named(
        "min",
        {"core": "structure.retention"},
        "Structures keep at least `min` of the core that they have in the reference, by the lower bound.",
        bound="lower",
        unsure="inconclusive",
        slices=("structure",),
    ),
    "compression_ratio_to_be_at_most": Named(
        "max", {"text": "repetition.compression_ratio"}, "Text becomes at most `max` times smaller when compressed."
    ),
    "duplicate_share_to_be_at_most": Named(
        "max",
        {name: f"duplicates.{name}_fraction" for name in ("removed", "exact", "near")},
        "At most `max` of the documents that were read are duplicates.",
        stage="before",
    ),
    "unreadable_share_to_be_at_most": Named(
        "max", {"records": "input.bad_fraction"}, "At most `max` of the records could not be read.", stage="before"
    ),
    "scored_share_to_be_at_least": Named(
        "min",
        {"documents": "origin.scored_fraction"},
        "At least `min` of the undeclared documents could be scored.",
        stage="before",
    ),
    "size_to_be_at_least": Named(
        "min",
        {"documents": "documents", "tokens": "tokens"},
        "The release has at least `min` documents, or tokens.",
        slices=("overall", "source", "language", "origin"),
    ),
}


def translated(item: Mapping[str, Any]) -> dict[str, Any]:
    """An expectation as written, as `metric_to_be_between`; one that has no name of ours comes back unchanged.

    Raises:
      ValueError: it has a key that its name does not take, or lacks its limit.
    """
    name = item.get("expect")
    named = NAMED.get(name) if isinstance(name, str) else None
    if named is None:
        return dict(item)
    for key in item:
        if key not in named.takes():
            raise ValueError(f"{key}: {name} does not take it; {nearest(str(key), named.takes())}")
    if item.get(named.side) is None:
        raise ValueError(f"{named.side}: {name} needs it")
    metric = named.metric(item.get("of"))
    kind = item.get("slice_kind", named.slice_kind(metric))
    if kind not in named.slices:
        raise ValueError(f"slice_kind: {name} is not told of {kind!r}; {nearest(str(kind), list(named.slices))}")
    rest = {key: value for key, value in item.items() if key not in ("expect", "of")}
    return rest | {
        "expect": GENERIC,
        "metric": metric,
        "stage": named.stage,
        "slice_kind": kind,
        "bound": named.bound,
        "unsure": named.unsure,
    }


def schema_of(name: str, generic: Mapping[str, Any]) -> dict[str, Any]:
    """JSON Schema of one name, made of the properties of the generic expectation."""
    named, properties = NAMED[name], generic["properties"]
    own: dict[str, Any] = {key: properties[key] for key in named.takes() if key in properties}
    own["expect"] = {"const": name, "description": named.about}
    if len(named.of) > 1:
        own["of"] = {"enum": list(named.of), "default": next(iter(named.of))}
    if "slice_kind" in own:
        own["slice_kind"] = {"enum": list(named.slices)}
    required = ["expect", named.side]
    return {"type": "object", "properties": own, "required": required, "additionalProperties": False}
