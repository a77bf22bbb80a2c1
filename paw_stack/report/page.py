"""A run's record -> `report.html`: one page that loads nothing and says the same every time.

Styles, script, charts and photos are inside. Whatever comes from a table or a config, ids too, is
escaped by Jinja; a content security policy that admits only the page's own script stands behind it.
"""

import hashlib
from base64 import b64encode
from typing import Any

import numpy as np
import pandas as pd
import yaml
from markupsafe import Markup

from paw_stack.data.record import RunRecord
from paw_stack.report import charts, numbers, sentences
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
    "overrated": "Most mistaken: the model liked them more than people did",
    "underrated": "Most mistaken: people liked them more than the model did",
}
MINUS = "−"


def render(record: RunRecord) -> str:
    """The whole page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("paw_stack.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(fixed=_fixed, count=_count)
    style, script = (_source(environment, f"report.{kind}") for kind in ("css", "js"))
    page = environment.get_template("report.html")
    return page.render(
        style=Markup(style), script=Markup(script), script_hash=_hash(script), **_sections(record)
    )


def _source(environment: Any, name: str) -> str:
    return str(environment.loader.get_source(environment, name)[0])


def _hash(script: str) -> str:
    return b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _fixed(value: float | None, digits: int = 2) -> str:
    """Nothing where there is no number."""
    if value is None or not np.isfinite(value):
        return ""
    return f"{value:,.{digits}f}".replace("-", MINUS)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _sections(record: RunRecord) -> dict[str, Any]:
    table = numbers.candidate_table(record)
    best = str(table.drop(index="blend")["rmse"].idxmin())
    target = record.labelled["target"].to_numpy()
    blend = record.oof["blend"].to_numpy()
    view = {
        "run": record,
        "data": record.config["data"],
        "table": table,
        "best": best,
        "headline": _headline(record, table, best),
        "story": sentences.story(record, target, blend),
        "warnings": sentences.warnings(record, table, best),
        "photos": _photos(record, target, blend),
        "spreads": _spreads(record, table, target),
        "calibration": _calibration(record, target, blend),
        "folds": charts.fold_bars(numbers.fold_table(record, best), record.blend["constant_rmse"]),
        "curves": _curves(record),
        "weights": charts.weights(record.blend["weights"]),
        "correlation": numbers.error_correlation(record),
        "shift": _shift(record),
        "map": _map(record, target),
        "times": numbers.time_table(record),
        "versions": numbers.versions(record),
        "config": yaml.safe_dump(record.config, sort_keys=False, allow_unicode=True),
        "sheets": SHEETS.items(),
        "folds_n": record.labelled["fold"].nunique(),
        "headline_note": "",
    }
    contents = [(name, title) for name, title in CONTENTS.items() if view.get(name, True)]
    return {**view, "contents": contents}


def _headline(record: RunRecord, table: pd.DataFrame, best: str) -> Markup:
    facts = record.blend
    noise = facts["label_noise"]
    rungs = [
        charts.Rung("the average as a guess", facts["constant_rmse"]),
        charts.Rung(f"best single candidate: {best}", table.loc[best, "rmse"], kind="best"),
        charts.Rung("this run's blend", table.loc["blend", "rmse"], kind="blend"),
    ]
    if noise and noise["high"] is not None:
        rungs.append(
            charts.Rung(
                "label noise: no model can do better",
                noise["sd"],
                noise["low"],
                noise["high"],
                "noise",
            )
        )
    return charts.ladder(rungs, "points")


def _spreads(record: RunRecord, table: pd.DataFrame, target: np.ndarray) -> list[dict[str, Any]]:
    bounds = tuple(record.config["data"]["bounds"])
    return [
        {
            "name": name,
            "chart": charts.distributions(
                target, record.oof[name].to_numpy(), bounds, f"Scores and predictions of {name}"
            ),
            "sentence": sentences.spread(
                table.loc[name, "std_ratio"],
                table.loc[name, "correlation"],
                table.loc[name, "slope"],
            ),
        }
        for name in ["blend", *record.oof.columns.drop("blend")]
    ]


def _calibration(record: RunRecord, target: np.ndarray, blend: np.ndarray) -> Markup:
    bounds = tuple(record.config["data"]["bounds"])
    return charts.reliability(target, blend, numbers.tenths(target, blend), bounds)


def _curves(record: RunRecord) -> list[Markup]:
    names = dict.fromkeys(name.split(" fold ")[0] for name in record.histories)
    return [
        charts.learning_curves(
            {n: h for n, h in record.histories.items() if n.split(" fold ")[0] == name},
            f"Learning curves of {name}",
        )
        for name in names
    ]


def _shift(record: RunRecord) -> Markup | None:
    if record.test.empty:
        return None
    sets = {"labelled": record.oof["blend"].to_numpy(), "test": record.test["blend"].to_numpy()}
    return charts.comparison(
        sets, tuple(record.config["data"]["bounds"]), "Predictions for labelled and test photos"
    )


def _map(record: RunRecord, target: np.ndarray) -> dict[str, Any] | None:
    sample = record.sample
    if sample is None or len(sample.rows) < 3:
        return None
    at, share = numbers.places(sample)
    return {"name": sample.name, "share": share, "chart": charts.score_map(at, target[sample.rows])}


def _photos(record: RunRecord, target: np.ndarray, blend: np.ndarray) -> dict[str, Any]:
    """Contact sheets and pairs, with the pictures that can still be read."""
    sets = numbers.photo_sets(target, blend)
    ids = record.labelled["Id"].to_numpy()
    pairs = record.pairs.assign(apart=(record.pairs["score_a"] - record.pairs["score_b"]).abs())
    pairs = pairs.sort_values("apart", ascending=False, kind="stable", na_position="last")
    shown = pairs.head(SHOWN_PAIRS)
    wanted = [("labelled", ids[row]) for rows in vars(sets).values() for row in rows]
    for side in "ab":
        wanted += zip(shown[f"set_{side}"], shown[f"Id_{side}"], strict=True)
    sheets = {
        name: [{"id": ids[r], "given": target[r], "predicted": blend[r]} for r in rows]
        for name, rows in vars(sets).items()
    }
    return {
        "sheets": sheets,
        "pairs": shown.to_dict("records"),
        "n_pairs": len(pairs),
        "pictures": thumbnails(record.photos, wanted, record.config["data"]["resize"]),
    }
