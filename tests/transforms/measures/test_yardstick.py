"""The yardstick's files: what was written comes back, and what is damaged is refused."""

import pathlib
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_sets import hashed

from benchmarks import yardstick as command
from benchmarks.byte_fitting import fit_bytes
from transforms.ingest.sources import InputError
from transforms.kernels.models.bytes_model import Trie
from transforms.measures import yardstick
from transforms.measures.yardstick import (
    ByteModel,
    Human,
    read_bytes_model,
    read_topics,
    write_bytes_model,
    write_topics,
)

HUMAN = {"": Human(9, 2.0, 0.5, 1.5, 2.0, 3.0), "pt-BR": Human(3, 2.5, 0.5, 1.5, 2.5, 3.5)}
MODEL = ByteModel(fit_bytes([b"the cat sat on the mat", "a maçã".encode()], 4, 60), 4, HUMAN)
WEIGHTS = (np.arange(4096 * 3) % 251 - 125).astype(np.int8).reshape(4096, 3)


def test_what_was_written_comes_back() -> None:
    found = read_bytes_model(write_bytes_model(MODEL), "bytes.bin")
    for name in ("symbol", "cost", "weight", "children"):
        assert (getattr(found.trie, name) == getattr(MODEL.trie, name)).all()
    assert (found.longest, dict(found.human)) == (4, HUMAN)
    assert found.of("pt-BR").q95 == 3.5
    assert found.of("unknown").q95 == 3.0
    assert (read_topics(write_topics(WEIGHTS), "topics.bin") == WEIGHTS).all()


@given(data=st.data())
def test_a_damaged_file_is_refused_in_one_line(data: st.DataObject) -> None:
    whole, read = data.draw(
        st.sampled_from([(write_bytes_model(MODEL), read_bytes_model), (write_topics(WEIGHTS[:, :1]), read_topics)])
    )
    at, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    flipped = whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]
    for broken in (flipped, whole[:at], whole + b"\0"):
        with pytest.raises(InputError, match=r"^some\.bin: .*(again)") as error:
            read(broken, "some.bin")
        assert "\n" not in str(error.value)


def bad_trie(**changes: list[int]) -> bytes:
    """A file whose checksum is right and whose n-grams are not."""
    return write_bytes_model(
        ByteModel(Trie(*(np.array(changes[k], np.uint8) for k in ("symbol", "cost", "weight", "children"))), 2, HUMAN)
    )


@pytest.mark.parametrize(
    ("symbol", "children"),
    [
        ([0, 97, 98], [2, 0, 9]),  # children that are not there
        ([0, 98, 97], [2, 0, 0]),  # siblings fall, so none would be found
        ([0, 97, 97], [2, 0, 0]),  # or are there twice
        ([0, 97, 98, 99], [1, 1]),  # longer n-grams than it says
        ([0, 97, 98, 99], [2, 1, 0]),  # "ac", but no "c": what a context is short of could not be found
        ([0], []),  # not even a root
    ],
)
def test_a_file_that_was_made_to_mislead_is_refused(symbol: list[int], children: list[int]) -> None:
    data = bad_trie(symbol=symbol, cost=[0] * len(symbol), weight=[0] * len(children), children=children)
    with pytest.raises(InputError, match="its n-grams are no trie"):
        read_bytes_model(data, "bytes.bin")
    good = bad_trie(symbol=[0, 97, 98, 98], cost=[0] * 4, weight=[0] * 3, children=[2, 1, 0])
    assert len(read_bytes_model(good, "bytes.bin").trie.symbol) == 4


def test_numbers_that_are_none_and_other_versions_are_refused() -> None:
    broken = ByteModel(MODEL.trie, 4, {"": Human(9, float("nan"), 0.5, 1.5, 2.0, 3.0)})
    with pytest.raises(InputError, match="not finite"):
        read_bytes_model(write_bytes_model(broken), "bytes.bin")
    newer = bytearray(write_topics(WEIGHTS))
    struct.pack_into("<I", newer, 4, 2)
    with pytest.raises(InputError, match="version 2, this program reads version 1"):
        read_topics(bytes(newer), "topics.bin")


def test_the_bundled_one_is_small_and_has_a_card() -> None:
    stick = yardstick.bundled()
    folder = pathlib.Path(yardstick.BUNDLED)
    assert (folder / "bytes.bin").stat().st_size < 1_500_000
    assert set(stick.bytes_model.human) == {"", "en", "es", "pt", "zh"}
    card = (folder / "README.md").read_text("utf-8")
    assert f"{len(stick.bytes_model.trie.symbol) - 1:,}" in card
    assert "| all | humans |" in card


def test_a_missing_file_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match=r"bytes\.bin: cannot be read .*Install the package again"):
        yardstick.read_yardstick(str(tmp_path))


def test_the_command_fits_both_and_says_what_they_are_worth(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two domains with words of their own; machines repeat themselves."""
    subjects = [
        ["stone", "river", "hill", "valley", "peak", "rock"],
        ["violin", "opera", "chorus", "tempo", "rhythm", "score"],
    ]
    rows = []
    for number in range(600):
        subject = subjects[number % 2]
        words = [hashed(number, i) % 6 for i in range(60)]
        words = [subject[w] if i % 3 else f"{subject[w]}{hashed(number, w, i) % 97}" for i, w in enumerate(words)]
        rows.append(
            (" ".join(words if number % 3 else subject * 10), "human" if number % 3 else "ai", f"d{number % 2}")
        )
    table = pa.table(dict(zip(("text", "label", "domain"), map(list, zip(*rows, strict=True)), strict=True)))
    table = table.append_column("language", pa.array(["en"] * 600)).append_column(
        "source_dataset", pa.array(["few"] * 600)
    )
    pq.write_table(table, tmp_path / "few.parquet")
    monkeypatch.setattr(command, "N_TOPICS", 6)
    outputs = []
    for folder in ("one", "two"):
        monkeypatch.setattr(
            "sys.argv", ["yardstick", str(tmp_path / "few.parquet"), "--output", str(tmp_path / folder)]
        )
        command.main()
        outputs.append([(tmp_path / folder / name).read_bytes() for name in ("bytes.bin", "topics.bin", "README.md")])
    assert outputs[0] == outputs[1], "without chance"
    stick = yardstick.read_yardstick(str(tmp_path / "one"))
    assert stick.topics.shape == (4096, 6)
    assert stick.bytes_model.human[""].documents > 50
    said = capsys.readouterr().out
    (line,) = {line for line in said.splitlines() if line.startswith("| source few |")}
    _, _, _, domains, entropy, shared, chance, _ = (part.strip() for part in line.split("|"))
    assert (domains, float(entropy)) == ("2", pytest.approx(1, abs=0.05))
    assert float(shared) > 0.9
    assert float(chance) < 0.2
