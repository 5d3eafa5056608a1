"""What looks personal is masked, all of it and nothing else: by hand, against Python's `re`, and on hostile text."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transforms.kernels.text import masking, personal
from transforms.kernels.text.masking import mask

KEY = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEpAIBAAKCAQEA7bq+\n-----END RSA PRIVATE KEY-----"
CASES = [
    ("Write to ada@example.org, or see 192.168.0.254.", "Write to <EMAIL>, or see <IP>."),
    ("DE89 3704 0044 0532 0130 00 AND 4111 1111 1111 1111é", "<IBAN> AND <CARD>é"),
    ("DE89370400440532013000DE89370400440532013000 x", "<IBAN> x"),  # all of the word goes
    ("call 202-555-0143 4111111111111111", "call <PHONE> <CARD>"),  # the second shows once the first is gone
    (f"{'x' * 70}@b.com", "<EMAIL>"),
    ("a@b.com@c.org", "<EMAIL>@c.org"),
    ("ada@192.168.0.1.example.org", "<EMAIL>"),  # an overlap has one name
    (f"before {KEY} behind", "before <KEY> behind"),
    (f"-----BEGIN PRIVATE KEY-----\n{'MIIE' * 16}\n{'abcd' * 11}\nand so on", "<KEY>\nand so on"),
    ("it begins with -----BEGIN PRIVATE KEY----- and then more", "it begins with <KEY> and then more"),
    ("<EMAIL> and <b>a@b.io</b>\x1f\x00", "<EMAIL> and <b><EMAIL></b>\x1f\x00"),
    ("4111\x1f1111\x1f1111\x1f1111", "<CARD>"),  # a separator like any other
    ("ünï@exämple.org, ada@example.orgé, ＠", "ünï@exämple.org, <EMAIL>é, ＠"),
    ("", ""),
]


def masked(texts: list[str], kinds: tuple[personal.Kind, ...] = personal.KINDS) -> tuple[list[str], list[list[int]]]:
    read = pa.array(texts, pa.large_string())
    column, found = mask(read, kinds)
    assert kinds or column is read  # nothing is looked for
    column.validate(full=True)
    return column.to_pylist(), found.tolist()


@pytest.mark.parametrize(("text", "left"), CASES)
def test_what_is_left(text: str, left: str) -> None:
    assert masked([text])[0] == [left]


def test_only_the_kinds_that_are_asked_for_and_all_in_their_places() -> None:
    texts = [text for text, _ in CASES]
    assert masked(texts, ()) == (texts, [[0] * 6] * len(texts))
    found, counts = masked(texts, ("email",))
    assert found[0] == "Write to <EMAIL>, or see 192.168.0.254."
    assert found[1] == texts[1]
    assert counts[0] == [1, 0, 0, 0, 0, 0]
    together, apart = masked(texts), [masked([text]) for text in texts]  # borders of batches make no difference
    assert together == ([one[0] for one, _ in apart], [n[0] for _, n in apart])
    column = pa.array(texts, pa.large_string())
    assert mask(column.slice(3, 5), personal.KINDS)[0].equals(mask(column, personal.KINDS)[0].slice(3, 5))


def by_re(text: str, kinds: tuple[personal.Kind, ...]) -> str:
    """The same, document by document and match by match."""
    for number in range(masking.PASSES):
        spans = []
        seen = text.replace("\x1f", " ")
        for rank, kind in enumerate(k for k in masking._SUREST if k in kinds):
            for match in re.finditer(personal._PATTERNS[kind], seen, re.ASCII):
                good = personal._CHECKS.get(kind, lambda found: [True])(pa.array([match[0]]))[0]
                if not good and number < masking.PASSES - 1:
                    continue
                start, end = match.span()
                while start and re.match(r"\w\w", seen[start - 1 : start + 1], re.ASCII):
                    start -= 1
                while end < len(seen) and re.match(r"\w\w", seen[end - 1 : end + 1], re.ASCII):
                    end += 1
                spans.append((start, rank, end, kind))
        if not spans:
            break
        merged: list[list] = []
        for start, rank, end, kind in sorted(spans):
            if merged and start < merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], end)
                merged[-1][2] = min(merged[-1][2], (rank, kind))
            else:
                merged.append([start, end, (rank, kind)])
        for start, end, (_, kind) in reversed(merged):
            text = f"{text[:start]}<{kind.upper()}>{text[end:]}"
    return text


LOOKS = [
    "ada@example.org", "+49 (0)30 901820-12", "202-555-0143", "4111 1111 1111 1111", "340000000000009", "4111", "1234-",
    "DE89 3704 0044 0532 0130 00", "NO9386011117947", "192.168.0.254", "8.8.8.8", "2001:db8::8a2e:370:7334", "::1", ".",
    "AKIAIOSFODNN7EXAMPLE", "sk-proj-abcdefghij0123456789", "-----BEGIN RSA PRIVATE KEY-----", KEY, "<", ">", "<EMAIL>",
    " ", "\n", "\x1f", "\x00", "x", "_", "1", "é", "中", "\u202e", "𝟙", "@", "-", "+", "://", "a" * 70,
]  # fmt: skip
hostile = st.lists(st.sampled_from(LOOKS) | st.text(max_size=3), max_size=12).map("".join)
some_kinds = st.lists(st.sampled_from(personal.KINDS), unique=True).map(tuple)


@given(st.lists(hostile, min_size=1, max_size=4), some_kinds)
@example(["202-555-0143" + "a" * 64 + "@b.com"], ("email", "phone"))
@example(["a@b." + "x" * 24 + "AKIAIOSFODNN7EXAMPLE"], ("email", "key"))
def test_as_python_masks(texts: list[str], kinds: tuple[personal.Kind, ...]) -> None:
    """What is outside of the spans is the same, byte for byte; of these kinds nothing is left; and again changes nothing."""
    found, counts = masked(texts, kinds)
    assert found == [by_re(text, kinds) for text in texts]
    numbers = [personal.KINDS.index(kind) for kind in kinds]
    assert not personal.count(pa.array(found, pa.large_string()))[:, numbers].any()
    assert masked(found, kinds) == (found, np.zeros_like(counts).tolist())
    for text, left, row in zip(texts, found, counts, strict=True):
        had, has = ([one.count(f"<{kind.upper()}>") for kind in personal.KINDS] for one in (text, left))
        assert [a - b for a, b in zip(has, had, strict=True)] == row or set(had) != {0}  # a `<EMAIL>` of its own may go


def test_what_goes_on_showing_more_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the last pass without checksums: whatever looks like one goes, so that nothing can be left."""
    monkeypatch.setattr(masking, "PASSES", 1)
    texts = ["202-555-0143 4111111111111111 and 4111 1111 1111 1112", "pi is 3.14"]
    assert masked(texts, ("card", "phone"))[0] == ["<CARD> and <CARD>", texts[1]]
