"""The sections of the heads: every key with its unit and default."""

from typing import Literal

from pydantic import Field, model_validator

from paw_stack.config.sections import Section

Clip = tuple[float, float]
Gamma = float | Literal["scale"]


class HeadSection(Section):
    """What every head has."""

    metadata: bool = Field(False, description="append data.metadata to the embedding")


class GridSection(Section):
    """Settings to try; each fold takes the best by models that saw none of its rows."""

    C: list[float] | None = Field(
        None, min_length=1, description="costs to try; null: the head's own C"
    )
    gamma: list[Gamma] | None = Field(
        None, min_length=1, description="widths of the kernel to try; null: the head's own gamma"
    )
    epsilon: list[float] | None = Field(
        None, min_length=1, description="free errors to try, points; null: the head's own epsilon"
    )
    clip: list[Clip | None] | None = Field(
        None,
        min_length=1,
        description="bounds to try, points; null: the head's own clip",
    )


class SvrSection(HeadSection):
    engine: Literal["auto", "triton", "cuml", "onedal", "sklearn", "gram"] = Field(
        "auto",
        description="auto: with a GPU triton, else cuml, else gram; without one onedal on x86-64,"
        " else sklearn; with a grid triton or gram. Both: one matrix for all folds, standardised"
        " over labelled and test rows; triton solves all of them at once on the GPU",
    )
    C: float | None = Field(
        None,
        gt=0,
        description="cost of an error beyond epsilon, both in points; null: 2 standard deviations"
        " of the training rows' scores (40 where that is 20 points)",
    )
    epsilon: float | None = Field(
        None,
        ge=0,
        description="error that costs nothing, points; null: 0.005 standard deviations of the"
        " training rows' scores (0.1 where that is 20 points)",
    )
    gamma: Gamma = Field("scale", description="of the rbf kernel; scale: 1 / (d * variance)")
    clip: Clip | None = Field(
        None,
        description="bounds for the targets of training rows, points; null: none",
    )
    grid: GridSection | None = Field(None, description="settings to choose from; null: none")

    @model_validator(mode="after")
    def _grids_are_grams(self) -> "SvrSection":
        if self.grid and self.engine not in ("auto", "triton", "gram"):
            raise ValueError(f"engine: {self.engine} has no grid; set engine: auto or gram")
        return self


class GbmSection(HeadSection):
    trees: int = Field(300, ge=1, description="number of trees, the most with early_stopping")
    early_stopping: int | None = Field(
        None,
        ge=1,
        description="trees without gain on a tenth of the training rows that end the growth",
    )
    learning_rate: float = Field(0.03, gt=0, description="shrinkage a tree")
    leaves: int = Field(8, ge=2, description="most leaves a tree")
    min_rows: int = Field(20, ge=1, description="fewest rows a leaf")
    feature_fraction: float = Field(0.1, gt=0, le=1, description="share of the columns a tree sees")
    max_bin: int = Field(63, ge=2, le=255, description="bins a column")


class RidgeSection(HeadSection):
    alphas: list[float] = Field(
        [1.0, 10.0, 100.0, 1e3, 1e4, 1e5],
        min_length=1,
        description="penalties; the best by training rows, or groups of them, left out is taken",
    )


class KernelRidgeSection(HeadSection):
    alphas: list[float] = Field(
        [0.03, 0.1, 0.3, 1.0, 3.0],
        min_length=1,
        description="penalties; the best by training rows, or groups of them, left out is taken",
    )
    gamma: Gamma = Field("scale", description="of the rbf kernel; scale: 1 / (d * variance)")


class GpSection(HeadSection):
    """A Gaussian process on principal components, whose weights it learns from training rows."""

    rows: int = Field(
        1500,
        ge=20,
        description="most training rows, drawn by run.seed, that the kernel is learned on; all of"
        " them predict",
    )


class KnnSection(HeadSection):
    k: int = Field(30, ge=1, description="neighbours, weighted by the inverse distance")


class NystroemSection(HeadSection):
    """Kernel ridge on landmarks: time and memory grow with the rows, not with their square."""

    landmarks: int = Field(
        1000, ge=2, description="labelled rows, drawn by run.seed, that stand for all others"
    )
    alphas: list[float] = Field(
        [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0],
        min_length=1,
        description="penalties; the best on the other folds, each left out in its turn, is taken;"
        " with two folds the best by generalised cross-validation",
    )
    gamma: Gamma = Field("scale", description="of the rbf kernel; scale: 1 / (d * variance)")


class SelectionSection(Section):
    """Forward selection over the layers of frozen backbones, with the SVR's own settings.

    Its candidate is `selection.svr`. The SVR's grid and metadata take no part.
    """

    starts: int = Field(3, ge=1, description="layers to start from, the best alone first")
    most: int = Field(6, ge=1, description="most layers together")


class HeadsSection(Section):
    """Heads to fit on every embedding; one that is not named here is not fitted."""

    svr: SvrSection | None = Field(None, description="support vector regression, rbf kernel")
    gbm: GbmSection | None = Field(None, description="LightGBM's trees; weak alone on embeddings")
    ridge: RidgeSection | None = Field(None, description="ridge regression")
    kernel_ridge: KernelRidgeSection | None = Field(
        None, description="kernel ridge, rbf: all folds exactly from one inverse a penalty"
    )
    gp: GpSection | None = Field(
        None,
        description="Gaussian process on bands of principal components, a weight a band by the"
        " marginal likelihood",
    )
    nystroem: NystroemSection | None = Field(
        None, description="kernel ridge on landmarks, for 100,000 rows and more"
    )
    knn: KnnSection | None = Field(None, description="k nearest neighbours")
    memory_gb: float = Field(
        8, gt=0, description="GB that the matrices of a head may take; a selection's go to disk"
    )
    together: list[list[str]] = Field(
        [],
        description="sets of layers whose vectors are concatenated for every head, each layer as"
        " <backbone> or <backbone>.logits",
    )
    selection: SelectionSection | None = Field(
        None, description="the set of layers that an SVR does best on; needs svr; null: none"
    )

    @model_validator(mode="after")
    def _selection_needs_settings(self) -> "HeadsSection":
        if self.selection and not self.svr:
            raise ValueError("selection: takes the settings of heads.svr; add svr: {}")
        return self

    def named(self) -> dict[str, HeadSection]:
        """Name -> section of the heads that are on."""
        return {name: section for name, section in self if isinstance(section, HeadSection)}
