"""The stages from a notebook, in the manner of scikit-learn: `fit`, `predict`, `score`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import NotFittedError

from paw_stack.artifacts.finished.model import FinishedRun, open_finished
from paw_stack.commands.init import MINUTES, sections_for
from paw_stack.commands.run import run
from paw_stack.config import Config, load_config, make_config
from paw_stack.console import printing
from paw_stack.data.in_memory import one_column, write_listing
from paw_stack.errors import ArtifactError, ConfigError, DataError, offenders
from paw_stack.inference.photo_metadata import columns_of_table
from paw_stack.inference.predict import photos_of, score_paths
from paw_stack.inference.predictor import require_scorable
from paw_stack.metrics import rmse

NAME = "notebook"  # of a run whose config names none


class NotFitted(ArtifactError, NotFittedError):
    """There is no finished run yet, neither in memory nor in the folder that the config names."""


class PawStack(RegressorMixin, BaseEstimator):
    """A run: from photos and scores to a stack that scores new photos.

    An estimator of scikit-learn whose X are paths: cloned, searched over and pickled as others
    are. A pickle holds the parameters and where the run lies, not the run. Searches take higher for
    better and `score` is an error: give them scoring="neg_root_mean_squared_error" or another.

    Args:
        config: a YAML file, a finished run's folder (which predicts at once), or the sections as a
            mapping. `fit(photos, scores)` fills in what the `data` section says of tables. None:
            `fit` decides bounds and backbones by looking, as the command of that name, and says
            so.
        overrides: `key=value`, as the command's --set.
        verbose: print the lines and tables that the command prints. Otherwise nothing is printed,
            and who wants the lines sets a handler and the level INFO on the logger `paw_stack`.
        minutes: that a run without a config may take.

    After `fit`, or for a finished run: `rmse_` (points, nested), `candidates_` (table of scores),
    `folder_`, `config_` (every key, and what was decided).

    Raises:
        ConfigError, ArtifactError: with all problems.
        NotFitted: an ArtifactError, and scikit-learn's NotFittedError: no run is finished.
    """

    _run: FinishedRun | None = None
    _folder: Path | None = None  # of the run that `fit` has made

    def __init__(
        self,
        config: str | Path | Mapping[str, Any] | None = None,
        overrides: Sequence[str] | None = None,
        verbose: bool = False,
        minutes: float = MINUTES,
    ):
        self.config = config
        self.overrides = overrides
        self.verbose = verbose
        self.minutes = minutes

    def fit(
        self,
        photos: Sequence[str | Path] | None = None,
        scores: Sequence[float] | None = None,
        metadata: pd.DataFrame | None = None,
        sample_weight: Sequence[float] | None = None,
        groups: Sequence[Any] | None = None,
    ) -> "PawStack":
        """Run every stage; what an earlier call has done is not done again.

        Args:
            photos: paths; None takes the tables of the config's `data` section.
            scores: one a photo, points.
            metadata: numeric columns, one row a photo in the same order.
            sample_weight: how much each score counts, above 0, as the key `data.weight`.
            groups: a label a photo, as `data.group`: those of one label share a fold; None or NaN
                joins none.

        Raises:
            ConfigError, DataError: with all problems; nothing that was fitted before is left.
        """
        self._run = self._folder = None
        with printing(self.verbose):
            if photos is None:
                config = self._settings()
            else:
                about = metadata, sample_weight, groups
                config = self._listed(photos, [] if scores is None else scores, *about)
            run(config)
        self._folder = (config.run.root / config.run.name).absolute()
        self._finished()
        return self

    def predict(
        self, photos: Sequence[str | Path], metadata: pd.DataFrame | None = None
    ) -> np.ndarray:
        """Scores (n,) float64 in points; NaN for photos that cannot be read."""
        return self.predict_table(photos, metadata)["score"].to_numpy(dtype=np.float64)

    def predict_table(
        self, photos: Sequence[str | Path], metadata: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """One row a photo: score, interval, each candidate, and why a photo has no score.

        Args:
            photos: photos, in any order and as often as they come; or folders of them.
            metadata: the run's columns, one row a photo in the same order.

        Raises:
            DataError: no photo can be read; metadata of another length, or without a column, a row
                or a number that the run needs.
        """
        self._finished()
        return self._scored(photos_of(_paths(photos)), metadata)

    def score(
        self,
        photos: Sequence[str | Path],
        scores: Sequence[float],
        metadata: pd.DataFrame | None = None,
    ) -> float:
        """RMSE in points on photos that the run has not learned from; lower is better.

        NaN where a photo cannot be read.

        Raises:
            DataError: not one finite score a photo; see `predict_table`.
        """
        paths, given = photos_of(_paths(photos)), one_column(scores)
        if len(given) != len(paths) or not np.isfinite(given).all():
            n = int(np.isfinite(given).sum())
            raise DataError(
                f"scores: found {len(given)}, {n} of them finite, for {len(paths)} photos; expected"
                " one finite score a photo, in their order"
            )
        return rmse(given, self._scored(paths, metadata)["score"].to_numpy(dtype=np.float64))

    @property
    def rmse_(self) -> float:
        return float(self._finished().blend["scores"]["blend"]["rmse"])

    @property
    def candidates_(self) -> pd.DataFrame:
        """One row a candidate and the blend: rmse, slope, correlation and more, out-of-fold."""
        return pd.DataFrame(self._finished().blend["scores"]).T

    @property
    def folder_(self) -> Path:
        return self._finished().folder

    @property
    def config_(self) -> Config:
        return self._finished().config

    def _scored(self, paths: list[Path], metadata: pd.DataFrame | None) -> pd.DataFrame:
        run = self._finished()
        require_scorable(run)
        columns = None if metadata is None else columns_of_table(run, paths, metadata)
        with printing(self.verbose):
            return score_paths(run, paths, columns)

    def __sklearn_is_fitted__(self) -> bool:
        try:
            self._finished()
        except NotFitted:
            return False
        return True

    def __sklearn_tags__(self) -> Any:
        """X is a list of paths, no table of numbers."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string = False, True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """All but the run that was opened: it lies in its folder."""
        return {key: value for key, value in super().__getstate__().items() if key != "_run"}

    def _finished(self) -> FinishedRun:
        if self._run is None:
            place = self._folder or self._place()
            try:
                self._run = open_finished(place)
            except ArtifactError as error:
                if (place / "blend" / "blend.json").is_file():
                    raise
                raise NotFitted(error.problems) from None
        return self._run

    def _place(self) -> Path:
        config = self._given()
        if not isinstance(config, Path):
            return _folder(_named(config or {}))
        if config.is_dir():
            return config
        run = self._settings().run
        return run.root / run.name

    def _given(self) -> Path | Mapping[str, Any] | None:
        own = self.config
        return Path(own).expanduser() if isinstance(own, str | Path) else own

    def _settings(self) -> Config:
        config, overrides = self._given(), list(self.overrides or [])
        if config is None:
            raise ConfigError("fit: there is no config; give one, or photos and their scores")
        if isinstance(config, Path):
            return load_config(config / "config.yaml" if config.is_dir() else config, overrides)
        return make_config(_named(config), overrides)

    def _listed(
        self,
        photos: Sequence[str | Path],
        scores: Sequence[float],
        metadata: pd.DataFrame | None,
        sample_weight: Sequence[float] | None,
        groups: Sequence[Any] | None,
    ) -> Config:
        """The config with a `data` section for these photos."""
        paths, given, config = _paths(photos), one_column(scores), self._given()
        if config is None:
            sections = sections_for(given, NAME, self.minutes)
        elif isinstance(config, Mapping):
            sections = _named(config)
        else:
            sections = self._settings().model_dump(mode="json")
        folder = _folder(sections)
        folder = folder.with_name(f"{folder.name}-photos")  # a run's own folder has no links
        listed = write_listing(folder, paths, given, metadata, sample_weight, groups)
        data = {**sections.get("data", {}), **listed}
        return make_config({**sections, "data": data}, list(self.overrides or []))


def _paths(photos: Sequence[str | Path]) -> list[Path]:
    """A text alone is a sequence too, of letters."""
    if isinstance(photos, str | Path):
        raise DataError(f"photos: found {str(photos)!r}, expected a list of paths; give it in []")
    if wrong := [photo for photo in photos if not isinstance(photo, str | Path)]:
        raise DataError(f"photos: these are no paths: {offenders(wrong)}; give texts or Paths")
    return [Path(photo).expanduser() for photo in photos]


def _folder(sections: Mapping[str, Any]) -> Path:
    run = sections["run"]
    return Path(run.get("root", "artifacts")).expanduser() / str(run["name"])


def _named(sections: Mapping[str, Any]) -> dict[str, Any]:
    return {**sections, "run": {"name": NAME, **sections.get("run", {})}}
