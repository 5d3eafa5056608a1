"""`gate`: judge a release again, on its own metrics, without the corpus."""

import os
import posixpath
from collections.abc import Sequence

import pyarrow as pa

from expectations.judge import gx_json
from expectations.judge.verdict import Verdict, judge
from expectations.paths import open_for_reading
from expectations.structures.systems_file import load_systems
from expectations.suite.suite import load_suite
from pipeline.reading.outputs import an_answer, check_output, save
from pipeline.recipe import load_recipe
from pipeline.runner import day, exit_code, rules_of, suite_params
from transforms.audit.against_estimate import with_audit, with_audit_rules
from transforms.audit.certificate import Certificate
from transforms.audit.draw import AuditError
from transforms.release.gate import with_rules
from transforms.release.read_release import STRUCTURES, SUITE, open_release, read_metrics

PAGE = "index.html"  # of Data Docs, in the folder that is named


def judge_again(
    release: str, suite: str | None, overrides: Sequence[str], audit: str | None = None, today: str | None = None
) -> tuple[Verdict, int]:
    """The verdict of a suite on a release that is there already, and its exit code.

    Args:
      release: folder of a release or a rejection.
      suite: a preset or a YAML file, from the current folder; None: the one that the release was judged by.
      overrides: changes to the release's recipe, such as `ratio.max_synthetic_share=0.1`.
      audit: a certificate of this very release, whose bound is then judged where it covers.
      today: the day that waivers are held against, as 2027-01-31; None: today's in UTC.

    Raises:
      RecipeError, SuiteError, AuditError: there is no release, the suite is wrong, or the certificate is another's.
    """
    recipe = load_recipe(posixpath.join(release, "recipe.yaml"), overrides)
    loaded = load_suite(suite, os.getcwd()) if suite else load_suite(SUITE, release, kept=True)
    # As they were, whatever their files say by now: the metrics are of those.
    systems = load_systems([STRUCTURES], release) if recipe.structures else ()
    metrics = pa.Table.from_batches([read_metrics(release)])
    rules = with_rules(loaded, **rules_of(recipe), systems=systems)
    if audit is not None:
        metrics = with_audit(metrics, _certificate(audit, release))
        rules = with_audit_rules(rules, metrics)
    verdict = judge(metrics, rules, suite_params(recipe), day(today))
    return verdict, exit_code(verdict)


def _certificate(path: str, release: str) -> Certificate:
    try:
        with open_for_reading(path) as file:
            certificate = Certificate.from_json(file.read(), path)
    except OSError as error:
        raise AuditError(f"{path}: {error.strerror}; `lowbackground audit certify` writes certificates") from None
    manifest = open_release(release).manifest_sha256
    if certificate.manifest_sha256 != manifest:
        raise AuditError(
            f"{path} is of release {certificate.release!r} with manifest {certificate.manifest_sha256[:12]}, not of "
            f"{release} with manifest {manifest[:12]}; audit this one"
        )
    return certificate


def check_outputs(
    release: str, suite: str | None, audit: str | None, output: str | None, data_docs: str | None, force: bool
) -> None:
    """Refuse files that `gate` must not write, before it judges.

    Raises:
      RecipeError: see `outputs.check_output`.
    """
    inputs = [release, *([suite] if suite else []), *([audit] if audit else [])]
    if output is not None:
        check_output(output, inputs, force, an_answer)
    if data_docs is not None:
        check_output(os.path.join(data_docs, PAGE), inputs, force, an_answer, "--data-docs")


def write_data_docs(verdict: Verdict, folder: str) -> None:
    """A verdict as a page of Great Expectations' Data Docs, `index.html` of a folder.

    Raises:
      RecipeError: it cannot be written.
    """
    from expectations.judge import gx  # late: it is slow to import

    save(gx.data_docs(gx_json.validation(verdict)), os.path.join(folder, PAGE))
