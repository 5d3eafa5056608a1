"""What all commands share: the list of them in its sections, options and arguments that several have, and the screen."""

import itertools
import logging
import os
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core
from rich.console import Console

from expectations.escaping import terminal
from expectations.versions import version
from pipeline import log
from pipeline.redaction import redact_message

if TYPE_CHECKING:
    from pipeline.recipe import Recipe

logging.getLogger().setLevel(logging.ERROR)  # before Beam is imported: it warns of extras that nobody asked for

SECTIONS = {
    "Make a release": ("demo", "init", "check", "plan", "run", "status", "withdraw"),
    "Judge and compare releases": ("gate", "diff", "history", "propose", "verify"),
    "Give it to others": ("sign", "export", "push", "papers", "report-upstream"),
    "Look at documents": ("explain", "provenance", "serve", "score", "detector"),
    "Ask people": ("review", "audit"),
    "Care": ("schema", "clean"),
}


WORDS = "lowbackground.words"  # under this the context has all that stands on the command line
FLAGS = ("-q", "--quiet", "-v", "--verbose")  # of every command


def _general_first(words: list[str]) -> list[str]:
    """Options of every command may stand anywhere, as in `lowbackground run recipe.yaml -v`."""
    end = words.index("--") if "--" in words else len(words)
    first: list[str] = []
    rest: list[str] = []
    left = iter(words[:end])
    for word in left:
        if word == "--log-file":
            first += [word, *itertools.islice(left, 1)]
        else:
            (first if word in FLAGS or word.startswith("--log-file=") else rest).append(word)
    return first + rest + words[end:]


class Commands(typer.core.TyperGroup):
    """The list of commands: in sections, each with its whole first sentence."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the options of every command from wherever they stand."""
        ctx.meta.setdefault(WORDS, args)
        return list(super().parse_args(ctx, args if ctx.parent else _general_first(args)))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list into the help."""
        left = [
            name for name in self.list_commands(ctx) if name not in {n for names in SECTIONS.values() for n in names}
        ]
        for title, names in {**SECTIONS, "Commands": left}.items():
            shown = [(name, self.get_command(ctx, name)) for name in names]
            rows = [(name, (command.help or "").partition("\n\n")[0]) for name, command in shown if command is not None]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


app = typer.Typer(
    name="lowbackground",
    cls=Commands,
    help="Build training corpora whose share of synthetic text is known, bounded and written down.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
detector_app = typer.Typer(cls=Commands, help="Train and inspect detectors.", no_args_is_help=True)
app.add_typer(detector_app, name="detector")
audit_app = typer.Typer(cls=Commands, help="Certify a release by people's labels.", no_args_is_help=True)
app.add_typer(audit_app, name="audit")
review_app = typer.Typer(cls=Commands, help="Label documents.", no_args_is_help=True)
app.add_typer(review_app, name="review")


class Screen(Console):
    """A terminal that text from anywhere may be shown on: it obeys none of it, and sees no secret."""

    def print(self, *objects: Any, **options: Any) -> None:
        """As Rich's, with every text made harmless. What is said beside an answer is in the log too."""
        shown = [terminal(redact_message(o)) if isinstance(o, str) else o for o in objects]
        if self.stderr:
            log.SAID.info("%s", " ".join(map(str, shown)))
        super().print(*shown, **options)


_PLAIN: dict[str, Any] = {
    "markup": False,
    "highlight": False,
    "soft_wrap": True,
    "emoji": False,
}  # as "[b]" and ":smile:"
out = Screen(**_PLAIN)
err = Screen(stderr=True, **_PLAIN)
progress = Screen(stderr=True, **_PLAIN)  # what `--quiet` leaves out

WRONG = 2  # the exit code of a recipe or a command line that the user can mend
AT_WORK = 5  # the exit code of a job that is not at its end
BROKE = 4  # the exit code of whatever is no verdict and no mistake of the user
INTERRUPTED = 130  # what the command line library makes of Ctrl-C


def _version(asked: bool) -> None:
    if asked:
        print(f"lowbackground {version('lowbackground')}")  # noqa: T201 (nothing else is wanted)
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version, and nothing else")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="no progress and no notes; errors and answers only")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="what the engines say while they work, on standard error")
    ] = False,
    log_file: Annotated[
        str | None,
        typer.Option("--log-file", help="add the same to this file, with times and traces", metavar="FILE"),
    ] = None,
) -> None:
    """Build training corpora whose share of synthetic text is known, bounded and written down."""
    if quiet and verbose:
        raise typer.BadParameter("--quiet and --verbose exclude each other; say one", param_hint="--verbose")
    progress.quiet = quiet
    if log_file is not None:
        _check_log(log_file, [word for word in ctx.meta[WORDS] if word != log_file and os.path.exists(word)])
    log.start(verbose, log_file)


def _check_log(path: str, inputs: list[str]) -> None:
    from pipeline.reading.outputs import check_output

    way_out = "it is no log of ours to add to, so choose another name"
    check_output(path, inputs, False, log.is_log, "--log-file", way_out)


def recipe_at(path: str, changes: list[str]) -> "Recipe":
    """A recipe, none of whose sources would read the log."""
    from pipeline.recipe import RecipeError, load_recipe

    loaded = load_recipe(path, changes)
    if (written := log.path()) is not None:
        try:
            _check_log(written, [path for source in loaded.sources for path in source.paths])
        except RecipeError:
            log.refuse()
            raise
    return loaded


RecipePath = Annotated[str, typer.Argument(help="the recipe, a YAML file", metavar="RECIPE")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="change one key, as ratio.max_synthetic_share=0.1", metavar="KEY=VALUE"),
]
Output = Annotated[
    str | None, typer.Option("--output", help="write it to this file, and the text to the screen", metavar="FILE")
]

ReleaseFolder = Annotated[str, typer.Argument(help="folder of a release", metavar="RELEASE")]
AnyFolder = Annotated[str, typer.Argument(help="folder of a release or a rejection", metavar="RELEASE")]
DetectorFolder = Annotated[str, typer.Option("--output", "-o", help="folder of the detector to write")]
ParquetFile = Annotated[str, typer.Option("--output", "-o", help="Parquet file to write")]
Model = Annotated[str | None, typer.Option("--model", help="folder or file of a detector; default: the bundled one")]
Json = Annotated[bool, typer.Option("--json", help="the answer as JSON, for a program")]
Force = Annotated[bool, typer.Option("--force", help="replace a file that is there")]
TextOrJson = Annotated[str, typer.Option("--format", help="text or json")]
Today = Annotated[
    str | None, typer.Option("--today", help="the day that waivers are held against", metavar="YYYY-MM-DD")
]


def complain(line: str) -> None:
    """Say something beside the command's answer."""
    err.print(line)


def chosen_form(form: str, as_json: bool) -> str:
    """What `--format` and `--json`, which is short for one of its words, come to."""
    if as_json and form not in ("text", "json"):
        raise typer.BadParameter(f"--json and --format {form} exclude each other; say one", param_hint="--json")
    return "json" if as_json else form
