"""Every file operation of whole commands goes wrong once: killed for real, torn, a full disk, a bad sector, a right that is gone.

    python -m benchmarks.crash_matrix --seconds 3600

A command runs in a process of its own, forked from one that has imported everything. Its file operations below the work folder
are counted (tests/crashes.py), and the chosen one goes wrong. Then: there is no release or a whole one; the old one is there, or
comes back; `clean` leaves nothing behind; the next run gives the same bytes. What takes too long is visited evenly: first every
operation whose number divides by a large power of two, and so on. `review serve` waits for people and is not in here.
"""

import argparse
import collections
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from crashes import FAULTS, GROW, Faults, injected  # noqa: E402

COMMANDS = {
    "run": ["run", "recipe.yaml"],
    "run --replace": ["run", "recipe.yaml", "--replace"],
    "clean": ["clean", "out", "--signals"],
    "gate --output": ["gate", "out/small", "--output", "verdict.txt"],
    "verify": ["verify", "out/small"],
    "explain": ["explain", "out/small", "d1"],
}
OVER = 120  # seconds after which a child is over
WORDS = "the quick brown fox jumps over the lazy dog and runs back to its den before the rain begins to fall again "


def main() -> None:
    """Parse the command line, run the matrix, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600, help="stop after so long")
    parser.add_argument("--command", choices=COMMANDS, action="append", help="only this one; may be given again")
    parser.add_argument("--fault", choices=FAULTS, action="append", help="only this one; may be given again")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        matrix = Matrix(pathlib.Path(folder))
        until = time.monotonic() + asked.seconds
        faults = asked.fault or list(FAULTS)
        cases = [case for name in asked.command or COMMANDS for fault in faults for case in matrix.cases(name, fault)]
        cases.sort(key=lambda case: (_coarse(case[2]), case))
        done: collections.Counter[tuple[str, str]] = collections.Counter()
        wrong = []
        for number, (name, fault, at) in enumerate(cases):
            if time.monotonic() > until:
                break
            done[name, fault] += 1
            wrong += [f"{name}, {fault} at {at}: {said}" for said in matrix.one(name, fault, at)]
            if number % 20 == 0:
                print(f"{number:,} of {len(cases):,} cases, {len(wrong)} wrong", file=sys.stderr)
        of = collections.Counter((name, fault) for name, fault, _ in cases)
        print("command          fault    operations  visited")
        for (name, fault), n in of.items():
            print(f"{name:16} {fault:8} {n:10,}  {done[name, fault]:7,}")
        print("\n".join(wrong) or f"all {sum(done.values()):,} cases are as they should be")
    sys.exit(1 if wrong else 0)


def _coarse(at: int) -> int:
    """Numbers that divide by a large power of two come first."""
    return 64 if at == 0 else 64 - (at & -at).bit_length()


class Matrix:
    """A small corpus, a release of it, and what each command is to leave.

    Args:
      folder: an empty one, to work in.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        import pipeline.cli
        import pipeline.commands.gate
        import pipeline.commands.plan
        import pipeline.commands.verify
        import pipeline.runner  # noqa: F401 (so that children need not)

        self.logs: dict[str, list[str]] = {}  # file operations of each command
        self.kept, self.work = folder / "kept", folder / "work"
        self.kept.mkdir()
        (self.kept / "data").mkdir()
        lines = [json.dumps({"id": f"d{n}", "text": f"{n} {WORDS} {n * 13}", "origin": "human"}) for n in range(20)]
        (self.kept / "data" / "part.jsonl").write_text("\n".join(lines))
        (self.kept / "recipe.yaml").write_text(
            "release: small\nsources:\n  - {name: data, path: data}\noutput: {path: out}\nrunner: {workers: 1}\n"
        )
        self.reset(with_release=False)
        assert self.child(COMMANDS["run"], None)[0] == 0, "the run without a fault passes"
        shutil.copytree(self.work / "out", self.kept / "out")
        self.right = _hash(self.kept / "out" / "small")

    def reset(self, with_release: bool) -> None:
        """The work folder as before the command."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.kept, self.work)
        if not with_release:
            shutil.rmtree(self.work / "out", ignore_errors=True)

    def cases(self, name: str, fault: str) -> list[tuple[str, str, int]]:
        """Every operation of a command that the fault can hit."""
        if name not in self.logs:
            self.reset(name != "run")
            self.logs[name] = self.child(COMMANDS[name], Faults(str(self.work)))[1]
        log = self.logs[name]
        names = {"torn": ("write",), "ENOSPC": GROW}.get(fault)
        return [(name, fault, n) for n, operation in enumerate(log) if names is None or operation in names]

    def one(self, name: str, fault: str, at: int) -> list[str]:
        """What is wrong after one fault; nothing, if all is well."""
        self.reset(name != "run")
        code, _ = self.child(COMMANDS[name], Faults(str(self.work), at, fault, really=True))
        wrong = [] if code in (0, 1, 2, 3, 4, -9) else [f"exit code {code}"]
        said = (self.work / "stderr").read_text()
        wrong += ["a trace or a bug is shown"] if "Traceback" in said or "This is a bug" in said else []
        out = self.work / "out"
        if (out / "small").exists() and _hash(out / "small") != self.right:
            wrong.append("there is a release that is not whole")
        if out.exists():
            code, _ = self.child(COMMANDS["clean"], None)
            wrong += [] if code == 0 else [f"clean: exit code {code}"]
            left = {path.name for path in out.iterdir()} - {"small", "small.rejected"}
            wrong += [f"clean leaves {left}"] if left else []
        if name != "run" and not (out / "small").exists():
            wrong.append("the release from before is gone")
        code, _ = self.child(COMMANDS["run --replace"], None)
        if code != 0 or _hash(out / "small") != self.right:
            wrong.append(f"the next run (exit code {code}) gives other bytes")
        return wrong

    def child(self, command: list[str], faults: Faults | None) -> tuple[int, list[str]]:
        """Run a command in a forked process. Returns its exit code, negative if it was killed, and its file operations."""
        assert threading.active_count() == 1, "a process with threads cannot be forked"
        pid = os.fork()
        if pid == 0:
            self._command(command, faults)
        until = time.monotonic() + OVER
        while not (found := os.waitpid(pid, os.WNOHANG))[0]:
            if time.monotonic() > until:
                os.kill(pid, 9)
            time.sleep(0.01)
        log = self.work / "log"
        operations = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return os.waitstatus_to_exitcode(found[1]), operations

    def _command(self, command: list[str], faults: Faults | None) -> None:
        os.chdir(self.work)
        error = os.open("stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(error, 2)
        os.dup2(error, 1)
        sys.argv = ["lowbackground", *command]
        from pipeline.cli import main as lowbackground

        leave = os._exit

        def leave_a_log(code: int) -> None:
            if faults:
                faults.paused = True
                (self.work / "log").write_text(" ".join(name for name, _ in faults.log))
            leave(code)

        os._exit = leave_a_log  # type: ignore[assignment]
        with injected(faults) if faults else contextlib.nullcontext():
            lowbackground()


def _hash(folder: pathlib.Path) -> str:
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return found.hexdigest()


if __name__ == "__main__":
    main()
