"""Lexicons: which documents have enough different terms of a list.

A term is a sequence of tokens of the canonical text, so case, quotes, dashes and invisible characters make no difference,
and a word never matches inside a longer one. In scripts without spaces each character is a token, and a sequence of them
matches wherever it stands: there a lexicon matches substrings.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.kernels.compiled import kernel
from transforms.kernels.text.text import Tokens, canonicalise


class TermTable(NamedTuple):
    """Lists of terms, for `find`. Terms with the same first token are a chain."""

    keys: npt.NDArray[np.uint64]  # [slots] an open-addressing table of first tokens, by hash64
    heads: npt.NDArray[np.int32]  # [slots] first term of the chain; -1: an empty slot
    following: npt.NDArray[np.int32]  # [terms] next term of the chain, or -1
    starts: npt.NDArray[np.int64]  # [terms + 1] where the tokens of a term are
    tokens: npt.NDArray[np.uint64]  # hash64
    owner: npt.NDArray[np.int32]  # [terms] the list that it is in
    needed: npt.NDArray[np.int32]  # [lists] different terms that a document must have


def build(lists: Sequence[Sequence[str]], needed: Sequence[int]) -> TermTable:
    """Lists of terms as `find` takes them. A term that a list has twice, in canonical form, counts once.

    Raises:
      ValueError: nothing of a term is left in canonical form; the message is that term.
    """
    flat = [term for terms in lists for term in terms]
    _, tokens = canonicalise(pa.array(flat, pa.large_string()))
    bounds = tokens.offsets.tolist()
    terms: dict[tuple[int, ...], None] = {}
    numbers = (number for number, words in enumerate(lists) for _ in words)
    for term, number, start, end in zip(flat, numbers, bounds[:-1], bounds[1:], strict=True):
        if start == end:
            raise ValueError(repr(term))
        terms[(number, *tokens.hash64[start:end].tolist())] = None
    hashes = [key[1:] for key in terms]
    slots = 1 << max(4, (4 * len(terms)).bit_length())
    keys, heads = np.zeros(slots, np.uint64), np.full(slots, -1, np.int32)
    following = np.full(len(terms), -1, np.int32)
    for place, (first, *_) in enumerate(hashes):
        slot = first & (slots - 1)
        while heads[slot] >= 0 and keys[slot] != first:
            slot = (slot + 1) & (slots - 1)
        keys[slot], following[place], heads[slot] = first, heads[slot], place
    return TermTable(
        keys,
        heads,
        following,
        np.cumsum([0, *map(len, hashes)], dtype=np.int64),
        np.array([one for term in hashes for one in term], np.uint64),
        np.array([key[0] for key in terms], np.int32),
        np.array(needed, np.int32),
    )


@kernel("i64[] u64[] u64[] i32[] i32[] i64[] u64[] i32[] i32[]", allocates=True)
def _find(offsets, hash64, keys, heads, following, starts, tokens, owner, needed):
    found = np.zeros((len(needed), len(offsets) - 1), np.bool_)
    seen = np.full(len(owner), -1, np.int64)  # the document that a term was last counted in
    counts = np.zeros(len(needed), np.int32)
    mask = np.uint64(len(keys) - 1)
    for d in range(len(offsets) - 1):
        end = offsets[d + 1]
        counts[:] = 0
        for t in range(offsets[d], end):
            slot = hash64[t] & mask
            while heads[slot] >= 0 and keys[slot] != hash64[t]:
                slot = (slot + np.uint64(1)) & mask
            term = heads[slot]
            while term >= 0:
                size = starts[term + 1] - starts[term]
                if seen[term] != d and t + size <= end:
                    same = True
                    for i in range(1, size):
                        same &= hash64[t + i] == tokens[starts[term] + i]
                    if same:
                        seen[term] = d
                        counts[owner[term]] += 1
                term = following[term]
        for one in range(len(needed)):
            found[one, d] = counts[one] >= needed[one]
    return found


def find(tokens: Tokens, lexicon: TermTable) -> npt.NDArray[np.bool_]:
    """Whether each document has the terms that a list asks for, bool[lists, documents].

    One look-up a token, by its 64-bit hash: two words that share one are taken for each other, once in 2**64 / terms.
    """
    return _find(tokens.offsets, tokens.hash64, *lexicon)
