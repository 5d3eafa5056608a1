"""Waivers: somebody answers, until a date, for a release that does not meet an expectation.

A waiver belongs to one expectation of a suite and forgives nothing else. It never makes an expectation hold: the verdict,
the report and every format show what was waived, by whom, why, and until when. One that has expired counts as none.
"""

import datetime
from typing import Annotated, Any, Literal

import pydantic

from expectations.loading import Strict, closest

State = Literal["applies", "expired", "not needed", "matches nothing"]
Words = Annotated[str, pydantic.Field(min_length=1, strict=True, pattern=r"\S")]


def _a_date(value: Any) -> Any:
    if isinstance(value, datetime.datetime) or not isinstance(value, str | datetime.date):
        raise ValueError(f"{value!r} is no date; write it as 2027-01-31")
    try:
        return value if isinstance(value, datetime.date) else datetime.date.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{value!r} is no date; write it as 2027-01-31") from None


class Waiver(Strict):
    """Who lets a release pass although an expectation does not hold, why, and until when."""

    who: Words = pydantic.Field(description="Who answers for it: a name, not a team that nobody is.")
    why: Words
    until: Annotated[datetime.date, pydantic.BeforeValidator(_a_date)] = pydantic.Field(
        description="The last day on which it counts, as 2027-01-31; of the day in UTC that `--today` may set."
    )
    slice: str | None = pydantic.Field(None, description="Only this slice of the expectation; without it, all of it.")

    def state(self, today: datetime.date, not_held: set[str], looked_at: set[str]) -> State:
        """What it does on a day, given the slices that do not hold, and all that were looked at."""
        if not_held and self.slice is not None and self.slice not in looked_at:
            return "matches nothing"
        if not not_held or (self.slice is not None and self.slice not in not_held):
            return "not needed"
        return "applies" if today <= self.until else "expired"

    def sentence(self, state: State, looked_at: set[str]) -> str:
        """What is said beside the expectation; empty if it is not needed."""
        if state == "matches nothing":
            close = closest(str(self.slice), sorted(looked_at))
            meant = f"; did you mean {close!r}?" if close is not None else "."
            return f" The waiver for slice {self.slice!r} by {self.who} matches nothing{meant}"
        about = f' for "{self.slice}"' if self.slice is not None else ""
        if state == "expired":
            return f" The waiver{about} by {self.who} expired on {self.until}."
        if state == "applies":
            return f" Waived{about} until {self.until} by {self.who}: {self.why.rstrip('.')}."
        return ""
