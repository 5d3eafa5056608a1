"""Texts to tokens of a model: a `tokenizer.json` by the `tokenizers` package, or a vocabulary of `tiktoken`, on their threads.

One reader for a recipe's `tokenizer`, which counts them, and for `export --tokenizer`, which writes them.

Text is hostile: what looks like a special token in it is text, and nothing is cut or filled up, whatever a file says.
"""

import hashlib
import itertools
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations.errors import UserError
from transforms.kernels.once import once

EXTRA = 'pip install "lowbackground[export]"'
TIKTOKEN = "tiktoken:"
PART_BITS = 20  # of the bytes that are encoded at a time


class TokenizerError(UserError):
    """A tokenizer cannot be used: which, why, what to do. One line."""


class TokenizerModel:
    """A tokenizer that was loaded.

    Attributes:
      name: as the user said it.
      sha256: of its file or, of tiktoken, of its pattern and vocabulary.
      dtype: that holds every token: uint16 below 65,500 of them, as Megatron chooses, else int32.
    """

    def __init__(
        self,
        name: str,
        sha256: str,
        size: int,
        encode: Callable[[list[str]], list[Any]],
        find: Callable[[str], int | None],
    ) -> None:
        self.name, self.sha256 = name, sha256
        self.dtype: npt.DTypeLike = np.dtype("<u2") if size < 65_500 else np.dtype("<i4")
        self._encode, self._find = encode, find

    def count(self, texts: pa.LargeStringArray) -> npt.NDArray[np.int32]:
        """How many tokens each text has, as `encode` makes them. int32[texts].

        Of about a megabyte at a time: what `tokenizers` says of a token takes a hundred bytes and more.
        """
        part = np.cumsum(pc.binary_length(texts).to_numpy(zero_copy_only=False)) >> PART_BITS
        starts = np.flatnonzero(np.diff(part, prepend=-1)).tolist()
        parts = (texts.slice(start, end - start) for start, end in itertools.pairwise([*starts, len(texts)]))
        counts = (len(found) for part in parts for found in self._encode(part.to_pylist()))
        return np.fromiter(counts, np.int32, len(texts))

    def encode(self, texts: list[str]) -> list[npt.NDArray[np.generic]]:
        """The tokens of each text, without any that the tokenizer adds before or behind. `dtype`[n] each."""
        return [np.array(getattr(found, "ids", found), self.dtype) for found in self._encode(texts)]

    def token(self, text: str) -> int:
        """The number of one token.

        Raises:
          TokenizerError: the vocabulary does not have it.
        """
        if (found := self._find(text)) is None:
            raise TokenizerError(f"tokenizer {self.name}: it has no token {text!r}; take one of its special tokens")
        return found


def load_tokenizer(name: str, sha256: str | None = None) -> TokenizerModel:
    """Load a tokenizer.

    Args:
      name: path of a `tokenizer.json`, or `tiktoken:NAME`.
      sha256: what it must be; None: anything.

    Raises:
      TokenizerError: its package is not installed, it cannot be read, or it is another one by now.
    """
    model = _of_tiktoken(name) if name.startswith(TIKTOKEN) else _of_file(name)
    if sha256 not in (None, model.sha256):
        raise TokenizerError(
            f"tokenizer {name}: it is not the one that the run began with; put that back, or run again"
        )
    return model


@once(most=2)
def shared_tokenizer(name: str, sha256: str) -> TokenizerModel:
    """The same, loaded once in a process: it may take a second, and a hundred megabytes."""
    return load_tokenizer(name, sha256)


def _of_file(path: str) -> TokenizerModel:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise TokenizerError(
            f"tokenizer {path}: {error.strerror}; give the path of a tokenizer.json, or tiktoken:NAME"
        ) from None
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise TokenizerError(f"tokenizer {path}: needs the package tokenizers; {EXTRA}") from None
    try:
        model = Tokenizer.from_buffer(data)
    except Exception as error:  # the package raises nothing narrower
        said = (str(error).splitlines() or [""])[0][:120]
        raise TokenizerError(f"tokenizer {path}: is no tokenizer.json ({said})") from None
    model.no_truncation()
    model.no_padding()
    model.encode_special_tokens = True
    size = max(model.get_vocab(with_added_tokens=True).values(), default=0) + 1

    def encode(texts: list[str]) -> list[Any]:
        return model.encode_batch_fast(texts, add_special_tokens=False)  # type: ignore[no-any-return]

    return TokenizerModel(path, hashlib.sha256(data).hexdigest(), size, encode, model.token_to_id)


def _of_tiktoken(name: str) -> TokenizerModel:
    try:
        import tiktoken
    except ImportError:
        raise TokenizerError(f"tokenizer {name}: needs the package tiktoken; {EXTRA}") from None
    wanted = name.removeprefix(TIKTOKEN)
    if wanted not in (known := tiktoken.list_encoding_names()):
        raise TokenizerError(f"tokenizer {name}: tiktoken knows {', '.join(sorted(known))}")
    try:
        model = tiktoken.get_encoding(wanted)
    except Exception as error:  # it fetches vocabularies that it does not have yet, by a library that raises its own
        said = (str(error).splitlines() or [""])[0][:120]
        raise TokenizerError(
            f"tokenizer {name}: tiktoken cannot load its vocabulary ({said}); give the path of a tokenizer.json, or set "
            "TIKTOKEN_CACHE_DIR to a folder that tiktoken filled where it has a network"
        ) from None
    digest = hashlib.sha256(model._pat_str.encode())
    for token in model.token_byte_values():
        digest.update(len(token).to_bytes(4, "little") + token)
    special = {text: model.encode_single_token(text) for text in sorted(model.special_tokens_set)}
    digest.update(repr(special).encode())

    def encode(texts: list[str]) -> list[Any]:
        return model.encode_ordinary_batch(texts, num_threads=os.cpu_count() or 1)

    return TokenizerModel(name, digest.hexdigest(), model.max_token_value + 1, encode, special.get)
