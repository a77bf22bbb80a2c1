"""The sections of a config, apart from training's: every key with its unit and default."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

# Names become folder and file names, so they are kept plain.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


Layer = Literal["embedding", "features", "logits"]


class Section(BaseModel):
    """A group of keys; unknown ones are refused, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    @field_validator("*", mode="before")
    @classmethod
    def _from_home(cls, given: Any) -> Any:
        """No shell has seen what a file says: `~/photos`."""
        if isinstance(given, list):
            return [cls._from_home(item) for item in given]
        at_home = isinstance(given, str) and (given == "~" or given.startswith(("~/", "~\\")))
        return str(Path(given).expanduser()) if at_home else given


class RunSection(Section):
    name: Name = Field(
        description="folder under `root` that receives everything this run writes",
        examples=["reference"],
    )
    root: Path = Field(Path("artifacts"), description="folder of all runs and of the image cache")
    store: str | None = Field(
        None,
        description="fsspec URL such as s3://bucket/runs that keeps every finished step, for"
        " machines that share no disk; null: `root` is all there is",
    )
    seed: int = Field(0, ge=0, description="seed of folds, weights, augmentation and GBM")
    reuse: Path | None = Field(
        None,
        description="folder of other runs: what one has made from the same inputs is taken over",
    )
    workers: int | None = Field(
        None,
        ge=0,
        description="processes that augment in fine-tuning; null: 0 on a CPU, up to 8 with a GPU",
    )
    keep_memory: bool = Field(
        True,
        description="let the process keep freed memory while networks run, which spares it half of"
        " its time with some; only with glibc",
    )


class ExtraRowsSection(Section):
    """Photos without a score. They are never held out, never scored, and need no table."""

    images: str = Field("extra", description="folder of the photos")
    table: str | None = Field(None, description="table of their ids; null: every photo there")
    column: str | None = Field(
        None, description="column of that table with a class a row, such as a breed; '' is unknown"
    )
    extension: str | None = Field(
        None, description="follows an id in its file's name; null: as data.extension"
    )

    @model_validator(mode="after")
    def _a_column_needs_a_table(self) -> "ExtraRowsSection":
        if self.column and not self.table:
            raise ValueError(f"column: {self.column} of which table? give table too")
        return self


