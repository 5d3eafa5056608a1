"""Libraries import other libraries for uses that nobody here has. What is hidden from them costs no time when a command starts.

Beam imports pandas for data frames of its own, drivers of MongoDB and S3, the client of BigQuery, the flags of Abseil; Numba
imports SciPy, for its version and for matrix products in compiled code; Great Expectations a client of Amazon, and its pandas
Arrow. All of them go without. What they will not go without (Avro, HTTP, a cipher, dates, another check of types for Beam; how
NumPy compiles Fortran, for SciPy; for Great Expectations its own 26 kinds of databases and stores, 50 expectations of columns,
their metrics and pages, and what pandas reads files with) is imported when it is first used. Whoever imports one of these
later, gets it.
"""

import functools
import importlib
import importlib.abc
import importlib.machinery
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType
from typing import Any

OF_BEAM = ("absl", "apache_beam.io.gcp.bigquery", "boto3", "bson", "pandas", "pymongo")
OF_GX = ("boto3", "botocore", "pyarrow")
LATE_OF_BEAM = (
    "beartype.door",
    "beartype.roar",
    "cryptography.fernet",
    "dateutil.parser",
    "fastavro",
    "fastavro.read",
    "fastavro.write",
    "httplib2",
)
STAR = "scipy._lib.array_api_compat.numpy"  # which takes all of NumPy, by a star
LATE_OF_SCIPY = ("f2py", "testing")  # modules of NumPy
DATA_ELSEWHERE = (  # than in the memory of the process
    "alloy",
    "aurora",
    "bigquery",
    "citus",
    "databricks_sql",
    "fabric",
    "neon",
    "pandas_azure_blob_storage",
    "pandas_dbfs",
    "pandas_file_path",
    "pandas_filesystem",
    "pandas_google_cloud_storage",
    "pandas_s3",
    "postgres",
    "redshift",
    "snowflake",
    "spark",
    "spark_azure_blob_storage",
    "spark_dbfs",
    "spark_file_path",
    "spark_filesystem",
    "spark_google_cloud_storage",
    "spark_s3",
    "sql",
    "sql_server",
    "sqlite",
)
OF_GX_ITSELF = (
    *(f"datasource.fluent.{name}_datasource" for name in DATA_ELSEWHERE),
    "compatibility.pyparsing",
    "compatibility.snowflake",
    "core.http",
    "datasource.fluent.fabric",
    "execution_engine.sparkdf_execution_engine",
    "execution_engine.sqlalchemy_execution_engine",
    "expectations.core",
    "expectations.legacy_row_conditions",
    *(f"expectations.metrics.{name}_metrics" for name in ("column_aggregate", "column_map", "column_pair_map")),
    *(f"expectations.metrics.{name}_metrics" for name in ("multicolumn_map", "query", "table")),
    "metrics",
    "render.view",
)
OF_PANDAS_FOR_GX = (
    "api",
    "core.computation.api",
    "core.resample",
    "core.reshape.api",
    "core.window",
    "io.api",
    "io.json",
    "testing",
    "util._tester",
)
LATE_OF_GX = (
    *(f"great_expectations.{name}" for name in OF_GX_ITSELF),
    *(f"pandas.{name}" for name in OF_PANDAS_FOR_GX),
    "altair",
    "jsonschema",
    "marshmallow.validate",
    "mistune",
    "requests",
    "scipy",
    "smtplib",
)


@contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Modules that this thread cannot import meanwhile, but for those that are already."""
    finder = _Hidden(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@contextmanager
def late(*names: str) -> Iterator[None]:
    """Modules whose names, taken from them meanwhile, import them when they are used. No other thread may be importing."""
    finder = _Late(name for name in names if name not in sys.modules)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name, one in finder.made.items():
            if sys.modules.get(name) is one:
                del sys.modules[name]


def lean() -> None:
    """Let Beam, SciPy and Pydantic, when this process imports them, look for no more than it needs. It may be called again."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # for which it reads about every installed package
    found = {*sys.modules, *(one.name for one in sys.meta_path if isinstance(one, _Once))}
    sys.meta_path[:0] = [_Once(name) for name in MEANWHILE if name not in found]


class _Hidden(importlib.abc.MetaPathFinder):
    def __init__(self, names: Sequence[str]) -> None:
        self.names, self.thread = names, threading.get_ident()

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if name in self.names and threading.get_ident() == self.thread:
            raise ModuleNotFoundError(f"{name} is hidden while something else is imported", name=name)


class _Late(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Has modules, and those below them, that are only names."""

    def __init__(self, names: Iterable[str]) -> None:
        self.made = {name: _LateModule(name) for name in names}
        sys.modules.update(self.made)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        is_below = isinstance(sys.modules.get(name.rpartition(".")[0]), _LateModule)
        return importlib.machinery.ModuleSpec(name, self) if is_below else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return self.made.setdefault(spec.name, _LateModule(spec.name))

    def exec_module(self, module: ModuleType) -> None:
        pass


class _LateModule(ModuleType):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []  # modules below it may be asked for

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _LateName(self.__name__, name)


class _LateName:
    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        theirs = sys._getframe(1).f_globals
        for name, one in [*theirs.items()]:
            if isinstance(one, _LateName):  # an exception among them may be caught there
                theirs[name] = one.real
        return self.real(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    @functools.cached_property
    def real(self) -> Any:
        for name, one in [*sys.modules.items()]:  # it may be used while others are still imported
            if isinstance(one, _LateModule) and (_is_in(name, self.module) or _is_in(self.module, name)):
                del sys.modules[name]
        return getattr(importlib.import_module(self.module), self.name)


def _is_in(name: str, module: str) -> bool:
    return f"{name}.".startswith(f"{module}.")


class _Once(importlib.abc.MetaPathFinder):
    """Finds a module, once, and imports it with something done meanwhile."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec and spec.loader:
            spec.loader = _Lean(spec.loader, MEANWHILE[name])
        return spec


class _Lean(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader, meanwhile: Callable[[], AbstractContextManager[None]]) -> None:
        self.loader, self.meanwhile = loader, meanwhile

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__.loader = module.__loader__ = self.loader  # type: ignore[union-attr]
        with self.meanwhile():
            self.loader.exec_module(module)


@contextmanager
def _while_beam() -> Iterator[None]:
    with hidden(*OF_BEAM), late(*LATE_OF_BEAM):
        import pyarrow as pa

        pa.array(())  # given a Python object it looks for pandas, once
        yield
    sys.meta_path.insert(0, _OfPandas())


@contextmanager
def _while_scipy() -> Iterator[None]:
    """NumPy's own names stand for modules that it would import for whoever takes all of it by a star."""
    import numpy as np

    late = {name: _LateModule(f"numpy.{name}") for name in LATE_OF_SCIPY if name not in vars(np)}
    vars(np).update(late)
    try:
        yield
    finally:
        for name, one in late.items():
            if vars(np).get(name) is one:
                delattr(np, name)


MEANWHILE = {"apache_beam": _while_beam, STAR: _while_scipy}


class _OfPandas(importlib.abc.MetaPathFinder):
    """When somebody imports pandas after all, Arrow looks for it again."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if name == "pandas":
            import pyarrow as pa

            sys.meta_path.remove(self)
            pa.lib._pandas_api.__init__()  # type: ignore[misc]  # it forgets that there was none
