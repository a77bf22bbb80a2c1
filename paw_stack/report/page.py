"""A finished run -> `report.html`: one page that loads nothing and says the same every time.

Styles, script, charts and photos are inside. Whatever comes from a table or a config, ids too, is
escaped by Jinja; behind that stands a content security policy that admits the page's own script
alone.
"""

import hashlib
import re
from base64 import b64encode
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import yaml
from markupsafe import Markup

from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.metrics import decimals
from paw_stack.report import charts, labels, numbers, sentences, svg

SHOWN_PAIRS = 24
SHOWN_WEIGHTS = 12
SHOWN_STEPS = 12
CONTENTS = {
    "summary": "Summary",
    "warnings": "Warnings",
    "photos": "Photos",
    "candidates": "Candidates",
    "spread": "Spread",
    "calibration": "Calibration",
    "folds": "Folds",
    "blend": "Blend",
    "more": "More scores",
    "shift": "Test photos",
    "map": "Map",
    "duplicates": "Near-duplicates",
    "time": "Time",
    "config": "Config",
}
SHEETS = {
    "highest": "Highest predictions",
    "lowest": "Lowest predictions",
    "overrated": "Most mistaken: predicted too high",
    "underrated": "Most mistaken: predicted too low",
    "suspicious": "Scores to look at again",
}


def render(run: FinishedRun) -> str:
    """The whole page."""
    style, script = (source(f"report.{kind}") for kind in ("css", "js"))
    view = _view(run)
    contents = [(name, title) for name, title in CONTENTS.items() if view.get(name, True)]
    return (
        environment()
        .get_template("report.html")
        .render(
            style=Markup(style),
            script=Markup(script),
            script_hash=b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            contents=contents,
            **view,
        )
    )


@cache  # it keeps the templates, whose compilation takes longer than a page
def environment() -> Any:
    """Jinja with the templates of this room, which escapes whatever it is given."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("paw_stack.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(fixed=_fixed, count=sentences.count, breakable=_breakable)
    return found


def source(name: str) -> str:
    """The text of a template, as it stands in its file."""
    return str(environment().loader.get_source(environment(), name)[0])


def _fixed(value: float | None, digits: int = 2) -> str:
    """Nothing where there is no number."""
    if value is None or not np.isfinite(value):
        return ""
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace("-", svg.MINUS)


def _breakable(name: str) -> Markup:
    """A name that may go on in another line after its signs."""
    return Markup("<wbr>").join(re.split(r"(?<=[._/-])", name))


def _view(run: FinishedRun) -> dict[str, Any]:
    """What the template shows; a section whose entry is empty is left out."""
    facts, config = run.blend, run.config.model_dump(mode="json")
    leaders = numbers.leaders({name: facts["scores"][name]["rmse"] for name in facts["weights"]})
    best, shown = leaders[0], ["blend", *leaders]
    target, blend = run.labelled["target"].to_numpy(), run.oof["blend"].to_numpy()
    rows, drawn = (run.weight, run.folds.group_of), numbers.drawn_range(run)
    interval = numbers.rmse_interval(target, blend, *rows)
    tenths = numbers.tenths(target, blend, *rows)
    digits = decimals(target.min(), target.max())
    return {
        "run": run,
        "facts": facts,
        "data": run.config.data,
        "best": best,
        "n_folds": run.n_folds,
        "words": sentences,
        "interval": interval,
        "scale": run.shown_range,
        "digits": digits,
        "headline": charts.ladder(_rungs(facts, best, interval), digits),
        "story": sentences.story(run, target, blend),
        "warnings": sentences.warnings(run, best),
        "sheets": SHEETS,
        "photos": _photos(run, target, blend),
        "shown": shown,
        "folded": [name for name in facts["weights"] if name not in leaders],
        "spreads": {
            name: charts.distributions(target, run.oof[name].to_numpy(), drawn, name)
            for name in dict.fromkeys([*shown, *facts["weights"]])
        },
        "reliability": charts.reliability(target, blend, tenths, drawn),
        "stretching": charts.stretching(facts["squash"]["blend"]["stretching"]),
        "bars": charts.fold_bars(numbers.fold_table(run, best), facts["constant_rmse"]),
        "curves": _curves(run),
        "weights": _weights(facts),
        "more": labels.more_scores(facts),
        "shift": _shift(run),
        "map": _map(run, target),
        **_tables(run),
        "config_text": yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
    }


def _tables(run: FinishedRun) -> dict[str, Any]:
    alike = numbers.error_correlation(run)
    return {
        "table": numbers.candidate_table(run).sort_values("rmse", kind="stable"),
        "correlation": alike,
        "lowest": alike.min().min(),
        "times": numbers.time_table(run),
        "longest": SHOWN_STEPS,
        "versions": numbers.versions(run),
    }


def _rungs(facts: dict[str, Any], best: str, interval: tuple[float, float]) -> list[charts.Rung]:
    scores, noise = facts["scores"], facts["label_noise"]
    rungs = [
        charts.Rung("the average as a guess", facts["constant_rmse"]),
        charts.Rung(f"best candidate: {best}", scores[best]["rmse"], kind="best"),
        charts.Rung("this run's blend", scores["blend"]["rmse"], *interval, "blend"),
    ]
    if exact := facts.get("rating_noise"):
        low = exact["low"] if exact["high"] is not None else None
        floor = "label noise, exact: no model can do better"
        rungs.append(charts.Rung(floor, exact["sd"], low, exact["high"], "noise"))
    if noise and noise["high"] is not None:
        told = "told by near-duplicates" if exact else "no model can do better"
        floor = f"label noise: {told}"
        rungs.append(charts.Rung(floor, noise["sd"], noise["low"], noise["high"], "noise"))
    return rungs


def _weights(facts: dict[str, Any]) -> dict[str, Any]:
    """The largest weights as a chart, and the others as one that is folded."""
    known, idle = facts["weights"], sentences.idle(facts)
    names = sorted(known, key=lambda name: -abs(known[name]))
    parts = [{n: known[n] for n in part} for part in (names[:SHOWN_WEIGHTS], names[SHOWN_WEIGHTS:])]
    span = min(known.values()), max(known.values())
    drawn = [charts.weights(part, span, idle) for part in parts]
    rest = len(parts[1]), sum(parts[1].values())
    return {"chart": drawn[0], "others": drawn[1], "rest": rest, "idle": idle}


def _curves(run: FinishedRun) -> dict[str, Markup]:
    """Backbone -> its folds' learning curves."""
    of: dict[str, dict[str, pd.DataFrame]] = {}
    for name, history in run.histories.items():
        of.setdefault(name.split(" fold ")[0], {})[name] = history
    return {name: charts.learning_curves(histories, name) for name, histories in of.items()}


