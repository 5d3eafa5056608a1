"""What looks personal: what is counted, what is not, and that the quick search loses nothing of what the patterns find."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels.text import personal

GOOD = {
    "email": ["ada.lovelace+x@mail.example.co.uk", "a@b.io"],
    "phone": ["+49 (0)30 901820-12", "+1-202-555-0143", "(202) 555-0143", "202-555-0143", "+4930901820"],
    "card": ["4111 1111 1111 1111", "5500-0000-0000-0004", "340000000000009", "30569309025904"],
    "iban": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "NO9386011117947"],
    "ip": ["192.168.0.254", "8.8.8.8", "2001:db8:85a3:0:0:8a2e:370:7334", "2001:db8::8a2e:370:7334"],
    "key": [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "a1" * 18,
        "sk-proj-abcdefghij0123456789",
        "-----BEGIN RSA PRIVATE KEY-----",
    ],
}
BAD = {
    "email": ["me at example.org", "@handle", "a@b", "x@.com"],
    "phone": ["+1 23", "2021-02-03", "1234567890123456", "ISBN 978-3-16-148410-0"],
    "card": ["4111 1111 1111 1112", "0000 0000 0000 0000", "1234567890123", "41111111111111111111"],
    "iban": ["DE88 3704 0044 0532 0130 00", "XX89 3704 0044 0532 0130 00", "DE89 3704 0044"],
    "ip": ["256.1.1.1", "1.2.3", "1.2.3.4.5", "v1.2.3.4", "12:30:45", "1:2", "a::b"],
    "key": ["AKIA", "sk-short", "-----BEGIN CERTIFICATE-----", "ghp_none"],
}


def counted(*texts: str) -> list[dict[str, int]]:
    found = personal.count(pa.array(texts, pa.large_string()))
    return [{kind: n for kind, n in zip(personal.KINDS, row, strict=True) if n} for row in found.tolist()]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in GOOD.items() for text in texts])
def test_what_is_counted(kind: str, text: str) -> None:
    around = [text, f"Write to {text}, or else.", f"Ünïcode: {text}\n{text} and so on"]
    assert [one.get(kind, 0) for one in counted(*around)] == [1, 1, 2]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in BAD.items() for text in texts])
def test_what_is_not(kind: str, text: str) -> None:
    assert [one.get(kind, 0) for one in counted(text, f"See {text} there.")] == [0, 0]


def test_nothing_and_much() -> None:
    assert personal.count(pa.array([], pa.large_string())).shape == (0, len(personal.KINDS))
    assert counted("", "plain words", "a@b.io " * 70_000)[1:] == [{}, {"email": personal.MOST}]
    sliced = pa.array(["a@b.io", "no", "c@d.io e@f.io"], pa.large_string()).slice(1)
    assert personal.count(sliced)[:, 0].tolist() == [0, 2]


pieces = st.sampled_from(
    [one for texts in (*GOOD.values(), *BAD.values()) for one in texts] + [" ", "\n", "x", "1", ".", "é"]
) | st.text("1.:-A@", max_size=24)


@given(st.lists(st.lists(pieces, max_size=8).map("".join), min_size=1, max_size=6))
def test_the_quick_search_loses_nothing(texts: list[str]) -> None:
    """What the patterns find in all texts is what they find in those that the quick search lets through."""
    column = pa.array(texts, pa.large_string())
    found = personal.count(column)
    for number, kind in enumerate(personal.KINDS):
        at = personal.spans(column, kind).document
        assert found[:, number].tolist() == np.bincount(at, minlength=len(texts)).tolist(), kind
