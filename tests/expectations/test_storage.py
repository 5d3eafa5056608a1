"""Objects, against real servers on loopback, and against what networks and stores do to requests."""

import gzip
import io
import os
import time

import pytest
import stores

from expectations import storage
from expectations.paths import joined, open_for_reading
from expectations.storage import StorageError

DATA = bytes(range(256)) * 20_000  # 5 MB: more than is read at a time


def put(path: str, data: bytes) -> None:
    with storage.writing() as file:
        file.write(data)
        storage.put(path, file)


def names(folder: str) -> list[str]:
    return [one.path.removeprefix(folder) for one in storage.below(folder)]


def read(path: str) -> bytes:
    with open_for_reading(path) as file:
        return file.read()


def test_what_was_put_is_found_listed_read_copied_and_deleted(store):
    top, began = store.bucket(), time.time()
    put(f"{top}/a/one", DATA)
    put(f"{top}/a/b/two [x]*", b"2")
    put(f"{top}/a/empty", b"")
    put(f"{top}/ab", b"not below a")
    assert read(f"{top}/a/one") == DATA
    assert read(f"{top}/a/empty") == b""
    assert names(f"{top}/a") == ["/b/two [x]*", "/empty", "/one"]
    assert names(f"{top}/nothing") == []
    one, folder = storage.find(f"{top}/a/one"), storage.find(f"{top}/a/b")
    assert one is not None
    assert folder is not None
    assert (one.size, one.is_folder, folder.is_folder) == (len(DATA), False, True)
    assert began - 2 <= one.changed <= time.time() + 2
    assert storage.find(f"{top}/a/on") is None
    storage.copy(f"{top}/a/one", f"{top}/c/one")
    storage.delete(f"{top}/a/one")
    storage.delete(f"{top}/a/one")  # what is gone is gone
    assert read(f"{top}/c/one") == DATA
    storage.delete_below(f"{top}/a")
    storage.delete_below(f"{top}/a")
    assert names(top) == ["/ab", "/c/one"]
    with pytest.raises(FileNotFoundError):
        open_for_reading(f"{top}/a/one")
    with pytest.raises(FileNotFoundError):
        storage.copy(f"{top}/a/one", f"{top}/d")


def test_an_object_is_read_like_a_file(store):
    path = f"{store.bucket()}/object"
    put(path, DATA)
    like = io.BytesIO(DATA)
    with open_for_reading(path) as file:
        for offset, whence, size in [
            (5, 0, 10),
            (-7, 2, 100),
            (4 << 20, 0, 5 << 20),
            (-100, 1, 3),
            (len(DATA) + 9, 0, 4),
            (7, 0, -1),
        ]:
            assert (file.seek(offset, whence), file.read(size)) == (like.seek(offset, whence), like.read(size))
            assert file.tell() == like.tell()


def test_a_name_that_sounds_compressed_changes_no_byte(store):
    """Arrow's streams compress and decompress by the ending of a name, unless they are told not to."""
    top = store.bucket()
    for name in ("a.gz", "a.jsonl.gz", "a.bz2", "a.zst", "a.lz4", "a.br"):
        for data in (gzip.compress(DATA[:99]), b"no archive at all"):
            put(f"{top}/{name}", data)
            assert read(f"{top}/{name}") == data
    put(f"{top}/large.gz", DATA)
    assert read(f"{top}/large.gz") == DATA


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PATIENCE": 2.0, "AGAIN": 1.0, "STALL": 1, "FIRST_ANSWER": 4.0}.items():
        monkeypatch.setattr(storage, name, value)


# A hundred requests or so, of which every third meets with something else.
HARMS = ("503", "reset", "cut", "lost", "slow", "half")


