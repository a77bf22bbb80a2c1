"""`paw-stack check` and `show-augment`: what tables and photos hold, and what augmentation does."""

from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.config import Config
from paw_stack.console import say
from paw_stack.data.competition import Competition
from paw_stack.data.folds import imbalance, large_group
from paw_stack.data.groups import flattery_sentence, groups_sentence, hint
from paw_stack.data.images.cache import unreadable_sentence
from paw_stack.data.images.reading import list_photos
from paw_stack.data.label_noise import LabelNoise, RatingNoise
from paw_stack.data.screening import Findings
from paw_stack.data.tables import read_table
from paw_stack.data.tables.cells import FORM
from paw_stack.errors import offenders
from paw_stack.metrics import finer, is_constant, mean, n_effective, sd
from paw_stack.pipeline.experiment import Job
from paw_stack.pipeline.flattery import flattery, kept_vectors

BINS, BAR = 10, 40


def report_data(config: Config, competition: Competition, findings: Findings) -> None:
    """Counts, sizes, formats, unreadable photos, scores, near-duplicates, label noise."""
    table = findings.table
    labelled, test = competition.labelled.ids, competition.test.ids
    say(f"{config.data.root}: {len(labelled)} labelled photos, {len(test)} test photos")
    for remark in competition.remarks:
        say(remark)
    good = table[findings.readable]
    if len(good):
        _report_photos(good)
    if len(good) < len(table):
        say(unreadable_sentence(table))
    if table["wrong_extension"].any():
        wrong = table[table["wrong_extension"]]
        named = [f"{p} is {f}" for p, f in zip(wrong["path"], wrong["format"], strict=True)]
        say(f"extension and content differ (read all the same): {offenders(named)}")
    _report_unnamed(config, competition)
    _report_target(config.data.target, competition.target, competition.weight)
    if competition.weight is not None:
        say(_weights_sentence(str(config.data.weight), competition.weight))
    _report_duplicates(competition, findings)


