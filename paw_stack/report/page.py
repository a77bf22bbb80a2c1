"""A run's record -> `report.html`: one page that loads nothing and says the same every time.

Styles, script, charts and photos are inside. Whatever comes from a table or a config, ids too, is
escaped by Jinja; behind that stands a content security policy that admits the page's own script
alone.
"""

import hashlib
from base64 import b64encode
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import yaml
from markupsafe import Markup

from paw_stack.data.types import RunRecord
from paw_stack.metrics import decimals, shown_range
from paw_stack.report import charts, numbers, sentences, svg
from paw_stack.report.thumbnails import thumbnails

SHOWN_PAIRS = 24
CONTENTS = {
    "summary": "Summary",
    "warnings": "Warnings",
    "photos": "Photos",
    "candidates": "Candidates",
    "spread": "Spread",
    "calibration": "Calibration",
    "folds": "Folds",
    "blend": "Blend",
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
}


def render(record: RunRecord) -> str:
    """The whole page."""
    environment = _environment()
    style, script = (_source(environment, f"report.{kind}") for kind in ("css", "js"))
    view = _view(record)
    contents = [(name, title) for name, title in CONTENTS.items() if view.get(name, True)]
    return environment.get_template("report.html").render(
        style=Markup(style),
        script=Markup(script),
        script_hash=b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        contents=contents,
        **view,
    )


@cache  # it keeps the templates, whose compilation takes longer than a page
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("paw_stack.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(fixed=_fixed, count=_count)
    return environment


def _source(environment: Any, name: str) -> str:
    return str(environment.loader.get_source(environment, name)[0])


def _fixed(value: float | None, digits: int = 2) -> str:
    """Nothing where there is no number."""
    if value is None or not np.isfinite(value):
        return ""
    return f"{value:,.{digits}f}".replace("-", svg.MINUS)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _view(record: RunRecord) -> dict[str, Any]:
    """What the template shows; a section whose entry is empty is left out."""
    facts, data = record.blend, record.config["data"]
    best = min(facts["weights"], key=lambda name: float(facts["scores"][name]["rmse"]))
    target, blend = record.labelled["target"].to_numpy(), record.oof["blend"].to_numpy()
    weight, drawn = record.weight, numbers.drawn_range(record)
    interval = numbers.rmse_interval(target, blend, weight)
    tenths = numbers.tenths(target, blend, weight)
    digits = decimals(target.min(), target.max())
    return {
        "run": record,
        "facts": facts,
        "data": data,
        "best": best,
        "n_folds": record.labelled["fold"].nunique(),
        "words": sentences,
        "interval": interval,
        "scale": shown_range(data["bounds"] or (None, None), target),
        "digits": digits,
        "headline": charts.ladder(_rungs(facts, best, interval), digits),
        "story": sentences.story(record, target, blend),
        "warnings": sentences.warnings(record, best),
        "sheets": SHEETS,
        "photos": _photos(record, target, blend),
        "table": numbers.candidate_table(record),
        "spreads": {
            name: charts.distributions(target, record.oof[name].to_numpy(), drawn, name)
            for name in ["blend", *facts["weights"]]
        },
        "reliability": charts.reliability(target, blend, tenths, drawn),
        "stretching": charts.stretching(facts["squash"]["blend"]["stretching"]),
        "bars": charts.fold_bars(numbers.fold_table(record, best), facts["constant_rmse"]),
        "curves": _curves(record),
        "weights": charts.weights(facts["weights"]),
        "correlation": numbers.error_correlation(record),
        "shift": _shift(record),
        "map": _map(record, target),
        "times": numbers.time_table(record),
        "versions": numbers.versions(record),
        "config_text": yaml.safe_dump(record.config, sort_keys=False, allow_unicode=True),
    }


def _rungs(facts: dict[str, Any], best: str, interval: tuple[float, float]) -> list[charts.Rung]:
    scores, noise = facts["scores"], facts["label_noise"]
    rungs = [
        charts.Rung("the average as a guess", facts["constant_rmse"]),
        charts.Rung(f"best single candidate: {best}", scores[best]["rmse"], kind="best"),
        charts.Rung("this run's blend", scores["blend"]["rmse"], *interval, "blend"),
    ]
    if noise and noise["high"] is not None:
        floor = "label noise: no model can do better"
        rungs.append(charts.Rung(floor, noise["sd"], noise["low"], noise["high"], "noise"))
    return rungs


def _curves(record: RunRecord) -> dict[str, Markup]:
    """Backbone -> its folds' learning curves."""
    of: dict[str, dict[str, pd.DataFrame]] = {}
    for name, history in record.histories.items():
        of.setdefault(name.split(" fold ")[0], {})[name] = history
    return {name: charts.learning_curves(histories, name) for name, histories in of.items()}


def _shift(record: RunRecord) -> Markup | None:
    if record.test.empty:
        return None
    labelled, test = record.oof["blend"].to_numpy(), record.test["blend"].to_numpy()
    return charts.labelled_and_test(labelled, test, numbers.drawn_range(record))


def _map(record: RunRecord, target: np.ndarray) -> dict[str, Any] | None:
    sample = record.sample
    if sample is None or len(sample.rows) < 3:
        return None
    at, share = numbers.places(sample)
    return {"name": sample.name, "share": share, "chart": charts.score_map(at, target[sample.rows])}


def _photos(record: RunRecord, target: np.ndarray, blend: np.ndarray) -> dict[str, Any]:
    """Contact sheets and pairs, with the pictures that the run kept."""
    ids = record.labelled["Id"].to_numpy()
    sheets = {
        name: [{"id": ids[r], "given": target[r], "predicted": blend[r]} for r in rows]
        for name, rows in vars(numbers.photo_sets(target, blend)).items()
    }
    pairs = record.pairs.assign(apart=(record.pairs["score_a"] - record.pairs["score_b"]).abs())
    pairs = pairs.sort_values("apart", ascending=False, kind="stable", na_position="last")
    shown = pairs.head(SHOWN_PAIRS)
    wanted = [("labelled", row["id"]) for rows in sheets.values() for row in rows]
    for side in "ab":
        wanted += zip(shown[f"set_{side}"], shown[f"Id_{side}"], strict=True)
    return {
        "sheets": sheets,
        "pairs": shown.to_dict("records"),
        "n_pairs": len(pairs),
        "pictures": thumbnails(record.picture, wanted),
    }
