"""The sections that say how a network is built and trained: every key with its unit and default."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from paw_stack.config.sections import Section


class RegressorSection(Section):
    """Layers between the backbone and the score."""

    head: Literal["linear", "mlp", "residual_a", "residual_b", "residual_c"] = Field(
        "linear", description="mlp: one hidden layer; residual_*: the diary's three (D18)"
    )
    width: int = Field(192, ge=1, description="units of the mlp's hidden layer")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="share of the features that a training step leaves out"
    )
    metadata: Literal["none", "late", "fm", "early"] = Field(
        "none",
        description="data.metadata in the network: late: beside the image features; fm: a"
        " factorisation machine whose share of the output is learned; early: constant image planes",
    )
    metadata_width: int = Field(
        0,
        ge=0,
        description="late: units of a small embedding layer for the columns; 0: as they are",
    )
    bias_init: bool = Field(
        True,
        description="start the last bias at what the training rows' targets predict without a"
        " photo",
    )


class AuxiliarySection(Section):
    """A class that the network learns beside the score; nobody needs it to predict."""

    column: str = Field(
        description="column of the labelled table with a class a row; '' is unknown",
        examples=["Breed"],
    )
    weight: float = Field(0.1, gt=0, description="of its cross entropy, added to the loss")


NEED_BOUNDS = ("bce", "bins", "ordinal")  # losses whose outputs cannot leave a range


class LossSection(Section):
    kind: Literal["mse", "rmse", "bce", "smooth_l1", "bins", "ordinal"] = Field(
        "bce",
        description="on the target scaled to 0..1, which for bce, bins and ordinal are data.bounds,"
        " both of which they need, and else the training rows' lowest and highest score; bins: a"
        " distribution over bins, its expectation predicts; ordinal: the chances to exceed each"
        " threshold, their mean predicts",
    )
    bins: int = Field(20, ge=2, le=200, description="bins, or thresholds of ordinal")
    spread: float = Field(
        0.0, ge=0, description="weight of matching the differences of pairs inside a batch"
    )
    difference: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="the diary's second output (D12), for differences of consecutive targets: its"
        " share of loss and prediction",
    )
    auxiliary: AuxiliarySection | None = Field(
        None, description="a class that is learned beside the score; null: none"
    )

    @model_validator(mode="after")
    def _second_output_needs_a_first(self) -> "LossSection":
        if self.difference and self.kind in ("bins", "ordinal"):
            raise ValueError(f"difference: goes with one output; {self.kind} has {self.bins}")
        return self


class ScheduleSection(Section):
    """Learning rate over time, after the warm-up."""

    kind: Literal["cosine", "cosine_annealing", "warm_restarts", "constant"] = Field(
        "cosine",
        description="cosine: one fall to eta_min over the run; cosine_annealing: torch's"
        " CosineAnnealingLR with t_max; warm_restarts: CosineAnnealingWarmRestarts with t_0",
    )
    t_max: float = Field(10, gt=0, description="cosine_annealing: epochs from peak to eta_min")
    t_0: float = Field(10, gt=0, description="warm_restarts: epochs until the first restart")
    eta_min: float = Field(0.0, ge=0, description="lowest learning rate")
    step: Literal["batch", "epoch"] = Field("batch", description="how often the rate changes")


class TtaSection(Section):
    """Test-time augmentation: the predictions of several views of a photo are averaged."""

    flip: bool = Field(False, description="the mirror image too")
    crops: int = Field(1, ge=1, le=5, description="1: the whole photo; 5: and its four corners")
    crop_share: float = Field(
        0.9, gt=0.5, le=1, description="side of a corner, share of the photo's"
    )

    @property
    def is_more(self) -> bool:
        """Whether there are views besides the photo itself."""
        return self.flip or self.crops > 1


class FinetuneSection(Section):
    epochs: int = Field(4, ge=1, description="passes over the training rows")
    batch_size: int = Field(16, ge=1, description="photos a step; all batches equal within one")
    accumulate: int = Field(1, ge=1, description="batches whose gradients make one step")
    optimizer: Literal["adamw", "adam", "sgd"] = Field("adamw", description="sgd: momentum 0.9")
    learning_rate: float = Field(1e-5, gt=0, le=1e6, description="peak of the learning rate")
    weight_decay: float = Field(0.01, ge=0, description="of the optimizer; not on norms and biases")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="factor on the learning rate a block down from the head"
    )
    warmup: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the steps with a rising learning rate",
    )
    schedule: ScheduleSection = Field(
        ScheduleSection(), description="learning rate over time, after the warm-up"
    )
    clip: float | None = Field(
        None,
        gt=0,
        description="largest norm of a step's gradient; null: any",
    )
    ema: float | None = Field(
        None, gt=0, lt=1, description="decay of the mean of weights that predicts, such as 0.998"
    )
    freeze: int = Field(0, ge=0, description="first stages of the backbone that stay as they are")
    views: int | None = Field(
        None,
        ge=1,
        description="augmented views of a photo, drawn once for all folds, that epochs take turns"
        " with; what the frozen stages make of each is computed once and kept beside the image"
        " cache; needs freeze; null: a fresh view every epoch, and nothing is kept",
    )
    freeze_batchnorm: bool = Field(False, description="BatchNorm keeps its pretrained statistics")
    compile: bool = Field(
        False, description="torch.compile; needs a C++ compiler, a minute to start"
    )
    keep: Literal["last", "best_inner", "best_held_out"] = Field(
        "last",
        description="which epoch's weights; best_inner: by a part of the training rows that"
        " nothing else learns from; best_held_out: by the held-out rows, so scores are optimistic,"
        " marked so",
    )
    inner_share: float = Field(
        0.1, gt=0, lt=0.5, description="best_inner: part of the training rows"
    )
    patience: int | None = Field(
        None, ge=1, description="stop after so many epochs without a better one; needs keep: best_*"
    )
    augment: (
        Literal["none", "flips", "base", "brightness", "hsv", "shift", "all"]
        | list[Annotated[dict[str, dict[str, Any]], Field(min_length=1, max_length=1)]]
    ) = Field(
        "base",
        description="flips: horizontal; base: flips and RandomResizedCrop; brightness, hsv, shift:"
        " base and that; all: all of them; or a list of albumentations' transforms, each as"
        " {Name: {argument: value}}",
    )
    crop_scale: tuple[float, float] = Field(
        (0.6, 1.0), description="range of the area that RandomResizedCrop keeps, share of the photo"
    )
    mixup: float = Field(
        0.0, ge=0, description="alpha of the Beta that mixes pairs of photos and targets; 0: off"
    )
    tta: TtaSection = Field(
        TtaSection(), description="views of a photo whose predictions are averaged"
    )
    warm_start: Path | None = Field(
        None, description="folder of another run with the same folds, whose fold k starts fold k"
    )

    @model_validator(mode="after")
    def _crops_keep_something(self) -> "FinetuneSection":
        low, high = self.crop_scale
        if not 0 < low <= high <= 1:
            raise ValueError(
                f"crop_scale: [{low:g}, {high:g}] is no range of shares; give two numbers above 0"
                " and up to 1, the smaller first, such as [0.6, 1.0]"
            )
        return self

    @property
    def kept_stages(self) -> int:
        """First stages of which activations are kept."""
        return self.freeze if self.views else 0

    @property
    def n_views(self) -> int:
        """Different views that the epochs of a fold see."""
        return min(self.views or self.epochs, self.epochs)

    @model_validator(mode="after")
    def _views_are_of_frozen_stages(self) -> "FinetuneSection":
        if self.views is None:
            return self
        wrong = []
        if not self.freeze:
            wrong.append("nothing is kept where no stage is frozen; set freeze, such as 3")
        if self.mixup:
            wrong.append("what is kept is of one photo each, and mixup mixes photos; set mixup: 0")
        if self.views > 1 and self.augment in ("none", []):
            wrong.append(f"without augmentation all {self.views} are the same photo; set views: 1")
        if wrong:
            raise ValueError(f"views: {'; '.join(wrong)}; or set views: null")
        return self

    @model_validator(mode="after")
    def _patience_needs_a_score(self) -> "FinetuneSection":
        if self.patience and self.keep == "last":
            raise ValueError("patience: needs a score to wait for; set keep: best_inner")
        return self
