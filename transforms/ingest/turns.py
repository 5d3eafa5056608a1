"""Chats: the turns of a conversation, who spoke each, and what of it is text.

A conversation is a list of objects, each with who speaks (`role`, `from`) and what (`content`, `value`), as OpenAI's and
ShareGPT's layouts have it. docs/decisions/0048 says how a document that has several authors is counted.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

COLUMNS = ("messages", "conversations", "conversation")  # that are tried for a chat
WHO = ("role", "from", "speaker")
WHAT = ("content", "value", "text")
# What data sets call them, by what a recipe does (`roles`).
WORDS = {
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "bot", "chatgpt", "model", "ai"), "assistant"),
    **dict.fromkeys(("system",), "system"),
    **dict.fromkeys(("tool", "function", "observation"), "tool"),
}
MOST_TURNS = (
    1000  # of a conversation that is taken apart: the row of a turn is that many times its line, and its number
)


class Turns(NamedTuple):
    """Turns of conversations, end to end."""

    offsets: npt.NDArray[np.int64]  # [conversations + 1]
    role: pa.StringArray  # as the data say it
    content: pa.LargeStringArray  # null: it holds no text

    @property
    def conversation(self) -> npt.NDArray[np.int64]:
        """Of each turn, the number of its conversation."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @property
    def number(self) -> npt.NDArray[np.int64]:
        """Of each turn, its number in its conversation."""
        return np.arange(len(self.role)) - self.offsets[:-1][self.conversation]

    def together(self) -> pa.LargeStringArray:
        """Each conversation as one text, `role: what was said` and a blank line between turns; null: nothing was said."""
        said = self.content.is_valid()
        who = pc.coalesce(self.role, pa.scalar("unknown"))
        lines = pc.binary_join_element_wise(
            who.cast(pa.large_string()), self.content, pa.scalar(": ", pa.large_string())
        )
        kept = said.to_numpy(zero_copy_only=False)
        counts = np.bincount(self.conversation[kept], minlength=len(self.offsets) - 1)
        offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int64())
        text = pc.binary_join(
            pa.LargeListArray.from_arrays(offsets, lines.filter(said)), pa.scalar("\n\n", pa.large_string())
        )
        return pc.if_else(pa.array(counts > 0), text, None)

    def spoken(self) -> "Turns":
        """Those in which something was said."""
        kept = self.content.is_valid().to_numpy(zero_copy_only=False)
        counts = np.bincount(self.conversation[kept], minlength=len(self.offsets) - 1)
        mask = pa.array(kept)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Turns(offsets, self.role.filter(mask), self.content.filter(mask))

    def known_role(self) -> list[str | None]:
        """Of each turn, who spoke, in a recipe's words; None: another one."""
        return [None if role is None else WORDS.get(role.strip().lower()) for role in self.role.to_pylist()]


def turns_of(values: Sequence[Any] | pa.Array) -> Turns | None:
    """The turns in a column, one conversation a row; None if it holds no conversations."""
    if isinstance(values, pa.Array):
        return _of_arrow(values)
    return _of_json(values)


def holds_turns(dtype: pa.DataType) -> bool:
    """Whether a column of this type holds conversations."""
    is_list = pa.types.is_list(dtype) or pa.types.is_large_list(dtype) or pa.types.is_fixed_size_list(dtype)
    if not is_list or not pa.types.is_struct(dtype.value_type):
        return False
    names = {dtype.value_type.field(at).name for at in range(dtype.value_type.num_fields)}
    return bool(names & set(WHO)) and bool(names & set(WHAT))


def _of_arrow(values: pa.Array) -> Turns | None:
    if not holds_turns(values.type):
        return None
    counts = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    flat = values.flatten()
    names = [flat.type.field(at).name for at in range(flat.type.num_fields)]
    role = pc.struct_field(flat, next(name for name in WHO if name in names))
    content = pc.struct_field(flat, next(name for name in WHAT if name in names))
    if not pa.types.is_string(content.type) and not pa.types.is_large_string(content.type):
        content = pa.array([_text(one) for one in content.to_pylist()], pa.large_string())
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Turns(offsets, role.cast(pa.string()), content.cast(pa.large_string())).spoken()


def _of_json(values: Sequence[Any]) -> Turns | None:
    chats = [value if type(value) is list else [] for value in values]
    turns = [turn if type(turn) is dict else {} for turn in itertools.chain.from_iterable(chats)]
    who = next((name for name in WHO if any(name in turn for turn in turns)), None)
    what = next((name for name in WHAT if any(name in turn for turn in turns)), None)
    if who is None or what is None:
        return None
    roles = [turn.get(who) for turn in turns]
    role = pa.array([one if type(one) is str else None for one in roles], pa.string())
    content = pa.array([_text(turn.get(what)) for turn in turns], pa.large_string())
    offsets = np.cumsum([0, *map(len, chats)], dtype=np.int64)
    return Turns(offsets, role, content).spoken()


def _text(content: Any) -> str | None:
    """What was said: text, or the parts of a message that are text."""
    if type(content) is str:
        return content
    if type(content) is list:
        parts = [one if type(one) is str else one.get("text") for one in content if type(one) in (str, dict)]
        return "\n".join(part for part in parts if type(part) is str) or None
    return None
