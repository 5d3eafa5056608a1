"""A refused run on a mixed real corpus, and the ways out that it names, each followed to a release that passes.

    python -m benchmarks.way_out DATA_DIR OUT_DIR [--documents N] [--limit SHARE]

DATA_DIR has labelled Parquet files (`text`, `label`). Their texts are cut into passages. Most human passages, with one
machine passage among fifty, are the source `web`, of which nothing is declared; the others are `library`, declared human;
machine passages that make up N, at least a thirtieth, are `rephrased`, declared synthetic. The recipe asks for at most SHARE
synthetic tokens. Every command is printed with its exit code. Labels are the truth, which the run never sees. Exits with 1 if
the first run is not refused, or a way that it names does not end in a release that passes its gate at the limit.
"""

import argparse
import glob
import hashlib
import json
import pathlib
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator

import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

PASSAGE = 280  # characters
OF_WEB, DECLARED_MACHINE, HIDDEN_MACHINE = 0.86, 30, 50
RECIPE = """\
release: mixed
sources:
  - {{name: web, path: web.jsonl}}
  - {{name: library, path: library.jsonl, origin: human}}
  - {{name: rephrased, path: rephrased.jsonl, origin: synthetic, kind: rephrased}}
ratio: {{max_synthetic_share: {limit}}}
expectations: mixed
dedup: {{on_source_loss: warn}}
output: {{path: out}}
"""

Say = Callable[[str], object]


def passages(text: str) -> Iterator[str]:
    """Pieces of about `PASSAGE` characters that end where a word does; a short last one belongs to the one before."""
    start = 0
    while len(text) - start > 1.5 * PASSAGE:
        end = text.find(" ", start + PASSAGE)
        if end < 0:
            break
        yield text[start:end].strip()
        start = end
    yield text[start:].strip()


def part(text: str, salt: str) -> float:
    """A number in [0, 1) that depends on the text and the salt only."""
    return int.from_bytes(hashlib.blake2b(f"{salt}\0{text}".encode(), digest_size=8).digest(), "little") / 2**64


