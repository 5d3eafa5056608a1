"""A short run of the long fuzz, and the same cases by hand: whatever is in a file, what was read adds up."""

import importlib.util
import json
import pathlib
import subprocess
import sys

FILE = pathlib.Path(__file__).parents[3] / "benchmarks" / "fuzz_readers.py"
SPEC = importlib.util.spec_from_file_location("fuzz_readers", FILE)
assert SPEC
assert SPEC.loader
fuzz_readers = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(fuzz_readers)


def test_mutated_files_raise_nothing_and_lose_nothing(tmp_path):
    files, seen = fuzz_readers.seeds(), set()
    for case in range(600):
        seen.add(fuzz_readers.outcome(*fuzz_readers.mutated(case, files), str(tmp_path / "file")))
    assert len(seen) > 10  # reasons and their combinations: the cases are not all of one kind


def test_the_good_files_are_read_whole(tmp_path):
    for format, compression, content in fuzz_readers.seeds():
        if format != "jsonl":  # which has lines that may be refused
            assert fuzz_readers.outcome(format, compression, content, str(tmp_path / "file")) == "all read"


def test_a_run_can_be_broken_off_and_goes_on(tmp_path):
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"done": 20, "found": {"text all read": 20}, "faults": []}))
    done = subprocess.run(
        [sys.executable, str(FILE), "--count", "50", "--state", str(state)],
        capture_output=True, text=True, check=True, cwd=FILE.parents[1],
    )  # fmt: skip
    assert "50 cases, 0 faults" in done.stdout
    assert json.loads(state.read_text())["done"] == 50
