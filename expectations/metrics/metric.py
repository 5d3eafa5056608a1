"""What is known of a metric: its form, its unit, of what it is a sign, and what limits of its differences rest on."""

import dataclasses
import math
from typing import Literal

Form = Literal["share", "count", "number"]
SHARE: Form = "share"  # a fraction, said in per cent
COUNT: Form = "count"
NUMBER: Form = "number"

Direction = Literal["up", "down", ""]
UP: Direction = "up"
DOWN: Direction = "down"

# What limits of a difference rest on where a row has none (expectations/noise.py).
Noise = Literal["", "documents", "tokens", "splits"]
DOCUMENTS: Noise = "documents"  # a fraction of `n` documents or records, each in it or not
TOKENS: Noise = "tokens"  # a share of the tokens of `n` documents
SPLITS: Noise = "splits"  # a Hill number of words: as between splits of English text

# In the order in which signs of model collapse are seen in data (docs/decisions/0022). "other" is a sign of nothing.
SIGNS = (
    "tails",
    "words",
    "templates",
    "redundancy",
    "meaning",
    "spread",
    "distance",
    "synthetic share",
    "concentration",
    "input",
    "size",
    "other",
)
EARLY = SIGNS[:7]


@dataclasses.dataclass(frozen=True)
class Metric:
    """What is known of a metric, whatever release it is of.

    Attributes:
      name: in metrics.parquet and in suites.
      title: in a sentence.
      form: how its numbers are written.
      unit: of its rows; empty: a row says so itself.
      sign: one of SIGNS.
      worse: which way is worse, as a sign of collapse; empty: neither.
      noise: what limits of a difference rest on where a row has none.
      grows: with the corpus, so that it is compared only between releases of one size.
    """

    name: str
    title: str
    form: Form
    unit: str = ""
    sign: str = "other"
    worse: Direction = ""
    noise: Noise = ""
    grows: bool = False

    @property
    def of_tokens(self) -> bool:
        """Whether it counts tokens (words, without a tokenizer), or is a share of them."""
        weighed = self.noise == TOKENS and not self.name.startswith("paragraphs.")  # which are words in any case
        return weighed or self.unit == "tokens" or self.name.endswith((".tokens", ".effective_documents"))

    @property
    def rank(self) -> int:
        """Its sign's place in SIGNS."""
        return SIGNS.index(self.sign)

    @property
    def is_relative(self) -> bool:
        """Whether it is held against something else's, so that it may be above 1 though it is written as a share."""
        kept = self.name.startswith("structure.") and ("retention" in self.name or self.name.endswith("_ratio"))
        return kept or self.name.startswith(("reference.", "lexical.stage_"))

    @property
    def range(self) -> tuple[float, float]:
        """The least and the most that it can be; a share is a part of a whole, and of one thing there is one at least."""
        if self.is_relative or self.sign == "distance" or self.unit == "exponent":
            return -math.inf, math.inf  # limits of what is estimated against something may lie below 0
        lowest = 1.0 if ".effective_number" in self.name else 0.0
        return lowest, 1.0 if self.form == SHARE else math.inf