def _report_photos(good: pd.DataFrame) -> None:
    for what in ("format", "mode"):
        counts = good[what].value_counts()
        say(f"{what}s: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    shorter = np.minimum(good["width"], good["height"])
    low, middle, high = np.percentile(shorter, [0, 50, 100])
    say(f"shorter side: {low:.0f} to {high:.0f} pixels, median {middle:.0f}")
    if count := int((good["profile"] == "converted").sum()):
        say(f"colour profiles other than sRGB, turned to it: {count}")
    if (broken := good["profile"] == "ignored").any():
        say(f"colour profiles that cannot be used, ignored: {offenders(good.loc[broken, 'path'])}")
    if good["animated"].any():
        moving = good.loc[good["animated"], "path"]
        say(f"more than one frame or page, the first is taken: {offenders(moving)}")


def _report_unnamed(config: Config, competition: Competition) -> None:
    """What lies in the folders and takes no part."""
    data = config.data
    named = {*competition.labelled.paths, *competition.test.paths}
    folders = {data.root / data.labelled_images}
    if data.test is not None:
        folders.add(data.root / data.test_images)
    for folder in sorted(folders):
        listing = list_photos(folder)
        if unnamed := [path for path in listing.photos if path not in named]:
            say(f"photos that no table names: {offenders(unnamed)}")
        if remark := listing.remark():
            say(remark)


def _report_target(name: str, target: np.ndarray, weight: np.ndarray | None) -> None:
    """Mean and SD by weight, as the run's scores are; the bars count photos."""
    spread = sd(target, weight)
    few = 2 + finer(spread)
    say(
        f"{name}: mean {mean(target, weight):.{few}f}, SD {spread:.{few}f},"
        f" from {target.min():g} to {target.max():g}"
    )
    counts, edges = np.histogram(target, BINS)
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        bar = "█" * round(BAR * count / counts.max())
        say(f"  {low:7.{few}f} to {high:7.{few}f} {count:6}  {bar}")


def _weights_sentence(column: str, weight: np.ndarray) -> str:
    if is_constant(weight):
        return f"data.weight: {column} is {weight[0]:g} for all rows, so each counts once"
    low, high = (value / weight.mean() for value in (weight.min(), weight.max()))
    return (
        f"weighted by {column}: all that is learned and every RMSE; a row counts {low:.3g} to"
        f" {high:.3g} times the average one, and {len(weight)} rows tell a mean as well as"
        f" {n_effective(weight, weight):.0f} that count alike"
    )


def _report_duplicates(competition: Competition, findings: Findings) -> None:
    say(_duplicates_sentence(findings))
    if len(findings.crossing):
        labelled, test = competition.labelled.ids, competition.test.ids
        named = [f"{test[j]} = {labelled[i]}" for i, j in findings.crossing]
        say(f"test photos that nearly repeat a labelled one: {offenders(named)}")
    _report_noise(competition, findings)


def _report_noise(competition: Competition, findings: Findings) -> None:
    """The exact one first, where raters tell it; that of near-duplicates is of a few photos."""
    if known := competition.rating_noise:
        say(_rating_sentence(known))
    if findings.noise:
        say(_noise_sentence(findings.noise))


def _rating_sentence(noise: RatingNoise) -> str:
    few = 2 + finer(noise.sd)
    known = f"label noise, exact: SD {noise.sd:.{few}f}"
    if np.isfinite(noise.high):
        known += f" (95 %: {noise.low:.{few}f} to {noise.high:.{few}f})"
    told = f"{known}, from the raters' spread in {noise.n_rows} scores"
    return f"{told}; no model can reach a lower RMSE" if noise.sd else f"{told}: they never differ"


def _duplicates_sentence(findings: Findings) -> str:
    sizes = np.bincount(findings.group_of)
    groups = sizes[sizes > 1]
    if not len(groups):
        return "near-duplicates: none among the labelled photos"
    return f"near-duplicates: {groups.sum()} labelled photos show {len(groups)} pictures"


def _noise_sentence(noise: LabelNoise) -> str:
    """A bound on RMSE only where there are enough groups to know the noise."""
    if noise.mean_difference == 0:
        return (
            f"scores of one picture never differ ({noise.n_groups} pictures): no label noise told"
        )
    few = 2 + finer(noise.sd)
    differ = f"scores of one picture differ by {noise.mean_difference:.{few}f} points on average"
    if not np.isfinite(noise.high):
        return f"{differ} ({noise.n_groups} pictures: too few to tell the label noise)"
    ends = f"{noise.low:.{few}f} to {noise.high:.{few}f}"
    pictures = f"{noise.n_groups} pictures scored more than once"
    return (
        f"{differ}: label noise SD {noise.sd:.{few}f} (95 %: {ends}), from {pictures}; no model can"
        " reach a lower RMSE"
    )


def summarise(job: Job) -> None:
    """Say in a few lines what `check` says at length, before a run begins."""
    findings, weight = job.findings, job.competition.weight
    unreadable = int((~findings.readable).sum())
    left_out = f", {unreadable} of them unreadable" if unreadable else ""
    say(f"{len(findings.table)} photos{left_out}; {_duplicates_sentence(findings)}")
    for remark in job.competition.remarks:
        say(remark)
    if unreadable:
        say(unreadable_sentence(findings.table))
    if weight is not None:
        say(_weights_sentence(str(job.config.data.weight), weight))
    if (group := job.competition.group) is not None:
        say(groups_sentence(str(job.config.data.group), group, job.folds.group_of))
        for sentence in large_group(job.folds):
            say(f"uneven: {sentence}")
    _report_noise(job.competition, findings)


def report_groups(job: Job) -> None:
    """What the column of groups makes of the rows; or a hint where ids look like groups."""
    data, known = job.config.data, job.competition
    if data.group is None or known.group is None:
        if sentence := hint(known.labelled.ids.tolist()):
            say(sentence)
        return
    say(groups_sentence(data.group, known.group, job.folds.group_of))
    if (vectors := kept_vectors(job)) is None:
        say("run tells how much ungrouped folds would flatter, once it has embedded the photos")
    elif sentence := flattery_sentence(flattery(job, *vectors, np.arange(len(known.target)))):
        say(sentence)


def report_folds(job: Job) -> None:
    """Sizes and mean targets, and what is uneven."""
    target, fold_of = job.competition.target, job.folds.fold_of
    sizes = np.bincount(fold_of)
    means = np.bincount(fold_of, target) / sizes
    source, few = _source(job.config.folds.file), 2 + finer(float(target.std()))
    say(
        f"{job.folds.n} folds ({source}): {sizes.min()} to {sizes.max()} rows,"
        f" mean targets {means.min():.{few}f} to {means.max():.{few}f}"
    )
    for sentence in imbalance(job.folds, target):
        say(f"uneven: {sentence}")


def _source(file: Path | None) -> str:
    """Where folds come from, and how that table is written."""
    if file is None:
        return "dealt"
    form = read_table(file, ["Id", "fold"], []).attrs.get(FORM)
    return f"{file}, read as {form}" if form else str(file)


def report_memory(config: Config) -> None:
    """What fine-tuning each backbone takes of a GPU: of this machine's, or of usual ones."""
    tuned = [backbone for backbone in config.backbones if not backbone.frozen]
    if not tuned or config.compute.device == "cpu":
        return
    from paw_stack.network.device import resolve_device
    from paw_stack.network.gpu.memory import training_needs

    device = resolve_device(config.compute)
    for backbone in tuned:
        say(f"fine-tuning {backbone.name}: {training_needs(backbone, config.finetune, device)}")


PHOTOS, DRAWS = 6, 7


def write_contact_sheet(job: Job) -> Path:
    """Photos from the lowest score to the highest, each with seven draws."""
    from paw_stack.data.images.augment import AugmentedPhotos, contact_sheet, make_augment
    from paw_stack.network.backbone import input_size

    trained = [b for b in job.config.backbones if not b.frozen] or job.config.backbones
    augment = make_augment(job.config.finetune, input_size(trained[0]))
    photos = AugmentedPhotos(job.pixels(trained[0]), augment, job.config.run.seed)
    by_score = np.argsort(job.competition.target, kind="stable")
    rows = by_score[np.linspace(0, len(by_score) - 1, PHOTOS).astype(int)].tolist()
    return job.run.save_contact_sheet(contact_sheet(photos, rows, DRAWS))