class DataSection(Section):
    root: Path = Field(
        description="the competition's folder; the other paths are relative to it",
        examples=["shelter"],
    )
    labelled: str = Field("train.csv", description="table of photos with a score")
    test: str | None = Field("test.csv", description="table of photos without one; null: none")
    sample_submission: str | None = Field(
        "sample_submission.csv",
        description="gives the submission's row order; null: the test table's order",
    )
    labelled_images: str = Field("train", description="folder of the labelled photos")
    test_images: str = Field("test", description="folder of the test photos")
    extension: str | None = Field(
        None,
        description="follows an id in its file's name, such as .jpg; null: the photo of that name"
        " is found, whatever its extension",
    )
    id: str = Field(
        "Id",
        description="column of ids: names of photos, with or without extension, and with their"
        " sub-folders (cats/001)",
    )
    target: str = Field(
        description="column of scores, in points; a list of columns makes a run for each",
        examples=["appeal"],
    )
    bounds: tuple[float | None, float | None] | None = Field(
        description="lowest and highest possible score, in points; predictions are clipped to them,"
        " and nothing else follows but for a loss that needs a range. null, for both or for one:"
        " there is none",
        examples=[[1, 100]],
    )
    metadata: list[str] = Field([], description="numeric columns, in both tables, for the heads")
    resize: Literal["crop", "squash"] = Field(
        "crop", description="crop: shortest side to size, then the centre; squash: both sides"
    )
    unreadable: Literal["error", "drop"] = Field(
        "error",
        description="missing or unreadable photos: stop; or drop labelled ones, and give test ones"
        " the mean score",
    )
    duplicates: Literal["group", "merge", "keep"] = Field(
        "group",
        description="near-duplicates among labelled photos: share a fold; merge: of those that"
        " are surely the same keep one, with the mean score and weight; keep: treat them"
        " as any other photos",
    )

    extra: ExtraRowsSection | None = Field(
        None, description="photos without a score; section extra says what is made of them"
    )
    missing_scores: Literal["error", "drop"] = Field(
        "error",
        description="labelled rows whose score is empty, NA, NaN, null, n/a or -: stop; or leave"
        " them out",
    )
    raters: Literal["error", "average"] = Field(
        "error",
        description="several labelled rows of one photo: stop; or take the mean of their scores,"
        " whose spread tells how noisy it is",
    )
    score_sd: str | None = Field(
        None,
        description="column of the standard deviation of a photo's ratings, in points, where the"
        " score is their mean; with score_n it tells the label noise",
    )
    score_n: str | None = Field(
        None, description="column of the number of ratings that the score is the mean of"
    )
    scores: Literal["number", "percent", "fraction"] = Field(
        "number",
        description="how scores are written. percent: 45 % is 45 points; fraction: 4/10 is that"
        " share of the upper bound, 4 of [1, 10], or 0.4 where there is none",
    )
    weight: str | None = Field(
        None,
        description="numeric column of the labelled table, above 0: how much a row counts in"
        " losses, heads, blend and scores, such as the number of its ratings; brought to mean 1;"
        " null: each counts once",
    )
    group: str | None = Field(
        None,
        description="text column of the labelled table, such as the pet or session, whose photos"
        " share a fold, as near-duplicates do; an empty cell joins none; null: no such column",
    )

    @model_validator(mode="after")
    def _spread_has_one_source(self) -> "DataSection":
        if (self.score_sd is None) != (self.score_n is None):
            raise ValueError("score_sd, score_n: one alone tells no noise; give both or neither")
        if self.score_sd and self.raters == "average":
            raise ValueError(
                "raters: average takes the spread from the rows; leave out score_sd and score_n"
            )
        return self

    @field_validator("target", mode="before")
    @classmethod
    def _one(cls, given: Any) -> Any:
        if isinstance(given, list):
            raise ValueError(
                f"several targets, {given}, are for run, check, status and the stages; here choose"
                " one with --set data.target=COLUMN --set run.name=NAME"
            )
        return given

    @field_validator("bounds")
    @classmethod
    def _ordered(cls, given: tuple[float | None, float | None] | None) -> Any:
        """Infinity is no bound either, and null for both is null."""
        if given is None:
            return None
        low = -math.inf if given[0] is None else given[0]
        high = math.inf if given[1] is None else given[1]
        if not low < high or low == math.inf or high == -math.inf:
            raise ValueError(f"{list(given)}: the first must be below the second")
        known = tuple(bound if math.isfinite(bound) else None for bound in (low, high))
        return None if known == (None, None) else known

    @property
    def limits(self) -> tuple[float, float]:
        """The bounds in points, infinite where there are none."""
        low, high = self.bounds or (None, None)
        return -math.inf if low is None else low, math.inf if high is None else high


class FoldsSection(Section):
    n: int = Field(5, ge=2, le=100, description="number of folds")
    bins: int | None = Field(
        None, ge=1, description="target bins that are spread evenly over folds; null: Sturges' rule"
    )
    by: str | None = Field(
        None,
        description="numeric column of the labelled table whose values folds spread evenly; null:"
        " data.target",
    )
    file: Path | None = Field(
        None,
        description="CSV of Id, fold (0, 1, ...), such as a run's folds.csv; folds.n, bins and by"
        " are not used then",
    )


