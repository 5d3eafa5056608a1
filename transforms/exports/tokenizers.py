"""Texts to tokens of a model: a `tokenizer.json` by the `tokenizers` package, or a vocabulary of `tiktoken`, on their threads.

Text is hostile: what looks like a special token in it is text, and nothing is cut or filled up, whatever a file says.
"""

import hashlib
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from expectations.errors import UserError

EXTRA = 'pip install "lowbackground[export]"'
TIKTOKEN = "tiktoken:"


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

    def encode(self, texts: list[str]) -> list[npt.NDArray[np.generic]]:
        """The tokens of each text, without any that the tokenizer adds before or behind. `dtype`[n] each."""
        return [np.array(ids, self.dtype) for ids in self._encode(texts)]

    def token(self, text: str) -> int:
        """The number of one token.

        Raises:
          TokenizerError: the vocabulary does not have it.
        """
        if (found := self._find(text)) is None:
            raise TokenizerError(f"tokenizer {self.name}: it has no token {text!r}; take one of its special tokens")
        return found


def load_tokenizer(name: str) -> TokenizerModel:
    """Load a tokenizer.

    Args:
      name: path of a `tokenizer.json`, or `tiktoken:NAME`.

    Raises:
      TokenizerError: its package is not installed, or it cannot be read.
    """
    return _of_tiktoken(name) if name.startswith(TIKTOKEN) else _of_file(name)


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
        return [found.ids for found in model.encode_batch_fast(texts, add_special_tokens=False)]

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
        raise TokenizerError(f"tokenizer {name}: tiktoken cannot load it ({said})") from None
    digest = hashlib.sha256(model._pat_str.encode())
    for token in model.token_byte_values():
        digest.update(len(token).to_bytes(4, "little") + token)
    special = {text: model.encode_single_token(text) for text in sorted(model.special_tokens_set)}
    digest.update(repr(special).encode())

    def encode(texts: list[str]) -> list[Any]:
        return model.encode_ordinary_batch(texts, num_threads=os.cpu_count() or 1)

    return TokenizerModel(name, digest.hexdigest(), model.max_token_value + 1, encode, special.get)
