"""Content credentials in text: found wherever they stand, against a reading of the specification in plain Python."""

import struct

import c2pa_text
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels.text import credentials
from transforms.kernels.text.columns import hash_texts
from transforms.kernels.text.credentials import MACHINE_MADE, MALFORMED, NO_WRAPPER, SILENT
from transforms.kernels.text.text import canonicalise

MARK = "\ufeff"


def selectors(data: bytes) -> str:
    """Bytes as variation selectors (C2PA 2.3, A.7)."""
    return "".join(chr(0xFE00 + byte if byte < 16 else 0xE0100 + byte - 16) for byte in data)


def jumbf(content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), b"jumb") + content


def wrapper(manifest: bytes, magic: bytes = b"C2PATXT\0", version: int = 1, length: int | None = None) -> str:
    return MARK + selectors(magic + struct.pack(">BI", version, len(manifest) if length is None else length) + manifest)


MACHINE = wrapper(
    jumbf(b"...digitalSourceType http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia...")
)
HUMAN = wrapper(jumbf(b"...digitalSourceType http://cv.iptc.org/newscodes/digitalsourcetype/humanEdits..."))


def find(*texts: str) -> list[int]:
    return credentials.find(pa.array(texts, pa.large_string())).tolist()


def by_the_book(text: str) -> int:
    """The same in plain Python: every run of selectors that starts with the magic, in turn."""
    found, at = NO_WRAPPER, 0
    while at < len(text):
        data, end = bytearray(), at
        while end < len(text) and (0xFE00 <= (p := ord(text[end])) <= 0xFE0F or 0xE0100 <= p <= 0xE01EF):
            data.append(p - 0xFE00 if p < 0xFFFF else p - 0xE0100 + 16)
            end += 1
        if not data.startswith(b"C2PATXT\0"):
            at += 1
            continue
        manifest = bytes(data[13:][: int.from_bytes(data[9:13], "big")])
        good = at > 0 and text[at - 1] == MARK and len(data) >= 13 and data[8] == 1
        good = good and len(manifest) == int.from_bytes(data[9:13], "big") >= 8 and manifest[4:8] == b"jumb"
        machine = any(word in manifest for word in credentials.MACHINE)
        found = max(found, (MACHINE_MADE if machine else SILENT) if good else MALFORMED)
        at = end
    return found


@pytest.mark.parametrize("word", credentials.MACHINE)
def test_a_manifest_that_names_a_machine_is_found_at_the_end_the_start_and_in_the_middle(word: bytes) -> None:
    one = wrapper(jumbf(b"x" * 300 + word))
    assert find("text" + one, one + "text", "one" + one + "two", one) == [MACHINE_MADE] * 4


def test_text_without_a_wrapper_is_nothing() -> None:
    ordinary = [
        "",
        "plain",
        MARK + "a byte order mark",
        "\u2764\ufe0f an emoji",
        "語\U000e0100 a variant",
        "\U000e0067\U000e007f",
    ]
    assert find(*ordinary) == [NO_WRAPPER] * len(ordinary)
    assert find() == []


def test_a_manifest_that_names_no_machine_is_silent() -> None:
    assert find("t" + HUMAN, "t" + wrapper(jumbf(b"algorithmicMedia TrainedAlgorithmic Media"))) == [SILENT] * 2


@pytest.mark.parametrize(
    "text",
    [
        "t" + MACHINE[:-1],  # truncated
        "t" + MACHINE[:9],  # nothing but the magic
        "t" + wrapper(b""),
        "t" + wrapper(jumbf(b"trainedAlgorithmicMedia"), length=2**32 - 1),
        "t" + wrapper(jumbf(b"trainedAlgorithmicMedia"), version=2),
        "t" + wrapper(b"....Jumbtrained" + b"trainedAlgorithmicMedia"),  # no JUMBF box
        "t" + MACHINE[1:],  # without the mark
        MACHINE[:40] + " " + MACHINE[40:],  # cut in two
    ],
)
def test_a_damaged_wrapper_is_noted_and_not_believed(text: str) -> None:
    assert find("before", text, "after") == [NO_WRAPPER, MALFORMED, NO_WRAPPER]


def test_padding_behind_the_manifest_is_no_damage() -> None:
    assert find(MACHINE + selectors(b"\0\0\xff")) == [MACHINE_MADE]


def test_the_most_telling_of_several_counts() -> None:
    assert find(HUMAN + "and" + MACHINE[:-3] + "and" + MACHINE + HUMAN, HUMAN + MACHINE[:-3]) == [MACHINE_MADE, SILENT]


def test_a_wrapper_does_not_cross_into_the_next_document() -> None:
    """In the buffer of a column the texts stand end to end."""
    assert find(MACHINE[:100], MACHINE[100:], MARK, MACHINE[1:]) == [MALFORMED, NO_WRAPPER, NO_WRAPPER, MALFORMED]


def test_a_slice_of_a_column_is_that_of_its_documents() -> None:
    whole = pa.array(["a", MACHINE, HUMAN, "b"], pa.large_string())
    assert credentials.find(whole.slice(2, 2)).tolist() == [SILENT, NO_WRAPPER]


def test_many_marks_cost_no_more_than_their_length() -> None:
    hostile = (MARK + selectors(b"C2PATXT")) * 50_000 + MACHINE
    assert find(hostile) == [MACHINE_MADE]


@given(
    st.binary(max_size=200), st.sampled_from([b"", *credentials.MACHINE]), st.text(max_size=20), st.text(max_size=20)
)
def test_what_the_reference_implementation_encodes_is_found(
    content: bytes, word: bytes, before: str, after: str
) -> None:
    manifest = jumbf(content + word)
    text = before + c2pa_text.encode_wrapper(manifest) + " " + after
    padded = c2pa_text.encode_wrapper_padded(manifest, c2pa_text.worst_case_wrapper_byte_length(len(manifest)))
    expected = MACHINE_MADE if word or any(w in content for w in credentials.MACHINE) else SILENT
    assert find(text, before + padded) == [expected, expected]


HEADER = [selectors(b"C2PATXT\0"), selectors(b"\1\0\0\0\x0c"), selectors(jumbf(b"tame")), selectors(b"C2")]
PIECES = st.sampled_from([MARK, "text", "\ufe0f", *HEADER, MACHINE, HUMAN, MACHINE[:-1], "語", "\U000e0100"])


@given(st.lists(st.lists(PIECES, max_size=8).map("".join), max_size=6))
def test_any_text_is_judged_as_by_the_book(texts: list[str]) -> None:
    assert find(*texts) == [by_the_book(text) for text in texts]


def test_the_canonical_form_has_no_wrapper() -> None:
    """So a text with a credential and the same without it are duplicates, and the detector sees the same."""
    with_one, without = (
        pa.array(["Some text." + MACHINE], pa.large_string()),
        pa.array(["Some text."], pa.large_string()),
    )
    assert hash_texts(canonicalise(with_one)[0]).equals(hash_texts(canonicalise(without)[0]))
    assert np.array_equal(canonicalise(with_one)[1].hash64, canonicalise(without)[1].hash64)
