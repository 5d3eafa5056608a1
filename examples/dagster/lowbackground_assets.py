"""A release as an asset of Dagster, and its gate as a blocking check: what depends on the release waits for the verdict."""

import json
import os
import subprocess

import dagster as dg

LOWBACKGROUND = os.environ.get("LOWBACKGROUND", "lowbackground")  # its command, in an environment of its own
FOLDER = os.environ.get("LOWBACKGROUND_FOLDER", ".")  # with recipe.yaml and suite.yaml
RELEASE = "releases/v2"


def lowbackground(*words: str) -> subprocess.CompletedProcess[str]:
    """Call it. There is no shell in between."""
    return subprocess.run(  # noqa: S603
        [LOWBACKGROUND, *words], cwd=FOLDER, capture_output=True, text=True, check=False
    )


@dg.asset
def release() -> dg.MaterializeResult:
    """What recipe.yaml makes. A release that its own suite rejects is no asset."""
    done = lowbackground("run", "recipe.yaml", "--replace")
    if done.returncode:
        raise dg.Failure(f"exit code {done.returncode}: {done.stderr}", allow_retries=done.returncode == 4)
    with open(os.path.join(FOLDER, RELEASE, "MANIFEST.json"), encoding="utf-8") as file:
        manifest = json.load(file)
    return dg.MaterializeResult(metadata={"documents": manifest["counts"]["kept"]})


@dg.asset_check(asset=release, blocking=True)
def gate() -> dg.AssetCheckResult:
    """The limits of whoever answers for the release, on its metrics."""
    done = lowbackground("gate", RELEASE, "--suite", "suite.yaml", "--format", "json")
    if done.returncode > 1:  # no verdict: the release cannot be read
        raise dg.Failure(done.stderr)
    verdict = json.loads(done.stdout)
    said = {"verdict": verdict["status"], "reasons": dg.MetadataValue.json(verdict["reasons"])}
    return dg.AssetCheckResult(passed=done.returncode == 0, metadata=said)


definitions = dg.Definitions(assets=[release], asset_checks=[gate])
