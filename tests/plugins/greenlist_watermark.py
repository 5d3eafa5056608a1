"""A small real watermark, as another package would bring it: green lists of words (Kirchenbauer et al. 2023, 2301.10226).

The word before it and a key split the vocabulary into green (a part gamma) and red words. A writer with the key prefers
green words; who has the key counts them. Under no watermark each different pair of words is green with probability gamma,
so the number of green ones is binomial.
"""

import hashlib
import itertools
import re

import numpy as np
import pyarrow as pa
from scipy import stats


def is_green(key: str, before: str, word: str, gamma: float) -> bool:
    digest = hashlib.blake2b(f"{key}\0{before}\0{word}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") < gamma * 2**64


def write(key: str, words: list[str], n: int, gamma: float = 0.5, seed: str = "") -> str:
    """A text of `n` words; the writer would say any of four words next, and takes the first green one."""
    text = [words[0]]
    for at in range(n - 1):
        choice = []
        for other in range(4):
            digest = hashlib.blake2b(f"{seed} {at} {other}".encode(), digest_size=8).digest()
            choice.append(words[int.from_bytes(digest, "little") % len(words)])
        text.append(next((word for word in choice if is_green(key, text[-1], word, gamma)), choice[0]))
    return " ".join(text)


class Detector:
    version = "1.2"

    def __init__(self, key: str, gamma: float = 0.5, min_words: int = 20) -> None:
        self.key, self.gamma, self.min_words = key, gamma, min_words

    def detect(self, texts: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray, list[str]]:
        score, p_value = np.full(len(texts), np.nan), np.full(len(texts), np.nan)
        for row, text in enumerate(texts.to_pylist()):
            words = re.findall(r"\w+", text.lower())
            pairs = set(itertools.pairwise(words))  # a pair counts once, or repetition would look like a mark
            if len(pairs) < self.min_words:
                continue
            green = sum(is_green(self.key, *pair, self.gamma) for pair in pairs)
            score[row] = (green - self.gamma * len(pairs)) / np.sqrt(len(pairs) * self.gamma * (1 - self.gamma))
            p_value[row] = stats.binom.sf(green - 1, len(pairs), self.gamma)
        return score, p_value, [f"key-{len(self.key)}"] * len(texts)


class Broken:
    """What a plug-in may do wrong."""

    version = "0"

    def __init__(self, how: str) -> None:
        if how == "start":
            raise RuntimeError("no\nkey")
        if how == "version":
            self.version = 0
        self.how = how

    def detect(self, texts: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray, list[object]]:
        n = len(texts)
        if self.how == "raise":
            raise ValueError("cannot\ntokenise")
        p = np.full(n, {"large": 1.5, "negative": -1e-9}.get(self.how, 0.5))
        if self.how == "none":
            return None
        if self.how == "text":
            p = np.array(["likely"] * n)
        return np.zeros(n), p[: n - (self.how == "short")], [7 if self.how == "key" else "k"] * n
