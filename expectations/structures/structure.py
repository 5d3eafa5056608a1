"""What a document has or has not: a word of a list, a match of a pattern, a value in a column, a score."""

from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pydantic

from expectations.loading import Strict

Id = Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Words = Annotated[tuple[str, ...], pydantic.Field(min_length=1)]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


OneOrMore = Annotated[Words, pydantic.BeforeValidator(_listed, json_schema_input_type=str | Words)]


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
