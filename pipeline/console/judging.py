"""Commands that judge and compare releases."""

from typing import Annotated

import typer

from expectations.judge import gx_process
from pipeline.console.application import (
    AnyFolder,
    Force,
    Json,
    Output,
    Overrides,
    ReleaseFolder,
    TextOrJson,
    Today,
    app,
    chosen_form,
    err,
    out,
    progress,
)

Html = Annotated[str | None, typer.Option("--html", help="write the same to this file too, as a page", metavar="FILE")]
FailOnWorse = Annotated[bool, typer.Option("--fail-on-worse", help="exit code 1 if it got worse")]
TEXT_OR_JSON = {"text": "text", "json": "json"}


@app.command()
def gate(
    release: ReleaseFolder,
    suite: Annotated[str | None, typer.Option("--suite", help="a preset or a YAML file; default: the recipe's")] = None,
    overrides: Overrides = None,
    audit: Annotated[
        str | None, typer.Option("--audit", help="a certificate of this release; it and the estimate must agree")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="text, json, junit, github, markdown or sarif")] = "text",
    as_json: Json = False,
    output: Output = None,
    today: Today = None,
    data_docs: Annotated[
        str | None,
        typer.Option("--data-docs", help="also write a page of Great Expectations' Data Docs", metavar="DIR"),
    ] = None,
    checksums: Annotated[
        bool, typer.Option("--checksums", help="hold every file's checksum against the manifest; reads the shards")
    ] = False,
    force: Force = False,
) -> None:
    """Judge a release again, on its metrics, without the corpus; what is not as its manifest says is refused.

    Example: lowbackground gate releases/v2 --suite strict --format junit --output verdict.xml
    """
    gx_process.start()
    from expectations.judge.formats import FORMATS
    from pipeline.advice.remedy import of_release
    from pipeline.commands.gate import check_outputs, judge_again, write_data_docs
    from pipeline.reading.answer import chosen, deliver
    from pipeline.reading.checksums import check_release

    form = chosen_form(form, as_json)
    written = chosen(form, FORMATS)
    check_outputs(release, suite, audit, output, data_docs, force)
    check_release(release, checksums, progress)
    verdict, code = judge_again(release, suite, overrides or (), audit, today)
    if data_docs:
        write_data_docs(verdict, data_docs)
    deliver(written(verdict), output, FORMATS["text"](verdict))
    if last := of_release(verdict, release, suite, overrides or ()):
        (out if output or form == "text" else err).print(last)
    raise typer.Exit(code)


@app.command()
def diff(
    first: Annotated[str, typer.Argument(help="folder of the earlier release", metavar="RELEASE")],
    second: Annotated[str, typer.Argument(help="folder of the later one", metavar="RELEASE")],
    form: TextOrJson = "text",
    as_json: Json = False,
    html: Html = None,
    fail_on_worse: FailOnWorse = False,
    force: Force = False,
) -> None:
    """Say what moved between two releases, early signs of collapse first, and which documents came and went.

    Example: lowbackground diff releases/v1 releases/v2 --fail-on-worse
    """
    from pipeline.commands.diff import difference
    from pipeline.reading.answer import chosen, deliver

    answer, worse = difference(first, second, chosen(chosen_form(form, as_json), TEXT_OR_JSON), html, force)
    deliver(answer)
    raise typer.Exit(int(worse and fail_on_worse))


@app.command()
def history(
    releases: Annotated[list[str], typer.Argument(help="folders of releases, the oldest first", metavar="RELEASE...")],
    form: TextOrJson = "text",
    as_json: Json = False,
    html: Html = None,
    fail_on_worse: FailOnWorse = False,
    force: Force = False,
) -> None:
    """Show how the numbers moved over releases, each as a line of small bars, and what it comes to.

    Example: lowbackground history releases/v1 releases/v2 releases/v3
    """
    from pipeline.commands.history import history as history_of
    from pipeline.reading.answer import chosen, deliver

    answer, worse = history_of(releases, chosen(chosen_form(form, as_json), TEXT_OR_JSON), html, force)
    deliver(answer)
    raise typer.Exit(int(worse and fail_on_worse))


@app.command()
def propose(
    releases: Annotated[list[str], typer.Argument(help="folders of reference releases", metavar="RELEASE...")],
    output: Annotated[str, typer.Option("--output", "-o", help="the suite to write")] = "suite.yaml",
    force: Force = False,
) -> None:
    """Write a suite from releases that are good, with limits from their own spread.

    Example: lowbackground propose releases/v1 releases/v2 -o suite.yaml
    """
    from pipeline.commands.propose import propose as propose_suite

    out.print(propose_suite(releases, output, force))


@app.command()
def verify(
    release: AnyFolder,
    key: Annotated[
        str | None, typer.Option("--key", help="a public key, PEM, that must have signed it", metavar="FILE")
    ] = None,
    as_json: Json = False,
) -> None:
    """Read every byte of a release, and prove that no document is lost; exit code 1 if something is not as it says.

    Example: lowbackground verify releases/v2 --key public.pem
    """
    from pipeline.commands.verify import verified_json, verify_release
    from pipeline.reading.answer import deliver

    if as_json:
        said, good = verified_json(release, progress, key)
    else:
        said, good = verify_release(release, progress, key)
    deliver(said)
    raise typer.Exit(0 if good else 1)