class BackboneSection(Section):
    name: Name = Field(
        description="what artifacts and candidates of this backbone are called", examples=["swin"]
    )
    model: str = Field(
        description="timm model name; names of 2021 such as *_in22k work too, and hf-hub:owner/name"
        " or local-dir:folder",
        examples=["swin_tiny_patch4_window7_224.ms_in22k_ft_in1k"],
    )
    model_args: dict[str, Any] = Field({}, description="further arguments of timm.create_model")
    pretrained: bool = Field(True, description="start from pretrained weights (a hub download)")
    weights: Path | None = Field(
        None,
        description="local file of pretrained weights, in place of the hub's whatever `pretrained`"
        " says: .safetensors, .pth or .npz, of timm, the first repository, a training script or a"
        " run; every tensor of the backbone must be in it",
    )
    image_size: int | None = Field(
        None, ge=16, le=2048, description="side of the square input, pixels; null: the model's own"
    )
    drop_path_rate: float | None = Field(
        None, ge=0, lt=1, description="chance to skip a block in training; null: the model's own"
    )
    grad_checkpointing: bool = Field(
        False, description="less memory, a third more time: activations are computed twice"
    )
    frozen: bool = Field(False, description="no fine-tuning: one embedding serves all folds")
    layers: list[Layer] = Field(
        ["embedding"],
        min_length=1,
        description="what the heads see. embedding: the pre-logits vector; features: pooled, before"
        " the hidden layer that some models have there; logits: the pretrained classifier's",
    )

    @model_validator(mode="after")
    def _logits_need_a_classifier(self) -> "BackboneSection":
        has_weights = self.pretrained or self.weights is not None
        if "logits" in self.layers and not (self.frozen and has_weights):
            raise ValueError(
                "layers: 'logits' are the pretrained classifier's, which fine-tuning replaces;"
                " set frozen: true and pretrained: true, or take 'embedding'"
            )
        return self

    @model_validator(mode="after")
    def _drop_path_is_given_once(self) -> "BackboneSection":
        if self.drop_path_rate is not None and "drop_path_rate" in self.model_args:
            raise ValueError("drop_path_rate: also stands in model_args; leave it out there")
        return self


class EmbedSection(Section):
    batch_size: int | None = Field(
        None, ge=1, description="photos a pass; null: 8 to 64 on a CPU, up to 256 on a GPU"
    )
    engine: Literal["auto", "torch", "compile", "openvino"] = Field(
        "auto",
        description="auto: on a CPU openvino, where it is installed and a batch by each shows that"
        " so many photos repay its start; compile on a GPU for half a million; else torch",
    )
    flip: bool = Field(False, description="average the vectors of a photo and its mirror image")
    crops: int = Field(
        1, ge=1, le=5, description="average the photo's vectors with those of 1 to 4 corners"
    )
    crop_share: float = Field(
        0.9, gt=0.5, le=1, description="side of a corner, share of the photo's"
    )
    dtype: Literal["float16", "float32"] = Field("float32", description="storage on disk")


class ComputeSection(Section):
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: cuda if present")
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        "auto",
        description="auto: bf16 where it is native, fp16 on older GPUs, else fp32; fp16: GPUs only",
    )


class BlendSection(Section):
    candidates: list[str] | None = Field(
        None, min_length=1, description="names such as swin.nn or swin.svr; null: all there are"
    )
    extra: list[Path] = Field(
        [],
        description="candidates from elsewhere: folders of runs, or CSVs of Id, fold, prediction"
        " with NAME.test.csv (Id, prediction) beside NAME.csv",
    )
    method: Literal[
        "auto", "mean", "median", "ridge", "greedy", "simplex", "nnls", "nelder_mead"
    ] = Field(
        "auto",
        description="auto: a constant, the best candidate, mean and ridge, averaged by their"
        " nested errors",
    )
    calibration: Literal["auto", "none", "affine", "candidates", "spline", "isotonic"] = Field(
        "auto",
        description="map from the blend to points; candidates: a line for each of them and one for"
        " the blend; auto: by nested score, none on a tie, curves only from enough rows",
    )
