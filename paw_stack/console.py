"""What the commands print: sentences and the table of scores."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from paw_stack.data.label_noise import LabelNoise
from paw_stack.data.nouns import Predictions
from paw_stack.metrics import calibration_line, correlation, finer, fold_rmse, rmse, std_ratio
from paw_stack.ranks import rank
from paw_stack.regular import shown


def say(text: str) -> None:
    """Print a line, or several, whatever the width of the terminal and whatever names they hold.

    Of several processes the first does.
    """
    if rank() == 0:
        print("\n".join(map(shown, text.split("\n"))), flush=True)


def show_scores(
    candidates: Sequence[Predictions], target: np.ndarray, noise: LabelNoise | None
) -> None:
    """Print a row a candidate: fold RMSEs, pooled RMSE, r beside the std ratio, slope, seconds.

    `optimistic` stands by the name where held-out rows chose the epoch of the network behind it.
    Below them what frames every RMSE: a constant's, and the label noise where it is known.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    name = Column("candidate", overflow="fold")  # else a narrow terminal cuts it
    table = Table(name, "fold RMSE", title="out-of-fold scores, points")
    for column in ("RMSE", "r", "std\nratio", "slope", "s"):
        table.add_column(column, justify="right", no_wrap=True)
    for candidate in candidates:
        table.add_row(*map(escape, _cells(candidate, target)))
    constant = float(np.std(target[np.isfinite(candidates[0].oof)]))
    more = finer(constant)
    table.add_section()
    table.add_row("a constant", "", f"{constant:.{3 + more}f}")
    if noise and np.isfinite(noise.high):
        interval = f"95 %: {noise.low:.{2 + more}f} to {noise.high:.{2 + more}f}"
        table.add_row("label noise", interval, f"{noise.sd:.{3 + more}f}")
    Console().print(table)


def show_study(table: pd.DataFrame) -> None:
    """Print a row a variant; a difference whose interval leaves out 0 is marked.

    Seconds are those of all units that the variant is made of, whoever did them, and those that
    this call waited for it.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    name = Column("variant", overflow="fold")  # else a narrow terminal cuts it
    shown = Table(name, title="nested RMSE, points; difference to the first variant")
    for column in ("RMSE", "difference", "95 %", "s of\nunits", "s of\nthis call"):
        shown.add_column(column, justify="right", no_wrap=True)
    for row in table.to_dict("records"):
        clear = row["low"] > 0 or row["high"] < 0
        few = 3 + finer(row["rmse"])
        known = np.isfinite(row["difference"])
        shown.add_row(
            escape(row["variant"]),
            f"{row['rmse']:.{few}f}",
            f"{row['difference']:+.{few}f}{' *' if clear else ''}" if known else "",
            f"{row['low']:+.{few}f} to {row['high']:+.{few}f}" if known else "",
            f"{row['seconds']:.0f}",
            f"{row['seconds_here']:.0f}",
        )
    Console().print(shown)
    for row in table[table["remark"] != ""].to_dict("records"):
        say(f"{row['variant']}: {row['remark']}")


def _cells(candidate: Predictions, target: np.ndarray) -> tuple[str, ...]:
    covered = np.isfinite(candidate.oof)
    y, p = target[covered], candidate.oof[covered]
    more = finer(float(np.std(y)))
    folds = " ".join(
        f"{value:.{2 + more}f}" for value in fold_rmse(target, candidate.oof, candidate.fold_of)
    )
    slope = calibration_line(y, p)[1]
    name = f"{candidate.name} (optimistic)" if candidate.optimistic else candidate.name
    spread = f"{correlation(y, p):.3f}", f"{std_ratio(y, p):.3f}"
    error, seconds = f"{rmse(y, p):.{3 + more}f}", f"{candidate.seconds:.1f}"
    return name, folds, error, *spread, f"{slope:.3f}", seconds
