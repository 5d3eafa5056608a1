"""Run the examples of the docs, and hold what they print against what the pages show.

    python docs/examples.py            # say which pages differ; exit code 1 if any does
    python docs/examples.py --update   # write what was printed into the pages

A page is run from its top in a folder of its own. What runs are its fenced blocks:

- `console`: each line that begins with `$ ` is a command of bash; the lines under it are what it prints (standard output; a
  page that wants the other stream too says `2>&1`). An exit code that is not 0 is shown as a last line `(exit code 1)`.
- any language with `title="NAME"`: the file NAME, written when its turn comes.
- `python` without a title: run as a program; a `text` block right under it is what it prints.

`<!-- start: demo -->` at the top starts in a folder in which `lowbackground demo` was run. `<!-- not run: WHY -->` right above a
block leaves it alone. The demo's corpus is the documentation of the Python that runs it, so pages are exact for one
version (`docs/examples.version`); with another, numbers and long names are not compared.
"""

import argparse
import dataclasses
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

DOCS = pathlib.Path(__file__).resolve().parent
VERSION = DOCS / "examples.version"
SECONDS = 600  # that one command may take

_FENCE = re.compile(r"^(?P<fence>`{3,})(?P<head>[^\n`]*)\n(?P<body>.*?)^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')
_NOT_RUN = re.compile(r"<!-- not run: [^>]+-->\s*\Z")


def pages() -> list[pathlib.Path]:
    """Every page that may hold examples: the README, and the pages under docs/ but decisions and generated reference."""
    found = [path for path in DOCS.rglob("*.md") if {"decisions", "reference"}.isdisjoint(path.relative_to(DOCS).parts)]
    return [DOCS.parent / "README.md", *sorted(found)]


@dataclasses.dataclass
class Runner:
    """Runs pages; keeps one demo for all of them in `scratch`.

    Args:
      scratch: a folder.
      python: what runs a Python block.
      programs: folder in which commands are found first.
    """

    scratch: pathlib.Path
    python: tuple[str, ...] = (sys.executable,)
    programs: str = os.path.dirname(sys.executable)

    def page(self, text: str) -> str:
        """The page with what its examples print now."""
        if not _runs(text):
            return text
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.scratch))
        if "<!-- start: demo -->" in text:
            shutil.copytree(self._demo(), folder, dirs_exist_ok=True, symlinks=True)
        at, parts, printed = 0, [], None
        for block in _FENCE.finditer(text):
            before = text[at : block.start()]
            head, body = block["head"].strip(), block["body"]
            language = head.split()[0] if head else ""
            title = _TITLE.search(head)
            if _NOT_RUN.search(before):
                printed = None
            elif title:
                path = folder / title[1]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(body, encoding="utf-8")
                printed = None
            elif language == "console":
                body, printed = self._console(body, folder), None
            elif language == "python":
                printed = self._run([*self.python, "-c", body], folder)
            elif language == "text" and printed is not None and not before.strip():
                body, printed = printed, None
            else:
                printed = None
            parts.append(f"{before}{block['fence']}{block['head']}\n{body}{block['fence']}")
            at = block.end()
        shutil.rmtree(folder)
        return "".join([*parts, text[at:]])

    def _demo(self) -> pathlib.Path:
        folder = self.scratch / "demo"
        if not folder.exists():
            folder.mkdir()
            self._run(["bash", "-c", "lowbackground demo"], folder)
        return folder

    def _console(self, body: str, folder: pathlib.Path) -> str:
        shown: list[str] = []
        for command in _commands(body):
            written = "\n".join([f"$ {command[0]}", *command[1:]])
            shown.append(f"{written}\n{self._run(['bash', '-c', chr(10).join(command)], folder)}")
        return "".join(shown)

    def _run(self, command: list[str], folder: pathlib.Path) -> str:
        env = os.environ | {
            "PATH": f"{self.programs}{os.pathsep}{os.environ.get('PATH', '')}",
            "COLUMNS": "110", "LC_ALL": "C.UTF-8", "TZ": "UTC", "NO_COLOR": "1", "PYTHONWARNINGS": "ignore",
        }  # fmt: skip
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, stdin=subprocess.DEVNULL, timeout=SECONDS, check=False
        )
        said = done.stdout.decode("utf-8", "replace")
        said = "".join(f"{line.rstrip()}\n" for line in said.replace(str(folder), "FOLDER").splitlines())
        return said + (f"(exit code {done.returncode})\n" if done.returncode else "")


def _commands(body: str) -> list[list[str]]:
    """The commands of a console block, each as its lines; the lines that they printed are left out."""
    commands: list[list[str]] = []
    goes_on = False
    for line in body.splitlines():
        if goes_on:
            commands[-1].append(line)
        elif line.startswith("$ "):
            commands.append([line[2:]])
        else:
            continue
        goes_on = line.endswith("\\")
    return commands


def _runs(text: str) -> bool:
    return any(re.search(r"^(console|python)\b|title=", block["head"].strip()) for block in _FENCE.finditer(text))


def same(shown: str, now: str, exact: bool) -> bool:
    """Whether a page shows what is printed now: but for seconds and checksums, and on another Python for numbers."""
    return _comparable(shown, exact) == _comparable(now, exact)


def _comparable(text: str, exact: bool) -> str:
    text = re.sub(r"\b[0-9a-f]{12,64}\b", "#", text)
    text = re.sub(r"\b\d+(\.\d+)? (s|seconds|ms)\b", "# s", text)
    if exact:
        return text
    return re.sub(r"\s+", " ", re.sub(r"[\d.,%]+", "#", text))


def is_exact() -> bool:
    """Whether this Python is the one whose documentation the pages were made from."""
    return VERSION.exists() and VERSION.read_text().strip() == platform.python_version()


def main() -> int:
    """Compare, or update."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", help="write what was printed into the pages")
    parser.add_argument("pages", nargs="*", type=pathlib.Path, help="default: all")
    asked = parser.parse_args()
    differ = []
    with tempfile.TemporaryDirectory() as scratch:
        runner = Runner(pathlib.Path(scratch))
        for path in asked.pages or pages():
            shown = path.read_text(encoding="utf-8")
            now = runner.page(shown)
            if asked.update:
                if shown != now:
                    path.write_text(now, encoding="utf-8")
            elif not same(shown, now, is_exact()):
                differ.append(path)
    if asked.update:
        VERSION.write_text(platform.python_version() + "\n")
    for path in differ:
        sys.stderr.write(f"{path}: prints something else; python docs/examples.py --update\n")
    return int(bool(differ))


if __name__ == "__main__":
    sys.exit(main())
