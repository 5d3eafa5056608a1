"""Libraries import other libraries for uses that nobody here has. What is hidden from them costs no time when a command starts.

Beam imports pandas for data frames of its own, a driver of MongoDB and the client of BigQuery; Numba imports SciPy's linear
algebra for matrix products in compiled code. All of them go without. Whoever imports one of these later, gets it.
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType

OF_BEAM = ("pandas", "pymongo", "apache_beam.io.gcp.bigquery")


@contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Modules that cannot be imported meanwhile, but for those that are already."""
    finder = _Hidden(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def lean() -> None:
    """Let Beam, when this process imports it, import no more than a command needs. It may be called again."""
    if "apache_beam" not in sys.modules and not any(isinstance(one, _OfBeam) for one in sys.meta_path):
        sys.meta_path.insert(0, _OfBeam())


class _Hidden(importlib.abc.MetaPathFinder):
    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if name in self.names:
            raise ModuleNotFoundError(f"{name} is hidden while something else is imported", name=name)


class _OfBeam(importlib.abc.MetaPathFinder):
    """Finds Beam, once."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != "apache_beam":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec and spec.loader:
            spec.loader = _Lean(spec.loader)
        return spec


class _Lean(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader) -> None:
        self.loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__.loader = module.__loader__ = self.loader  # type: ignore[union-attr]
        with hidden(*OF_BEAM):
            import pyarrow as pa

            pa.array(())  # given a Python object it looks for pandas, once
            self.loader.exec_module(module)
        sys.meta_path.insert(0, _OfPandas())


class _OfPandas(importlib.abc.MetaPathFinder):
    """When somebody imports pandas after all, Arrow looks for it again."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if name == "pandas":
            import pyarrow as pa

            sys.meta_path.remove(self)
            pa.lib._pandas_api.__init__()  # type: ignore[misc]  # it forgets that there was none
