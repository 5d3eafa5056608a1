"""What a command hides from the libraries that it imports: gone while they look, and there for whoever asks afterwards."""

import importlib
import subprocess
import sys

import pytest

from expectations.imports import hidden

BEAM = """
import sys
from expectations.imports import OF_BEAM, lean
lean()
lean()
import apache_beam, pyarrow as pa
from transforms.kernels import compiled
table = pa.table({"a": [1, None]})
assert not {*OF_BEAM, "scipy.linalg"} & {*sys.modules}
assert apache_beam.__spec__.loader.get_source("apache_beam")
"""
FRAME = "assert list(table.to_pandas().a.isna()) == [False, True]"
SERIES = """
import pandas, scipy.linalg
assert pa.array(pandas.Series(["a", None])).null_count == 1
assert pa.Table.from_pandas(pandas.DataFrame({"a": [1, 2]})).num_rows == 2
assert scipy.linalg.norm([3, 4]) == 5
from apache_beam.io.gcp.bigquery import WriteToBigQuery
"""


@pytest.mark.parametrize("asked", [FRAME, SERIES], ids=["a frame", "a series, linear algebra, BigQuery"])
def test_libraries_go_without_and_who_asks_later_gets_it(asked: str) -> None:
    done = subprocess.run([sys.executable, "-c", BEAM + asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_hidden_cannot_be_imported_meanwhile() -> None:
    with hidden("json.tool"), pytest.raises(ModuleNotFoundError, match="hidden while"):
        importlib.import_module("json.tool")
    assert importlib.import_module("json.tool")


def test_what_is_imported_already_is_not_taken_away() -> None:
    with hidden("json"):
        assert importlib.import_module("json").loads("1") == 1
