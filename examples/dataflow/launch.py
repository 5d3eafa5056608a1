"""What a Flex Template starts: `lowbackground run --no-wait`, which sends the job and ends.

A parameter of the template is a key of the recipe (KEYS); whatever else stands on the command line is Dataflow's own, and goes
on as `runner.options`. The log says how to come back: `lowbackground status JOB`.
"""

import argparse
import json
import sys

from pipeline.cli import main

KEYS = {
    "release": "release",
    "output": "output.path",
    "max_synthetic_share": "ratio.max_synthetic_share",
    "on_shortage": "ratio.on_shortage",
    "split_bytes": "ingest.split_bytes",
}
NUMBERS = ("max_synthetic_share", "split_bytes")  # all else is text, whatever YAML makes of it


def command(words: list[str]) -> list[str]:
    """The command line of a run, from what Dataflow's launcher says."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__)
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--replace", choices=("true", "false"), default="false")
    parser.add_argument("--runner")  # is said as runner.name
    for name in KEYS:
        parser.add_argument(f"--{name}")
    said, dataflows = parser.parse_known_args(words)
    given = {name: value for name in KEYS if (value := getattr(said, name)) is not None}
    changes = {KEYS[name]: value if name in NUMBERS else json.dumps(value) for name, value in given.items()}
    changes |= {"runner.name": said.runner or "DataflowRunner", "runner.options": json.dumps(dataflows)}
    sets = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    return ["run", said.recipe, "--no-wait", *sets, *(["--replace"] if said.replace == "true" else [])]


if __name__ == "__main__":
    sys.argv[1:] = command(sys.argv[1:])
    main()
