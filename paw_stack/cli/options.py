"""The app that commands are added to, and the options that several of them share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from paw_stack.console import printing

app = typer.Typer(
    help="Photos with a score in, a calibrated score for new photos out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _print_what_is_said(context: typer.Context) -> None:
    context.with_resource(printing())


ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file of the run.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a key, such as finetune.epochs=3."),
]
Force = Annotated[
    str | None,
    typer.Option(
        "--force",
        metavar="STAGE",
        help="Do finetune, embed or fit-heads again, and what is built on it, done or not.",
    ),
]
FinishedRun = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run's folder, artifacts/NAME, or its config.")
]
FoldNumbers = Annotated[
    list[int] | None, typer.Option("--fold", help="Only this fold; repeat it for several.")
]
On = Annotated[
    Literal["here", "ray"],
    typer.Option("--on", help="here: one step after the other; ray: on a Ray cluster."),
]
Address = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="A running Ray cluster; else one is started here."),
]
