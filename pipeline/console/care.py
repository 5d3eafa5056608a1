"""Commands of care: schemas for editors, and what may be deleted."""

from typing import Annotated

import typer

from pipeline.console.application import Force, app, out


@app.command()
def schema(
    what: Annotated[str, typer.Argument(help="suite, recipe or structures", metavar="suite|recipe|structures")],
    output: Annotated[str | None, typer.Option("--output", "-o", help="file to write; default: the screen")] = None,
    force: Force = False,
) -> None:
    """Print the JSON Schema of a file that people write, for their editors.

    Example: lowbackground schema recipe -o recipe.schema.json
    """
    from pipeline.commands.schema import schema_of
    from pipeline.reading.answer import deliver
    from pipeline.reading.outputs import check_output

    answer = schema_of(what)
    if output is not None:
        check_output(output, [], force)
    deliver(answer, output)


@app.command()
def clean(
    output: Annotated[str, typer.Argument(help="folder of releases (output.path of the recipe)")],
    signals: Annotated[bool, typer.Option("--signals", help="also delete the signal store")] = False,
) -> None:
    """Delete what killed runs left behind. Releases are never touched.

    Example: lowbackground clean releases
    """
    from pipeline.commands.clean import clean_output

    out.print(clean_output(output, signals))