def _shift(run: FinishedRun) -> Markup | None:
    if run.test.empty:
        return None
    labelled, test = run.oof["blend"].to_numpy(), run.test["blend"].to_numpy()
    return charts.labelled_and_test(labelled, test, numbers.drawn_range(run))


def _map(run: FinishedRun, target: np.ndarray) -> dict[str, Any] | None:
    sample = run.sample
    if sample is None or len(sample.rows) < 3:
        return None
    at, share = numbers.places(sample)
    return {"name": sample.name, "share": share, "chart": charts.score_map(at, target[sample.rows])}


def _photos(run: FinishedRun, target: np.ndarray, blend: np.ndarray) -> dict[str, Any]:
    """Contact sheets and pairs, with the pictures that the run kept."""
    ids = run.labelled["Id"].to_numpy()
    sheets = {
        name: [{"id": ids[r], "given": target[r], "predicted": blend[r]} for r in rows]
        for name, rows in vars(numbers.photo_sets(target, blend)).items()
    }
    sheets["suspicious"] = labels.doubtful(run, target, blend)
    pairs = run.pairs.assign(apart=(run.pairs["score_a"] - run.pairs["score_b"]).abs())
    pairs = pairs.sort_values("apart", ascending=False, kind="stable", na_position="last")
    shown = pairs.head(SHOWN_PAIRS)
    wanted = [("labelled", row["id"]) for rows in sheets.values() for row in rows]
    for side in "ab":
        wanted += zip(shown[f"set_{side}"], shown[f"Id_{side}"], strict=True)
    found = {photo: run.pictures(*photo) for photo in dict.fromkeys(wanted)}
    return {
        "sheets": sheets,
        "pairs": shown.to_dict("records"),
        "n_pairs": len(pairs),
        "pictures": {
            photo: f"data:image/webp;base64,{b64encode(webp).decode()}"
            for photo, webp in found.items()
            if webp
        },
    }
