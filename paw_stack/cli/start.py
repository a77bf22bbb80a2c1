"""Commands that need no config: they make one from a folder of photos and a table."""

from pathlib import Path
from typing import Annotated

import typer

from paw_stack.cli.options import app

PhotoFolder = Annotated[Path, typer.Argument(metavar="PHOTOS", help="Folder of the photos.")]
ScoreTable = Annotated[
    Path, typer.Argument(metavar="TABLE", help="Names of photos and scores: CSV, Excel, ...")
]
TargetColumns = Annotated[
    list[str] | None,
    typer.Option("--target", metavar="COLUMN", help="Column of scores; repeat it for several."),
]
TestPhotos = Annotated[Path | None, typer.Option("--test", help="Folder of photos to be scored.")]
TestTable = Annotated[Path | None, typer.Option("--test-table", help="Table of those photos.")]
Minutes = Annotated[float, typer.Option(min=0.1, help="That the run may take on this machine.")]


@app.command()
def init(
    photos: PhotoFolder,
    table: ScoreTable,
    target: TargetColumns = None,
    test: TestPhotos = None,
    test_table: TestTable = None,
    minutes: Minutes = 10,
    out: Annotated[Path, typer.Option(help="Config to write.")] = Path("mine.yaml"),
) -> None:
    """Look at photos and a table of scores; write a commented config, and say why it is so.

    Example: paw-stack init shelter/photos shelter/scores.xlsx --target appeal
    """
    from paw_stack.commands import init as configs
    from paw_stack.guess.look import Given

    configs.init(Given(photos, table, tuple(target or ()), test, test_table), minutes, out)


@app.command()
def fit(
    photos: PhotoFolder,
    table: ScoreTable,
    target: TargetColumns = None,
    test: TestPhotos = None,
    test_table: TestTable = None,
    minutes: Minutes = 10,
) -> None:
    """From photos and a table of scores to a report: init and run in one.

    The config stays in the run's folder; the same words again do what is not done.

    Example: paw-stack fit shelter/photos shelter/scores.xlsx --minutes 5
    """
    from paw_stack.commands import init as configs
    from paw_stack.guess.look import Given

    configs.fit(Given(photos, table, tuple(target or ()), test, test_table), minutes)
