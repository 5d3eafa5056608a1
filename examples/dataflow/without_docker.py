"""The steps of the Dockerfile beside this, in a folder and an environment of its own, where there is no Docker to build it.

    python examples/dataflow/without_docker.py FOLDER

From the top of the repository. What is copied from other images is left out, and said. Then it looks at what an image must
have: kernels that a second run finds compiled, and a launcher that starts. Needs `uv`, and an index of packages.
"""

import argparse
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
PLACES = ("/opt/", "/tmp/")  # of the image; they lie in the folder  # noqa: S108 (of the image)


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """A Dockerfile's verbs, and what they are given."""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            verb, _, said = line.partition(" ")
            yield verb, said


def main() -> None:
    """Run on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="is made")
    top = parser.parse_args().folder.absolute()
    top.mkdir(parents=True)
    python, uv = top / "env" / "bin" / "python", [sys.executable, "-m", "uv"]
    environment = {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)

    def run(command: list[str], **how: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(command, cwd=top, env=environment, text=True, check=False, **how)  # noqa: S603 (the file beside this)  # type: ignore[call-overload, no-any-return]

    def here(said: str) -> str:
        for place in PLACES:
            said = said.replace(place, f"{top}{place}")
        return said

    def must(command: list[str]) -> None:
        if run(command).returncode:
            raise SystemExit(f"failed: {shlex.join(command)}")

    must([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(top / "dist"), str(ROOT)])
    must([*uv, "venv", "-q", "--python", sys.executable, str(top / "env")])
    (top / "tmp").mkdir()
    for verb, said in instructions((HERE / "Dockerfile").read_text()):
        if verb == "ENV":
            name, _, value = here(said).partition("=")
            environment[name] = value
        elif verb == "COPY" and not said.startswith("--"):
            source, place = shlex.split(here(said))
            pathlib.Path(f"{place}x").parent.mkdir(parents=True, exist_ok=True)
            shutil.copy((top if source.startswith("dist/") else ROOT) / source, place)
        elif verb == "RUN":
            words = here(said).replace(
                "pip install --no-cache-dir", f"{shlex.join(uv)} pip install -q --python {python}"
            )
            must(["sh", "-c", words])
        else:
            sys.stdout.write(f"left out: {verb} {said}\n")

    kernels = pathlib.Path(environment["NUMBA_CACHE_DIR"])
    compiled = sorted(kernels.rglob("*.nbc"))
    must(["lowbackground", "demo", str(top / "again")])
    if not compiled or sorted(kernels.rglob("*.nbc")) != compiled:
        raise SystemExit("kernels were compiled again: the image's cache is not what workers look for")
    launcher = [str(python), environment["FLEX_TEMPLATE_PYTHON_PY_FILE"], f"--recipe={top / 'again' / 'recipe.yaml'}"]
    done = run([*launcher, "--runner=DataflowRunner", "--project=a-project"], capture_output=True)
    if done.returncode != 2 or "is a path of this machine" not in done.stderr:
        raise SystemExit(f"the launcher ended with {done.returncode}: {done.stderr[-500:]}")
    sys.stdout.write(
        f"{len(compiled)} kernels are compiled, and found again; the launcher starts, and loads DataflowRunner\n"
    )


if __name__ == "__main__":
    main()
