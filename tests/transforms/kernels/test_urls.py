"""Addresses that lead to the same page are one; others are not."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels.urls import canonical_urls, hash_urls


def one(url):
    return canonical_urls(pa.array([url], pa.string()))[0].as_py()


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://Example.org/A/b/", "example.org/A/b"),
        ("http://www.example.org:80/A/b#part", "example.org/A/b"),
        ("https://example.org:443", "example.org"),
        ("https://example.org/?q=1", "example.org/?q=1"),
        ("https://example.org:8080/x", "example.org:8080/x"),
        (" ftp://example.org/x ", "example.org/x"),
        ("https://пример.рф/Ж", "пример.рф/Ж"),
        ("https://example.org/annual report 2020.pdf\n", "example.org/annual report 2020.pdf"),
        ("example.org/x", None),
        ("not an address", None),
        ("", None),
        (None, None),
    ],
)
def test_what_is_left_of_an_address(url, canonical):
    assert one(url) == canonical


@given(st.lists(st.one_of(st.none(), st.text(), st.from_regex(r"https?://[a-z.]{1,9}/[^\x00]*"))))
def test_hashes_are_equal_where_addresses_are_and_never_nothing(urls):
    canonical = canonical_urls(pa.array(urls, pa.string())).to_pylist()
    hashes = hash_urls(pa.array(urls, pa.string())).to_pylist()
    assert [h is None for h in hashes] == [c is None for c in canonical]
    assert 0 not in hashes
    assert len(set(hashes)) == len(set(canonical))
