"""Licences: what is said of them in SPDX's words, and which of them a recipe lets in."""

import concurrent.futures
import functools

import pyarrow as pa
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.exclusions import licences
from transforms.exclusions.licences import LicenceConfig, allowed, normalise, normalised


@pytest.mark.parametrize(
    ("said", "spdx"),
    [
        ("MIT", "MIT"),
        ("mit", "MIT"),
        ("The MIT License", "MIT"),
        ("  apache   2.0 ", "Apache-2.0"),
        ("gpl-3.0", "GPL-3.0-only"),
        ("GPL-3.0+", "GPL-3.0-or-later"),
        ("cc-by-sa-4.0", "CC-BY-SA-4.0"),
        ("CC BY-NC 4.0", "CC-BY-NC-4.0"),
        ("CC BY", "CC-BY-4.0"),
        ("Creative Commons BY-SA 3.0", "CC-BY-SA-3.0"),
        ("https://creativecommons.org/licenses/by-nd/3.0/deed.de", "CC-BY-ND-3.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("cc0", "CC0-1.0"),
        ("odc-by", "ODC-By-1.0"),
        ("mit or apache-2.0", "MIT OR Apache-2.0"),
        ("", "unknown"),
        ("other", "unknown"),
        ("All rights reserved", "unknown"),
        ("((", "unknown"),
        ("MIT OR (", "unknown"),
        ("x" * 5000, "unknown"),
        ("\u202e\x00", "unknown"),
    ],
)
def test_what_is_said(said: str, spdx: str) -> None:
    assert normalised(said) == spdx
    assert normalised(spdx) == spdx


def test_a_column() -> None:
    assert normalise(pa.array(["mit", None, "MIT", "?"])).to_pylist() == ["MIT", "unknown", "MIT", "unknown"]
    assert normalise(pa.array([], pa.string())).to_pylist() == []


def test_threads_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package makes its tables when it first parses: whoever came meanwhile was told that there is no such licence."""
    said = ["mit or gpl-3.0", "apache-2.0", "cc-by-4.0", "isc", "bsd-3-clause", "MIT AND ISC", "gpl-2.0+", "odbl-1.0"]
    for _ in range(3):
        monkeypatch.setattr(licences, "_spdx", functools.cache(licences._spdx.__wrapped__))
        licences.normalised.cache_clear()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            found = list(pool.map(normalised, said * 4))
        assert "unknown" not in found
    licences.normalised.cache_clear()


@given(
    st.text(max_size=40)
    | st.lists(st.sampled_from(["MIT", "OR", "AND", "WITH", "(", ")", "x", "ISC", "+"])).map(" ".join)
)
def test_nothing_that_is_said_is_an_error(said: str) -> None:
    assert normalised(normalised(said)) == normalised(said)


@pytest.mark.parametrize(
    ("lists", "good", "bad"),
    [
        ({}, ["MIT", "unknown", "CC-BY-NC-4.0"], []),
        ({"allow": ["mit", "CC-BY-*"]}, ["MIT", "CC-BY-4.0", "CC-BY-NC-4.0"], ["unknown", "Apache-2.0"]),
        ({"allow": ["MIT", "unknown"]}, ["MIT", "unknown"], ["Apache-2.0"]),
        ({"deny": ["*-NC-*", "unknown"]}, ["CC-BY-4.0", "MIT"], ["CC-BY-NC-4.0", "unknown"]),
        ({"allow": ["CC-*"], "deny": ["*-ND-*"]}, ["CC-BY-4.0"], ["CC-BY-ND-3.0", "MIT"]),
        ({"deny": ["GPL-3.0-only"]}, ["MIT OR GPL-3.0-only"], ["MIT AND GPL-3.0-only", "GPL-3.0-only"]),
        (
            {"allow": ["MIT", "Apache-2.0"]},
            ["MIT AND Apache-2.0", "MIT OR GPL-2.0-only"],
            ["MIT AND (GPL-2.0-only OR ISC)"],
        ),
        ({"allow": ["GPL-2.0-only"]}, ["GPL-2.0-only WITH Classpath-exception-2.0"], ["GPL-2.0-or-later"]),
        ({"deny": ["GPL-2.0-only"]}, ["MIT"], ["GPL-2.0-only WITH Classpath-exception-2.0"]),
    ],
)
def test_what_a_recipe_lets_in(lists: dict[str, list[str]], good: list[str], bad: list[str]) -> None:
    config = LicenceConfig.model_validate(lists)
    assert [one for one in good + bad if allowed(one, config)] == good
    assert config.of(pa.array(good + bad)).tolist() == [False] * len(good) + [True] * len(bad)


@pytest.mark.parametrize(("name", "message"), [("MTI", "is no SPDX licence.*MIT"), ("MIT OR ISC", "is an expression")])
def test_a_list_names_licences(name: str, message: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=message):
        LicenceConfig.model_validate({"allow": [name]})
