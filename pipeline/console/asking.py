"""Commands that ask people."""

from typing import Annotated

import typer

from pipeline.console.application import Force, ParquetFile, ReleaseFolder, audit_app, out, review_app

SampleFile = Annotated[str, typer.Argument(help="what `audit sample` wrote", metavar="SAMPLE")]
LabelFiles = Annotated[list[str], typer.Argument(help="what `review serve` wrote", metavar="LABELS...")]


@audit_app.command("sample")
def audit_sample(
    release: ReleaseFolder,
    output: ParquetFile,
    n: Annotated[int, typer.Option("--n", min=1, help="draws that certify; 311 pass with up to 9 synthetic")] = 311,
    by: Annotated[str, typer.Option("--by", help="documents, or tokens: drawn in proportion to length")] = "documents",
    source: Annotated[str | None, typer.Option("--source", help="only documents of this source")] = None,
    everything: Annotated[bool, typer.Option("--all", help="audit declared documents as well")] = False,
    by_score: Annotated[
        bool, typer.Option("--by-score", help="three of twenty draws where scores are highest: fewer labels do")
    ] = False,
    first_look: Annotated[
        int | None, typer.Option("--first-look", help="allow a verdict after so many draws, at half the risk each")
    ] = None,
    active: Annotated[int, typer.Option("--active", min=0, help="informative documents beside them, at most")] = 100,
    gold: Annotated[
        str | None, typer.Option("--gold", help="items of known origin (text, label) to measure reviewers by")
    ] = None,
    gold_share: Annotated[float, typer.Option("--gold-share", min=0.15, max=0.9, help="of all items")] = 0.15,
    salt: Annotated[str | None, typer.Option("--salt", help="of the draw; default: the manifest's hash")] = None,
    force: Force = False,
) -> None:
    """Draw documents of a release for people to label.

    Example: lowbackground audit sample releases/v1 -o sample.parquet
    """
    from pipeline.commands.audit import sample_release
    from transforms.audit.draw import Design

    if by not in ("documents", "tokens"):
        raise typer.BadParameter(f"{by!r} is neither documents nor tokens", param_hint="--by")
    population = "all" if everything else "undeclared"
    design = Design(n, by, population, first_look, active, gold_share, salt, source, by_score)
    out.print(sample_release(release, output, design, gold, force))


@audit_app.command("certify")
def audit_certify(
    sample: SampleFile,
    labels: LabelFiles,
    output: Annotated[str, typer.Option("--output", "-o", help="the certificate to write")] = "certificate.json",
    limit: Annotated[float, typer.Option("--limit", min=0, max=1, help="synthetic share to certify")] = 0.05,
    alpha: Annotated[float, typer.Option("--alpha", min=1e-6, max=0.5, help="chance that the bound is wrong")] = 0.05,
    look: Annotated[int | None, typer.Option("--look", min=1, max=2, help="of a sample with --first-look")] = None,
    votes: Annotated[int, typer.Option("--votes", min=1, help="reviewers that each document needs")] = 1,
    force: Force = False,
) -> None:
    """Bound a release's synthetic share by labels; exit code 1 if the limit is not certified.

    Example: lowbackground audit certify sample.parquet labels.jsonl --limit 0.05
    """
    from pipeline.commands.audit import certify_sample
    from transforms.audit.certificate import Terms

    said, certified = certify_sample(sample, labels, output, Terms(limit, alpha, look, votes), force)
    out.print(said)
    raise typer.Exit(0 if certified else 1)


@audit_app.command("export")
def audit_export(
    sample: SampleFile,
    labels: LabelFiles,
    output: ParquetFile,
    active: Annotated[bool, typer.Option("--active", help="also documents that were chosen, not drawn")] = False,
    force: Force = False,
) -> None:
    """Write labelled documents as `detector` commands read them.

    Example: lowbackground audit export sample.parquet labels.jsonl -o labelled.parquet
    """
    from pipeline.commands.audit import export_labels

    out.print(export_labels(sample, labels, output, active, force))


@review_app.command("serve")
def review_serve(
    sample: SampleFile,
    labels: Annotated[str, typer.Option("--labels", help="file that answers are added to")] = "labels.jsonl",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free")] = 0,
) -> None:
    """Show a sample on a page of this machine, and write down what people say of it.

    Example: lowbackground review serve sample.parquet --labels labels.jsonl
    """
    from pipeline.commands.review import serve_sample

    serve_sample(sample, labels, port, out.print)
