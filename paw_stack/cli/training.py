"""Commands that make a run: from photos to a submission."""

from pathlib import Path
from typing import Annotated

import typer

from paw_stack.cli.options import Address, ConfigFile, FoldNumbers, Force, On, Overrides, app
from paw_stack.errors import ConfigError


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write.")],
    labelled: Annotated[int, typer.Option(min=10, help="Photos with a score.")] = 1000,
    test: Annotated[int, typer.Option(min=0, help="Photos without one.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Other seeds draw other photos.")] = 0,
    extra: Annotated[int, typer.Option(min=0, help="Photos with a breed and no score.")] = 0,
) -> None:
    """Draw a sample competition of pet portraits: nothing to download.

    Example: paw-stack sample pets --labelled 500
    """
    from paw_stack.commands import demo as demos

    demos.sample(folder, labelled, test, seed, extra)


@app.command()
def check(config: ConfigFile, set_: Overrides = None) -> None:
    """Read tables and photos; report sizes, scores, near-duplicates, label noise and folds.

    Example: paw-stack check configs/demo.yaml
    """
    from paw_stack.commands import run as stages
    from paw_stack.commands.targets import for_each
    from paw_stack.config.targets import load_targets

    for_each(load_targets(config, set_), stages.check)


@app.command("show-augment")
def show_augment(config: ConfigFile, set_: Overrides = None) -> None:
    """Write a contact sheet of augmented photos.

    Example: paw-stack show-augment mine.yaml --set finetune.augment=all
    """
    from paw_stack.commands import run as stages
    from paw_stack.config import load_config

    stages.show_augment(load_config(config, set_))


@app.command()
def status(config: ConfigFile, set_: Overrides = None) -> None:
    """Show which steps of a run are done, stale (and what has changed) or missing.

    Example: paw-stack status mine.yaml --set finetune.epochs=6
    """
    from paw_stack.commands.status import show_status
    from paw_stack.commands.targets import for_each
    from paw_stack.config.targets import load_targets

    for_each(load_targets(config, set_), show_status)


@app.command()
def finetune(
    config: ConfigFile, set_: Overrides = None, fold: FoldNumbers = None, force: Force = None
) -> None:
    """Train every backbone that is not frozen, once a fold.

    Example: paw-stack finetune mine.yaml --fold 0 --set finetune.epochs=2
    """
    from paw_stack.commands import run as stages
    from paw_stack.commands.targets import for_each
    from paw_stack.config.targets import load_targets

    for_each(load_targets(config, set_), lambda one: stages.finetune(one, fold, force))


@app.command("pseudo-label")
def pseudo_label(config: ConfigFile, set_: Overrides = None, fold: FoldNumbers = None) -> None:
    """Label extra photos by each fold's own network: paw-stack pseudo-label configs/my.yaml"""
    from paw_stack.commands import run as stages
    from paw_stack.config import load_config

    stages.pseudo_label(load_config(config, set_), fold)


@app.command()
def embed(
    config: ConfigFile,
    set_: Overrides = None,
    fold: FoldNumbers = None,
    source: Annotated[
        Path | None,
        typer.Option(help="A collection without scores: a folder, tar shards or Parquet files."),
    ] = None,
    force: Force = None,
    on: On = "here",
    address: Address = None,
) -> None:
    """Write the embeddings of all photos to disk.

    With a collection it is by frozen backbones and shard by shard into artifacts/RUN/collection;
    unreadable photos are listed and left out. --on ray embeds as many shards at once as the cluster
    has room for.

    Examples: paw-stack embed mine.yaml

    paw-stack embed mine.yaml --source photos/
    """
    from paw_stack.commands import run as stages
    from paw_stack.commands.embed_collection import embed_source
    from paw_stack.commands.targets import for_each
    from paw_stack.config import load_config
    from paw_stack.config.targets import load_targets

    if source:
        embed_source(load_config(config, set_), source, on, address)
    elif on == "here":
        for_each(load_targets(config, set_), lambda one: stages.embed(one, fold, force))
    else:
        raise ConfigError("embed --on ray: takes --source; run --on ray embeds a run's own photos")


