"""What many small files cost: the CPU seconds of `init`, `check` and `run` beside those for the same text in a few files.

    python -m benchmarks.many_files [--files 10000] [--bytes 2000] [--few 16] [--repeats 2]

Every small file is one line of JSON in a folder of its own, as in a database of laws. Each command is a process of its own, and
the best turn counts; `times` is many over few. `again` is `check` where a run has been: what is read may be a link into that.
"""

import argparse
import json
import pathlib
import pydoc_data.topics
import resource
import subprocess
import sys
import tempfile

COMMAND = (sys.executable, "-c", "from pipeline.cli import main; main()")


def write(folder: pathlib.Path, n_files: int, n_bytes: int, few: int) -> None:
    """The same documents as `many` files and in `few` files."""
    words = " ".join(pydoc_data.topics.topics.values()).split()
    lines = []
    for i in range(n_files):
        n_words = n_bytes // 6
        begin = (i * 7919) % (len(words) - n_words)
        lines.append(json.dumps({"id": f"d{i}", "text": f"{i} {' '.join(words[begin : begin + n_words])}"}) + "\n")
        (folder / "many" / f"law {i:06d}").mkdir(parents=True)
        (folder / "many" / f"law {i:06d}" / "act.jsonl").write_text(lines[-1])
    (folder / "few").mkdir()
    for at in range(few):
        (folder / "few" / f"{at:03d}.jsonl").write_text("".join(lines[at::few]))


def seconds(folder: pathlib.Path, *words: str) -> float:
    """CPU seconds of a command, and of what it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*COMMAND, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr  # 1: the gate failed, which such text may well bring about
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Measure and show a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--bytes", type=int, default=2000)
    parser.add_argument("--few", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--commands", nargs="+", default=["init", "check", "run", "again"])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write(folder, asked.files, asked.bytes, asked.few)
        sys.stdout.write(f"{asked.files:,} files of {asked.bytes:,} bytes, and the same in {asked.few}\n")
        for command in asked.commands:
            best: dict[str, float] = {}
            for turn in range(asked.repeats):
                for data in ("many", "few"):
                    words = {
                        "init": ("init", data, "-o", f"{data}.yaml", "--force"),
                        "check": ("check", f"{data}.yaml"),
                        "run": ("run", f"{data}.yaml", "--set", f"output.path={data}-{turn}"),
                        "again": ("check", f"{data}.yaml", "--set", f"output.path={data}-0"),
                    }
                    best[data] = min(best.get(data, float("inf")), seconds(folder, *words[command]))
            many, few = best["many"], best["few"]
            sys.stdout.write(f"  {command:8}{many:8.1f} s  {few:8.1f} s  {many / max(few, 0.01):6.2f} times\n")


if __name__ == "__main__":
    main()
