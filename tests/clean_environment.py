"""An environment that has nothing of ours, for tests that ask other people's tools."""

import pathlib
import subprocess
import sys
from collections.abc import Sequence

import pytest


def environment_of(folder: pathlib.Path, packages: Sequence[str]) -> pathlib.Path:
    """A new environment with these packages, made by uv in seconds. Returns the folder of its programs.

    The test is skipped where no index of packages can be reached.
    """
    uv, bin_ = [sys.executable, "-m", "uv"], folder / "env" / "bin"
    for words in (["venv", "-q", "--python", sys.executable, folder / "env"],
                  ["pip", "install", "-q", "--python", bin_ / "python", *packages]):  # fmt: skip
        if subprocess.run([*uv, *words], check=False).returncode:
            pytest.skip("other tools cannot be installed here: no index of packages can be reached")
    return bin_
