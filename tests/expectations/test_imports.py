"""What a command hides from the libraries that it imports: gone while they look, and there for whoever asks afterwards."""

import importlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from expectations.imports import hidden, late

BEAM = """
import sys
from expectations.imports import LATE_OF_BEAM, OF_BEAM, lean
lean()
lean()
import apache_beam, pyarrow as pa
from transforms.kernels import compiled
table = pa.table({"a": [1, None]})
assert not {*OF_BEAM, *LATE_OF_BEAM, "scipy"} & {*sys.modules}
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


LATE = """
import typing
from apache_beam.coders import avro_record, coders
from apache_beam.internal import http_client
from apache_beam.typehints import typehints
assert typehints.is_consistent_with(bool, int) and not typehints.is_consistent_with(str, int)
assert "beartype.door" in sys.modules and issubclass(typehints.BeartypeDoorException, Exception)
assert not typehints.is_consistent_with(3, int)  # which raises it
coder = coders.AvroGenericCoder('{"type": "record", "name": "r", "fields": [{"name": "a", "type": "int"}]}')
assert coder.decode(coder.encode(avro_record.AvroRecord({"a": 3}))).record == {"a": 3}
assert type(http_client.get_new_http()).__module__ == "httplib2"
from apache_beam.utils.timestamp import Timestamp
assert Timestamp.from_rfc3339("1970-01-01T00:00:01Z") == 1
"""
SPECIAL = """
import numpy, scipy.special
assert not {"numpy.f2py", "numpy.testing"} & {*sys.modules} and not {"f2py", "testing"} & {*vars(numpy)}
assert scipy.special.betaincinv(1, 1, 0.25) == 0.25
import scipy.optimize, scipy.stats
numpy.testing.assert_allclose(scipy.stats.norm.ppf(0.975), 1.96, atol=0.01)
assert numpy.f2py.get_include()
"""


@pytest.mark.parametrize(
    "asked",
    [FRAME, SERIES, LATE, SPECIAL],
    ids=["a frame", "a series, linear algebra, BigQuery", "what Beam calls late", "all of NumPy, by a star"],
)
def test_libraries_go_without_and_who_asks_later_gets_it(asked: str) -> None:
    done = subprocess.run([sys.executable, "-c", BEAM + asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_hidden_cannot_be_imported_meanwhile_but_by_others() -> None:
    with ThreadPoolExecutor(1) as other, hidden("json.tool"):
        with pytest.raises(ModuleNotFoundError, match="hidden while"):
            importlib.import_module("json.tool")
        assert other.submit(importlib.import_module, "json.tool").result()


def test_names_of_a_late_module_are_real_when_they_are_used() -> None:
    sys.modules.pop("this", None)  # a module that prints when it is imported, and has a dict and strings
    with late("this"):
        from this import d

        assert importlib.import_module("this") is not None
    assert "this" not in sys.modules
    assert d.get("A") == "N"
    assert "this" in sys.modules


def test_what_is_imported_already_is_not_taken_away() -> None:
    with hidden("json"):
        assert importlib.import_module("json").loads("1") == 1


def test_a_late_module_that_is_used_meanwhile_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """As oauth2client uses httplib2 while Beam is imported, in an environment with the extra `gcp`."""
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with late("colorsys"):
        from colorsys import rgb_to_hls

        assert rgb_to_hls(0, 0, 0) == (0, 0, 0)
    assert sys.modules["colorsys"].__file__
