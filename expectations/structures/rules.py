"""What may be asked of a system's structures, as people write it."""

from typing import Annotated, ClassVar, Literal

import pydantic

from expectations.loading import Share, Strict
from expectations.structures.structure import Words

Ratio = Annotated[float, pydantic.Field(gt=0, strict=True, allow_inf_nan=False)]


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
