"""What the commands print, on a terminal of 80 columns."""

import numpy as np
import pandas as pd
import pytest

from paw_stack.commands.tables import show_scores, show_study
from paw_stack.console import printing
from paw_stack.data.types import Predictions

LONG = "autoencoder-fed-and-warm-started"


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def first_column(printed: str) -> str:
    """Its letters, whatever the lines that they are folded over."""
    lines = [line for line in printed.splitlines() if line.startswith("│")]
    return "".join(line.split("│")[1].strip() for line in lines)


def test_a_study_names_every_variant_whole_and_says_what_cannot_be_compared(capsys):
    names = ["none", LONG, "autoencoder"]
    table = pd.DataFrame({"variant": names, "rmse": 17.5, "seconds": 9.0, "seconds_here": 1.0})
    table["difference"] = [np.nan, -0.5, 0.1]
    table["low"], table["high"] = table["difference"] - 0.2, table["difference"] + 0.2
    table["remark"] = ["", "", "other folds"]
    with printing():
        show_study(table)
    printed = capsys.readouterr().out
    assert first_column(printed) == "".join(names)
    assert "autoencoder: other folds" in printed.splitlines()
    assert printed.count("*") == 1  # the one whose interval leaves out 0
    assert "-0.700 to -0.300" in printed


def test_names_of_candidates_are_printed_as_they_are(capsys):
    target, fold_of = np.arange(20.0), np.arange(20) % 10
    names = [LONG, "a[/b]", "[red]c"]
    found = [
        Predictions(name, target + 1, np.empty(0), tuple(range(10)), fold_of) for name in names
    ]
    with printing():
        show_scores(found, target, None)
    assert first_column(capsys.readouterr().out) == "".join([*names, "a constant"])
