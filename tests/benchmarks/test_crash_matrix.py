"""The crash matrix of whole commands, on two operations: it kills, and it counts."""

import pathlib
import subprocess

import pytest
import warm

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.slow
def test_it_visits_operations_and_says_how_many() -> None:
    command = [
        *warm.python(),
        "-m",
        "benchmarks.crash_matrix",
        "--seconds",
        "1",
        "--command",
        "clean",
        "--fault",
        "kill",
    ]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    name, fault, operations, visited = ran.stdout.splitlines()[1].split()
    assert (name, fault) == ("clean", "kill")
    assert int(operations) > 20
    assert int(visited) >= 1
    assert "are as they should be" in ran.stdout