def build(data: str, folder: pathlib.Path, documents: int) -> dict[str, int]:
    """Write the three sources. Returns how many documents each has, and how many of `web` are a machine's."""
    texts: dict[str, dict[str, None]] = {"human": {}, "ai": {}}
    for path in sorted(glob.glob(f"{data}/*.parquet")):
        table = pq.read_table(path, columns=["text", "label"])
        for label, found in texts.items():
            for text in table.filter(pc.equal(table["label"], label))["text"].to_pylist():
                found.update(dict.fromkeys(piece for piece in passages(text) if len(piece) >= PASSAGE // 4))
    human, machine = (sorted(found, key=lambda text: part(text, "order")) for found in texts.values())
    human = human[: documents * (DECLARED_MACHINE - 1) // DECLARED_MACHINE]
    web = [("human", text) for text in human if part(text, "source") < OF_WEB]
    library = [("human", text) for text in human if part(text, "source") >= OF_WEB]
    hidden = len(web) // (HIDDEN_MACHINE - 1)
    rephrased = max(0, documents - len(human) - hidden)
    web += [("machine", text) for text in machine[:hidden]]
    sources = {
        "web": web,
        "library": library,
        "rephrased": [("machine", text) for text in machine[hidden:][:rephrased]],
    }
    for name, rows in sources.items():
        with open(folder / f"{name}.jsonl", "w", encoding="utf-8") as file:
            for number, (label, text) in enumerate(sorted(rows, key=lambda row: part(row[1], "mixed"))):
                file.write(json.dumps({"id": f"{label}-{name}-{number}", "text": text}) + "\n")
    return {name: len(rows) for name, rows in sources.items()} | {"of web a machine's": hidden}


class Shell:
    """Runs `lowbackground` in a folder, and says what it ran."""

    def __init__(self, folder: pathlib.Path, say: Say) -> None:
        self.folder, self.say = folder, say

    def run(self, *arguments: str) -> tuple[int, str]:
        """The exit code, and what was printed."""
        command = [sys.executable, "-c", "from pipeline.cli import main; main()", *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=3600, check=False)
        self.say(f"$ lowbackground {shlex.join(arguments)}\n  exit code {done.returncode}\n")
        for line in (done.stdout + done.stderr).splitlines():
            if re.search(
                r"synthetic share of|verdict|^certified|^not certified|^audit |FAIL|^  - |^The mixture|Error", line
            ):
                self.say(f"  | {line}\n")
        return done.returncode, done.stdout


def label(folder: pathlib.Path, release: pathlib.Path, labels: str) -> int:
    """What a reviewer who is always right would answer of sample.parquet. Returns how many documents were labelled."""
    data = ds.dataset(release / "data", format="parquet").to_table(columns=["id", "input_id"])
    wrote = dict(zip(data["id"].to_pylist(), data["input_id"].to_pylist(), strict=True))
    rows = pq.read_table(folder / "sample.parquet").to_pylist()
    with open(folder / labels, "w", encoding="utf-8") as file:
        for row in rows:
            said = "synthetic" if wrote[row["id"]].startswith("machine") else "human"
            answer = {"content_hash": row["content_hash"], "item": row["item"], "label": said, "reviewer": "truth"}
            file.write(json.dumps(answer) + "\n")
    return len(rows)


def truth(release: pathlib.Path) -> float:
    """The true synthetic share of a release's tokens."""
    columns = ["input_id", "n_tokens", "copies"]
    table = ds.dataset(release / "data", format="parquet").to_table(columns=columns)
    tokens = pc.multiply(pc.cast(table["n_tokens"], "int64"), pc.max_element_wise(pc.cast(table["copies"], "int64"), 1))
    machine = pc.starts_with(table["input_id"], "machine")
    return float(pc.sum(pc.multiply(tokens, pc.cast(machine, "int64"))).as_py() / pc.sum(tokens).as_py())


def main(arguments: list[str]) -> int:
    """Build, be refused, and follow every way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("data")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--limit", type=float, default=0.15)
    given = parser.parse_args(arguments)
    say = sys.stdout.write
    given.out.mkdir(parents=True, exist_ok=True)
    counts = build(given.data, given.out, given.documents)
    say(f"{sum(list(counts.values())[:3]):,} documents: {', '.join(f'{n:,} {name}' for name, n in counts.items())}\n")
    (given.out / "recipe.yaml").write_text(RECIPE.format(limit=given.limit))
    shell = Shell(given.out, lambda text: (say(text), sys.stdout.flush()))
    code, printed = shell.run("run", "recipe.yaml", "--replace")
    if code == 0:
        say("The run was not refused.\n")
        return 1
    passed = []
    # The ways that are one setting, but for moving the limit itself.
    for number, setting in enumerate(re.findall(r"^  - cap .*\(--set '(.+)'\)$", printed, re.MULTILINE)):
        name = f"capped-{number}"
        code, _ = shell.run("run", "recipe.yaml", "--replace", "--set", f"release={name}", "--set", setting)
        passed.append(code == 0)
        say(f"  {setting}: exit code {code}, true share {truth(given.out / 'out' / name):.2%}\n" if code == 0 else "")
    commands = [shlex.split(line)[1:] for line in printed.splitlines() if line.startswith("  lowbackground ")]
    for command in commands:
        if command[:2] == ["review", "serve"]:
            n = label(given.out, given.out / commands[-1][1], command[command.index("--labels") + 1])
            say(f"  {n} documents labelled by the truth\n")
            continue
        if command[0] in ("run", "audit"):
            command = [*command, "--replace" if command[0] == "run" else "--force"]
        code, _ = shell.run(*command)
        passed.append(code == 0)
    if commands:
        say(f"  true share {truth(given.out / commands[-1][1]):.2%}\n")
    say(f"{sum(passed)} of {len(passed)} steps passed\n")
    return 0 if passed and all(passed) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
