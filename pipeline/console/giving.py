"""Commands that give a release to others."""

from typing import Annotated

import typer

from pipeline.console.application import AnyFolder, Force, Json, ReleaseFolder, app, out, progress


@app.command()
def sign(
    release: ReleaseFolder,
    key: Annotated[str, typer.Option("--key", help="a private key, PEM: Ed25519 or ECDSA P-256", metavar="FILE")],
    force: Force = False,
) -> None:
    """Sign what a release is, how it was made and what its gate said; the statements go beside it.

    Example: lowbackground sign releases/v2 --key key.pem
    """
    from pipeline.commands.sign import sign_release

    out.print(sign_release(release, key, progress, force))


@app.command()
def export(
    release: ReleaseFolder,
    folder: Annotated[str, typer.Argument(help="folder to make", metavar="OUT")],
    format_: Annotated[
        str, typer.Option("--format", help="jsonl.zst, webdataset, megatron, mds or delta")
    ] = "jsonl.zst",
    tokenizer: Annotated[
        str | None, typer.Option("--tokenizer", help="a tokenizer.json, or tiktoken:NAME; of megatron and mds")
    ] = None,
    eod: Annotated[str | None, typer.Option("--eod", help="token behind each document, of megatron")] = None,
    text: Annotated[str, typer.Option("--text", help="what the text is called")] = "text",
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="that goes along; again for more; default: all, of mds the source"),
    ] = None,
    repeat: Annotated[bool, typer.Option("--repeat", help="write a document as often as it counts (copies)")] = False,
    shard_bytes: Annotated[
        int, typer.Option("--shard-bytes", min=1, help="about how much text a file holds, of jsonl.zst and webdataset")
    ] = 500_000_000,
    as_json: Json = False,
) -> None:
    """Write a release in a format that trainers read, or its ledger and metrics as Delta tables; counted when it is written.

    Example: lowbackground export releases/demo exported --format webdataset
    """
    import orjson

    from pipeline.commands.export import Asked, export_release, export_text
    from pipeline.reading.answer import deliver

    asked = Asked(format_, tokenizer, eod, text, tuple(column or ()), repeat, shard_bytes)
    about = export_release(release, folder, asked, progress)
    deliver(orjson.dumps(about).decode() if as_json else export_text(about, folder))


@app.command()
def push(
    release: ReleaseFolder,
    target: Annotated[str, typer.Argument(help="hf://datasets/org/name", metavar="TARGET")],
    public: Annotated[
        bool, typer.Option("--public", help="a repository that is made may be read by everybody")
    ] = False,
) -> None:
    """Put a release onto the Hugging Face hub as a new revision; the token is HF_TOKEN of the environment.

    Example: lowbackground push releases/v2 hf://datasets/org/name
    """
    from pipeline.commands.push import push_release, pushed_text

    out.print(pushed_text(push_release(release, target, progress, not public), release))


@app.command()
def papers(
    releases: Annotated[list[str], typer.Argument(help="folders of releases", metavar="RELEASE...")],
    output: Annotated[str, typer.Option("--output", "-o", help="folder for the papers")] = "papers",
    form: Annotated[
        list[str] | None, typer.Option("--form", help="write this one only; may be repeated", metavar="NAME")
    ] = None,
    today: Annotated[str | None, typer.Option("--today", help="the day of the papers", metavar="YYYY-MM-DD")] = None,
    force: Force = False,
) -> None:
    """Write what laws and other tools ask of a corpus, from what its releases hold; what they do not say is "not known".

    Example: lowbackground papers releases/v1 releases/v2 --output papers --form eu-summary
    """
    from pipeline.commands.papers import write_papers

    for path in write_papers(releases, output, form or [], today, force):
        out.print(f"written to {path}")


@app.command("report-upstream")
def report_upstream(
    release: AnyFolder,
    source: Annotated[str, typer.Argument(help="name of a source of its recipe", metavar="SOURCE")],
    output: Annotated[str | None, typer.Option("--output", "-o", help="write it to this file", metavar="FILE")] = None,
    examples: Annotated[int, typer.Option("--examples", min=0, help="at most so many of each reason")] = 3,
    no_text: Annotated[bool, typer.Option("--no-text", help="leave out the texts")] = False,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Write to the maintainer of a source what is wrong with it: counts, examples, how to see it.

    Example: lowbackground report-upstream releases/v1 web --output issue.md
    """
    from expectations.papers.upstream import as_issue, as_machine_report
    from pipeline.commands.report_upstream import upstream_report
    from pipeline.reading.answer import deliver
    from pipeline.reading.outputs import check_output

    if output is not None:
        check_output(output, [release], force)
    report = upstream_report(release, source, examples, not no_text)
    deliver((as_machine_report if as_json else as_issue)(report), output)
