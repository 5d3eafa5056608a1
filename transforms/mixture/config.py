"""The recipe's `ratio` section: how much of what a release may and must hold, and how to choose what goes."""

from fractions import Fraction
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from expectations.language_tags import UNKNOWN, normal_tag
from expectations.loading import Share, Strict

Dimension = Literal["source", "language", "generator", "kind", "stratum"]
DIMENSIONS: tuple[Dimension, ...] = ("source", "language", "generator", "kind", "stratum")
MOST_COPIES = (
    4  # repeating text up to four times is about as good as new text (Muennighoff et al. 2023, arXiv 2305.16264)
)


class Limit(Strict):
    """A floor or a cap of what a release holds.

    It is about the documents that match every named dimension, or with `each` about every value of one on its own. Shares
    are of the release; those of a generator are of the release's synthetic text.
    """

    each: Dimension | None = Field(
        None, description="every value of this: source, language, generator, kind or stratum"
    )
    source: str | None = None
    language: str | None = None
    generator: str | None = None
    kind: str | None = None
    stratum: str | None = None
    min: Share | None = Field(None, description="least share")
    max: Share | None = Field(None, description="largest share")
    max_copies: int = Field(1, ge=1, le=MOST_COPIES, description="real documents may count this often to reach a floor")

    @field_validator("language")
    @classmethod
    def _one_tag(cls, language: str | None) -> str | None:
        return None if language is None else normal_tag(language) or UNKNOWN

    @property
    def values(self) -> dict[Dimension, str]:
        """The named dimensions."""
        return {name: value for name in DIMENSIONS if (value := getattr(self, name)) is not None}

    @model_validator(mode="after")
    def _says_something(self) -> "Limit":
        if (self.each is None) == (not self.values):
            raise ValueError(f"a limit names either `each` or some of {', '.join(DIMENSIONS)}")
        if self.min is None and self.max is None and self.max_copies == 1:
            raise ValueError("a limit needs a min, a max or max_copies")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        synthetic = self.each in ("generator", "kind") or {"generator", "kind"} & self.values.keys()
        if self.max_copies > 1 and synthetic:
            raise ValueError("max_copies is for real text; a generator or a kind has none")
        return self


class Resample(Strict):
    """Importance resampling (Drayson et al. 2025, arXiv 2502.15654): weights (1 - p)^bias."""

    bias: float = Field(10.0, ge=0, description="exponent b of the weight (1 - p)^b")
    max_copies: int = Field(3, ge=1, le=MOST_COPIES, description="a document counts at most this often")
    size: float = Field(1.5, gt=0, description="the release is at most this many times what is available")


class Favour(Strict):
    """The rare weigh more.

    By strata: (A_most / A_s)^(1 - power), capped; A_s is what is available of stratum s. By the structures of a system:
    (A / A_i)^(1 - power), capped; A is what is available in the system's slice, and A_i what of it has structure i. A
    document that has several weighs as its rarest; one that has none, or is outside of the slice, weighs 1.
    """

    by: Dimension | Literal["structure"] = Field(
        "language", description="what is rare: values of a dimension, or structures"
    )
    system: str | None = Field(None, description="with `by: structure`: the system, by its id")
    structures: tuple[str, ...] | None = Field(
        None, description="which of its structures; empty: all but those that it wants rare (`avoid`) and classifiers"
    )
    power: float = Field(0.5, ge=0, le=1, description="1: as available; 0: all alike")
    max_copies: int = Field(1, ge=1, le=MOST_COPIES, description="rare real documents may count this often")
    max_weight: float = Field(4.0, ge=1, description="no weight is larger")

    @model_validator(mode="after")
    def _one_thing(self) -> "Favour":
        if self.by == "structure" and self.system is None:
            raise ValueError("favour by structure names the system whose structures they are: system: ID")
        if self.by != "structure" and (self.system is not None or self.structures is not None):
            raise ValueError(f"`system` and `structures` belong to by: structure, and this is by: {self.by}")
        if self.structures == ():
            raise ValueError("favour.structures is empty; leave it out for all of them")
        return self


