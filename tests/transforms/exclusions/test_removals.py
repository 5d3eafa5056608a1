"""Lists of removals: what they name, and that nothing of one is lost without a word."""

import hashlib
import json
import pathlib
from typing import Any

import pyarrow as pa
import pytest

from expectations import contracts
from transforms.exclusions.removals import RemovalError, Removals, for_manifest, read_removals
from transforms.kernels.text.urls import canonical_urls, hash_urls, hosts

ASKED = {"requested_by": "legal", "requested_on": "2027-01-31"}


def listed(path: pathlib.Path, *requests: dict[str, Any]) -> Removals:
    path.write_text("".join(json.dumps(ASKED | request) + "\n" for request in requests))
    found = read_removals([str(path)], ["web", "books"])
    assert found is not None
    return found


def documents() -> dict[str, pa.Array]:
    urls = pa.array(["https://www.Example.org/a", "http://shop.example.org:8080/b?c", "https://example.org.evil.com/", None,
                     "https://user@[2001:db8::1]:443/x"])  # fmt: skip
    return {
        "doc_id": pa.array([bytes([i] * 16) for i in range(5)], contracts.HASH),
        "id": pa.array(["one", "two", "three", None, "five"]),
        "url_hash": hash_urls(urls),
        "host": hosts(canonical_urls(urls)),
        "author": pa.array(["Ada Lovelace", None, " ada LOVELACE ", "Adam", "Ａda Lovelace"]),
        "content_hash": pa.array([bytes([16 * i] * 16) for i in range(5)], contracts.HASH),
    }


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        ({"id": "two"}, [1]),
        ({"id": "03" * 16}, [3]),
        ({"id": "04040404-0404-0404-0404-040404040404"}, [4]),
        ({"url": "http://example.org/a/"}, [0]),
        ({"domain": "Example.org"}, [0, 1]),
        ({"domain": "www.shop.example.org."}, [1]),
        ({"domain": "org"}, [0, 1]),
        ({"author": "Ada  Lovelace"}, []),
        ({"author": "ada lovelace"}, [0, 2, 4]),
        ({"content_hash": "20" * 16}, [2]),
        ({"domain": "example.org", "source": "web"}, [0, 1]),
        ({"domain": "example.org", "source": "books"}, []),
    ],
)
def test_what_a_request_names(tmp_path: pathlib.Path, request_: dict[str, Any], named: list[int]) -> None:
    found = listed(tmp_path / "list.jsonl", request_).of(documents(), "web")
    assert [i for i, one in enumerate(found.tolist()) if one] == named


def test_hosts() -> None:
    assert documents()["host"].to_pylist() == [
        "example.org",
        "shop.example.org",
        "example.org.evil.com",
        None,
        "[2001:db8::1]",
    ]


def test_requests_add_up_and_the_manifest_says_how_many(tmp_path: pathlib.Path) -> None:
    listed(tmp_path / "one.jsonl", {"id": "one"}, {"id": "two"}, {"domain": "evil.com", "note": "by phone"})
    listed(tmp_path / "two.jsonl", {"author": "Adam"})
    found = read_removals([str(tmp_path / "one.jsonl"), str(tmp_path / "two.jsonl")])
    assert found is not None
    assert found.of(documents(), "web").tolist() == [True, True, True, True, False]
    digests = [hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("one.jsonl", "two.jsonl")]
    assert for_manifest(found) == [
        {"sha256": digests[0], "requests": {"domain": 1, "id": 2}}, {"sha256": digests[1], "requests": {"author": 1}},
    ]  # fmt: skip
    assert read_removals([]) is None


GOOD = json.dumps(ASKED | {"id": "x"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (GOOD[:-5], "line 3: not a whole JSON object"),
        ("[1]", "line 3: not a JSON object"),
        (json.dumps(ASKED | {"id": "x", "urls": "y"}), "line 3: .*urls.*did you mean.*url"),
        (json.dumps({"id": "x", "requested_by": "me"}), "line 3: .*requested_on"),
        (json.dumps(ASKED | {"id": "x", "requested_on": "yesterday"}), "line 3: .*requested_on"),
        (json.dumps(ASKED | {"id": "x", "requested_by": "  "}), "line 3: .*requested_by"),
        (json.dumps(ASKED), "line 3: .*names one of .*this one none"),
        (json.dumps(ASKED | {"id": "x", "url": "https://a.org"}), "line 3: .*this one id and url"),
        (json.dumps(ASKED | {"url": "a.org/b"}), "line 3: .*no absolute address"),
        (json.dumps(ASKED | {"domain": "https://a.org"}), "line 3: .*no domain"),
        (json.dumps(ASKED | {"content_hash": "12"}), "line 3: .*content_hash"),
        (json.dumps(ASKED | {"id": "x", "source": "wbe"}), "line 3: there is no source 'wbe'"),
        (json.dumps(ASKED | {"id": ""}), "line 3: .*id"),
        ('{"id": "x", "id": "y", "requested_by": "me", "requested_on": "2027-01-31"}', "line 3: .*"),
        (b"\xff", "line 3: "),
    ],
)
def test_a_line_that_is_not_understood_stops_the_run(tmp_path: pathlib.Path, line: str | bytes, message: str) -> None:
    path = tmp_path / "list.jsonl"
    path.write_bytes(f"{GOOD}\n\n".encode() + (line if isinstance(line, bytes) else line.encode()))
    with pytest.raises(RemovalError, match=message) as error:
        read_removals([str(path)], ["web"])
    assert str(error.value).startswith(f"removals: {path}, line 3: ")
    assert "\n" not in str(error.value)


def test_a_list_that_is_not_there(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RemovalError, match=r"nowhere\.jsonl"):
        read_removals([str(tmp_path / "nowhere.jsonl")])