@app.command("fit-heads")
def fit_heads(
    config: ConfigFile,
    head: Annotated[
        list[str] | None,
        typer.Option(help="One of the config's heads, or all; repeat it for several."),
    ] = None,
    set_: Overrides = None,
    fold: FoldNumbers = None,
    force: Force = None,
) -> None:
    """Fit the config's heads on the embeddings, cross-fitted.

    Example: paw-stack fit-heads mine.yaml --head svr --set heads.svr.C=8
    """
    from paw_stack.commands import run as stages
    from paw_stack.commands.targets import for_each
    from paw_stack.config.targets import load_targets

    heads = head or ["all"]
    for_each(load_targets(config, set_), lambda one: stages.fit_heads(one, heads, fold, force))


@app.command()
def blend(
    config: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG]", help="YAML file of the run; or --labelled.")
    ] = None,
    set_: Overrides = None,
    labelled: Annotated[
        Path | None, typer.Option(help="CSV of Id, the target and, on request, fold.")
    ] = None,
    target: Annotated[str, typer.Option(help="The target's column, with --labelled.")] = "",
    candidates: Annotated[
        list[str] | None,
        typer.Option(help="Quoted pattern of CSVs (Id, fold, prediction), or a run's folder."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write, with --labelled.")] = None,
    bounds: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Lowest and highest score; else the target's."),
    ] = None,
    weight: Annotated[
        str | None, typer.Option(help="Column of --labelled: how much a row counts.")
    ] = None,
    method: Annotated[str, typer.Option(help="As blend.method of a config.")] = "auto",
    calibration: Annotated[str, typer.Option(help="As blend.calibration of a config.")] = "auto",
) -> None:
    """Blend all candidates, score the blend honestly, write submission.csv.

    Without a config, from files alone:

    paw-stack blend --labelled labelled.csv --target Pawpularity --candidates 'v*.csv' --out DIR
    """
    if config and not labelled and not weight:
        from paw_stack.commands import run as stages
        from paw_stack.commands.targets import for_each, write_together
        from paw_stack.config.targets import load_targets

        targets = load_targets(config, set_)
        for_each(targets, stages.blend)
        write_together(targets)
    elif not config and labelled and target and candidates and out:
        from paw_stack.commands.blend_files import FilesToBlend, blend_files

        files = FilesToBlend(labelled, target, candidates, out, bounds, weight)
        blend_files(files, method, calibration)
    else:
        raise ConfigError("blend: give a CONFIG, or --labelled, --target, --candidates and --out")


@app.command()
def run(
    config: ConfigFile,
    set_: Overrides = None,
    fold: FoldNumbers = None,
    force: Force = None,
    on: On = "here",
    address: Address = None,
) -> None:
    """Run all stages in order: finetune, embed, fit-heads, blend.

    Examples: paw-stack run mine.yaml --set run.name=second

    paw-stack run mine.yaml --on ray --address head:6379
    """
    from paw_stack.commands import run as stages
    from paw_stack.commands.targets import for_each, write_together
    from paw_stack.config.targets import load_targets

    targets = load_targets(config, set_)
    for_each(targets, lambda one: stages.run(one, fold, force, on, address))
    if not fold:
        write_together(targets)


@app.command()
def study(
    file: Annotated[Path, typer.Argument(metavar="STUDY", help="YAML file of the study.")],
    set_: Overrides = None,
    only: Annotated[list[str] | None, typer.Option(help="This variant; repeat it.")] = None,
    on: On = "here",
    address: Address = None,
) -> None:
    """Compare variants of a config with the first: paw-stack study configs/studies/extra.yaml"""
    from paw_stack.commands.results.study import run_study

    run_study(file, set_, only, on, address)


@app.command()
def demo(set_: Overrides = None) -> None:
    """Draw the sample competition and run every stage on it, in artifacts/demo.

    Example: paw-stack demo --set finetune.epochs=2
    """
    from paw_stack.commands import demo as demos

    demos.demo(set_)