def test_requests_that_fail_are_made_again_and_nothing_else_comes_of_it(store, monkeypatch):
    top = store.bucket()

    def rule(number: int, method: str, path: str) -> str | None:
        what = HARMS[number // 3 % len(HARMS)] if number % 3 == 0 else None
        return what if what != "half" or method in ("PUT", "POST") else None

    with stores.harmed(store, rule, monkeypatch) as proxy:
        for number in range(5):
            data = DATA[number:] if number == 3 else DATA[: 1000 * number]
            put(f"{top}/x/{number}", data)
            assert read(f"{top}/x/{number}") == data
            storage.copy(f"{top}/x/{number}", f"{top}/y/{number}")
            storage.delete(f"{top}/x/{number}")
        assert names(top) == [f"/y/{number}" for number in range(5)]
    assert read(f"{top}/y/3") == DATA[3:]
    assert set(proxy.done) >= set(HARMS) - {"half"}


def test_an_upload_of_which_half_arrives_is_no_upload(store, monkeypatch):
    impatient(monkeypatch)
    path = f"{store.bucket()}/half"
    with (
        stores.harmed(store, lambda n, method, path: "half" if method in ("PUT", "POST") else None, monkeypatch),
        pytest.raises(StorageError, match=r"half: the store at \S+ does not answer"),
    ):
        put(path, b"0123456789" * 100)


@pytest.mark.parametrize("harm", ["silent", "503", "reset"])
def test_a_store_that_does_not_answer_is_one_error_with_its_name_and_soon(store, monkeypatch, harm):
    twice = 2 * storage.STALL  # each request is made twice before anybody looks at the clock
    assert twice < storage.PATIENCE <= 2 * twice < 30
    assert storage.FIRST_ANSWER < 30
    impatient(monkeypatch)
    top = store.bucket()
    began = time.monotonic()
    with stores.harmed(store, lambda *_: harm, monkeypatch) as proxy:
        with pytest.raises(StorageError) as told:
            storage.below(f"{top}/x")
        with pytest.raises(StorageError):  # whoever tidies up does not wait as long again
            storage.delete(f"{top}/x/y")
        assert top in str(told.value)
        assert f"127.0.0.1:{proxy.server_port} does not answer (" in str(told.value)
    assert "\n" not in str(told.value)
    assert time.monotonic() - began < stores.SILENCE / 2


def test_nobody_listens(store, monkeypatch):
    impatient(monkeypatch)
    for name, value in store.at(9).items():  # the port of `discard`
        monkeypatch.setenv(name, value)
    with pytest.raises(StorageError, match=r"bucket-x: the store at http://127.0.0.1:9 does not answer \(.*onnect"):
        read(f"{store.scheme}://bucket-x/y")


def test_no_right_says_what_to_set_and_no_secret(store, monkeypatch):
    way = {"s3": "AWS_ACCESS_KEY_ID", "gs": "GOOGLE_APPLICATION_CREDENTIALS"}[store.scheme]
    top = store.bucket()
    with stores.harmed(store, lambda *_: "403", monkeypatch):
        for act in (read, storage.below, storage.find, storage.delete, lambda path: put(path, b"1")):
            with pytest.raises(StorageError, match=f"x: no right to it .*{way}") as told:
                act(f"{top}/x")
            assert not any(secret in str(told.value) for secret in stores.KEYS.values())


def test_no_bucket_is_said_so(store):
    for act in (read, storage.below, storage.find, lambda path: put(path, b"1")):
        with pytest.raises(StorageError, match=f"{store.scheme}://no-such-bucket: no such bucket"):
            act(f"{store.scheme}://no-such-bucket/x")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (
            "https://huggingface.co/datasets/org/name/resolve/main/data/a.parquet",
            "hf://datasets/org/name@main/data/a.parquet",
        ),
        ("https://data.commoncrawl.org/crawl-data/wet.paths.gz", "s3://commoncrawl/crawl-data/wet.paths.gz"),
        ("https://me:secret@example.org/a.jsonl", "fetch it first"),
        ("hdfs://host/a", "known are s3://"),
        ("s3://me:secret@bucket/a", "credentials go into the environment only"),
        ("s3:///a", "not s3://BUCKET/NAME"),
    ],
)
def test_an_address_that_is_not_read_says_what_is(path, said):
    with pytest.raises(StorageError) as told:
        storage.below(path)
    assert said in str(told.value)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("folder", "path", "is_"),
    [
        ("s3://b/in", "corpus/*.jsonl", "s3://b/in/corpus/*.jsonl"),
        ("s3://b/in", "../out", "s3://b/out"),
        ("s3://b", "x", "s3://b/x"),
        ("s3://b/in", "gs://c/x", "gs://c/x"),
        ("s3://b/in", os.path.abspath("/x"), "/x"),
        ("a/b", "../x", "a/x"),
        ("", "x", "x"),
    ],
)
def test_paths_are_relative_to_a_folder_wherever_it_is(folder, path, is_):
    assert joined(folder, path) == is_
