"""Commands that look at documents."""

import shutil
from typing import Annotated

import typer

from pipeline.console.application import AnyFolder, Force, Json, Model, ParquetFile, app, out


@app.command()
def explain(
    release: AnyFolder,
    doc_id: Annotated[
        str | None,
        typer.Argument(help="the ledger's id, the beginning of one, or the input's own id", metavar="ID"),
    ] = None,
    width: Annotated[
        int | None, typer.Option("--width", min=20, help="of the texts side by side; default: the terminal's, else 100")
    ] = None,
    no_text: Annotated[bool, typer.Option("--no-text", help="leave out the texts")] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", help="list documents that were dropped for it, as near_duplicate")
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="documents to list, at most")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="the ledger's rows as JSON, for a program")] = False,
) -> None:
    """Say what became of one document, and why; show a duplicate beside the one that is kept for it.

    Example: lowbackground explain releases/demo --reason near_duplicate --n 5
    """
    from pipeline.advice.side_by_side import MIN_WIDTH
    from pipeline.commands.explain import documents_json, explain_document, list_documents
    from pipeline.reading.answer import deliver
    from pipeline.reading.ledger_lookup import find_documents

    if doc_id is None and reason is None:
        raise typer.BadParameter("give the id of a document, or --reason to find some", param_hint="ID")
    if doc_id is None or as_json:
        rows = find_documents(release, reason, n, doc_id)
        deliver(documents_json(release, rows) if as_json else list_documents(rows))
        return
    width = width or max(MIN_WIDTH, shutil.get_terminal_size((100, 24)).columns)
    out.print(explain_document(release, doc_id, width, not no_text))


@app.command()
def provenance(
    document: Annotated[
        str, typer.Argument(help="its id, or the first digits of it, or the input's own id", metavar="ID")
    ],
    releases: Annotated[list[str], typer.Argument(help="folders of releases, the oldest first", metavar="RELEASE...")],
    as_json: Json = False,
) -> None:
    """Tell one document's life through releases: where it came from, what was known of it, when it came and went.

    Example: lowbackground provenance 3f2a91 releases/v1 releases/v2
    """
    from pipeline.commands.provenance import life_json, life_of, life_text
    from pipeline.reading.answer import deliver

    life = life_of(document, releases)
    deliver(life_json(life) if as_json else life_text(life))


@app.command()
def serve(
    releases: Annotated[list[str], typer.Argument(help="folders of releases or rejections", metavar="RELEASE...")],
    sample: Annotated[
        str | None, typer.Option("--sample", help="what `audit sample` wrote, to label beside them", metavar="SAMPLE")
    ] = None,
    labels: Annotated[str, typer.Option("--labels", help="file that answers are added to")] = "labels.jsonl",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free")] = 0,
) -> None:
    """Show releases on pages of this machine: every document, what became of it and why, and what moved between releases.

    Example: lowbackground serve releases/v1 releases/v2
    """
    from pipeline.commands.serve import serve_releases

    serve_releases(releases, sample, labels, port, out.print)


@app.command()
def score(
    data: Annotated[list[str], typer.Argument(help="folders, files or globs to read", metavar="INPUT...")],
    output: ParquetFile,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", help="column of the input to keep; may be given again")
    ] = None,
    text: Annotated[str | None, typer.Option("--text", help="the input's text column, if it is not found")] = None,
    model: Model = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Score any input with the detector alone.

    Example: lowbackground score corpus/ -o scores.parquet --keep url
    """
    from pipeline.commands.score import score_input, scored_text
    from pipeline.reading.answer import deliver, for_programs

    found = score_input(data, output, tuple(keep or ()), text, model, force)
    deliver(for_programs(found) if as_json else scored_text(found))