class RatioConfig(Strict):
    """How much synthetic text a release may hold, and what else its mixture must keep to."""

    max_synthetic_share: Share = Field(0.3, description="limit of the synthetic share of the release")
    real_to_synthetic: str | None = Field(None, description='the same limit as a ratio, such as "7:3"')
    unit: Literal["tokens", "documents"] = Field("tokens", description="what shares are shares of")
    count: Literal["upper_bound", "estimate", "labelled"] = Field(
        "upper_bound",
        description="what counts as synthetic: labelled documents and what the others may hide (upper_bound), what was "
        "declared and is estimated of the rest (estimate), or labelled documents only",
    )
    select: Literal["cut", "thin", "threshold", "resample"] = Field(
        "cut",
        description="what goes: labelled documents by hash (cut), documents the sooner the likelier they are synthetic, by "
        "chance (thin) or strictly (threshold), or a weighted sample with copies (resample)",
    )
    resample: Resample = Resample()
    kinds: dict[str, Share] = Field(
        {}, description="largest share of a kind of synthetic text: any declared word, `unspecified`, `undeclared`"
    )
    limits: tuple[Limit, ...] = Field((), description="floors and caps")
    fresh_human: Share | None = Field(
        None, description="least share of human text that no release in dedup.against has"
    )
    retain_human: Share | None = Field(
        None, description="least part of the human text of the releases in dedup.against that stays"
    )
    favour: Favour | None = Field(None, description="rare strata, or rare structures, weigh more")
    size: int | None = Field(None, ge=1, description="the most tokens (or documents) that the release may hold")
    on_shortage: Literal["shrink", "fail"] = Field(
        "shrink", description="too little real text for all synthetic text: drop synthetic documents, or fail"
    )

    @property
    def max_share(self) -> Fraction:
        """The limit, exactly as it was written."""
        if self.real_to_synthetic is not None:
            return _share_of(self.real_to_synthetic)
        return Fraction(str(self.max_synthetic_share))

    @property
    def is_budget_only(self) -> bool:
        """Whether there is nothing but the synthetic share to keep to: then no programme is solved."""
        asked = (self.kinds, self.limits, self.fresh_human, self.retain_human, self.favour, self.size)
        return all(not value for value in asked)

    @property
    def may_copy(self) -> bool:
        """Whether a floor or a favour may make documents count more than once."""
        return any(limit.max_copies > 1 for limit in self.limits) or bool(self.favour and self.favour.max_copies > 1)

    @model_validator(mode="before")
    @classmethod
    def _one_limit(cls, data: Any) -> Any:
        ratio = data.get("real_to_synthetic") if isinstance(data, dict) else None
        if ratio is None:
            return data
        share = float(_share_of(str(ratio)))
        if data.get("max_synthetic_share", share) != share:
            raise ValueError(
                f"real_to_synthetic {ratio!r} is a synthetic share of {share:.4g}, and max_synthetic_share says "
                f"{data['max_synthetic_share']}; give one of the two"
            )
        return data | {"max_synthetic_share": share, "real_to_synthetic": str(ratio)}

    @field_validator("kinds")
    @classmethod
    def _lower_case(cls, kinds: dict[str, float]) -> dict[str, float]:
        return {name.strip().lower(): share for name, share in kinds.items()}

    @model_validator(mode="after")
    def _one_maker_of_copies(self) -> "RatioConfig":
        if self.select == "resample" and self.may_copy:
            raise ValueError("select: resample makes its own copies; leave max_copies out of limits and favour")
        return self


def _share_of(ratio: str) -> Fraction:
    real, colon, synthetic = ratio.partition(":")
    try:
        parts = Fraction(real.strip()), Fraction(synthetic.strip())
    except (ValueError, ZeroDivisionError):
        parts = Fraction(-1), Fraction(0)
    if not colon or min(parts) < 0 or sum(parts) == 0:
        raise ValueError(f'real_to_synthetic {ratio!r} is not a ratio; write it as "7:3", in quotes')
    return parts[1] / sum(parts)
