"""LightGBM on embeddings: weak alone on this kind of data, useful as diversity in a blend."""

from typing import Any

from paw_stack.config import GbmSection


def make_gbm(section: GbmSection, seed: int) -> Any:
    """An unfitted LGBMRegressor: few columns a tree, few bins, the same bytes on every run.

    Embeddings have a thousand dense columns; all of them in every tree cost six times the time and
    gain nothing.
    """
    from lightgbm import LGBMRegressor

    return LGBMRegressor(
        n_estimators=section.trees,
        learning_rate=section.learning_rate,
        num_leaves=section.leaves,
        min_child_samples=section.min_rows,
        colsample_bytree=section.feature_fraction,
        max_bin=section.max_bin,
        random_state=seed,
        deterministic=True,
        force_row_wise=True,
        verbosity=-1,
    )
