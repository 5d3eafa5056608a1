"""Addresses that lead to the same page are one; others are not."""

import re
from urllib.parse import unquote

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels.text.urls import canonical_urls, decode_unreserved, hash_urls


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
        ("https://example.org/%7euser/%41%2fb%25%37E", "example.org/~user/A%2fb%257E"),  # once: %25 stays
        ("https://example.org/50%/%zz/%4", "example.org/50%/%zz/%4"),
        ("https://example.org?x=1", "example.org/?x=1"),
        ("https://example.org./A", "example.org/A"),
        ("https://www.example.org.:8080/A", "example.org:8080/A"),
        ("https://example.org:/A", "example.org/A"),
        ("https://me:pass@word@Example.org:80/a@b", "example.org/a@b"),
        ("https://%65xample.org/", "example.org"),
        ("example.org/x", None),
        ("not an address", None),
        ("", None),
        (None, None),
    ],
)
def test_what_is_left_of_an_address(url, canonical):
    assert one(url) == canonical


def by_unquote(url: str) -> str:
    """One pass with the standard library's decoder, of what it decodes to unreserved characters."""
    return re.sub(
        "%[0-9A-Fa-f]{2}",
        lambda found: c if re.fullmatch(r"[\w.~-]", c := unquote(found[0]), re.ASCII) else found[0],
        url,
    )


@given(st.lists(st.text(st.sampled_from("%%%2347aefAEF~/é"), max_size=12)), st.integers(0, 3))
def test_unreserved_characters_are_decoded_as_the_standard_library_does(urls, start):
    found = decode_unreserved(pa.array(urls, pa.large_string()).slice(start))
    found.validate(full=True)
    assert found.to_pylist() == [by_unquote(url) for url in urls[start:]]


@given(st.lists(st.one_of(st.none(), st.text(), st.from_regex(r"https?://[a-z.]{1,9}/[^\x00]*"))))
def test_hashes_are_equal_where_addresses_are_and_never_nothing(urls):
    canonical = canonical_urls(pa.array(urls, pa.string())).to_pylist()
    hashes = hash_urls(pa.array(urls, pa.string())).to_pylist()
    assert [h is None for h in hashes] == [c is None for c in canonical]
    assert 0 not in hashes
    assert len(set(hashes)) == len(set(canonical))
