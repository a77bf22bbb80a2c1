"""The sections about photos without a score: which there are, and what is made of them."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from paw_stack.config.sections import Name, Section


class PretrainSection(Section):
    """Each backbone first learns data.extra's class column; every fold starts from there (D24)."""

    epochs: int = Field(10, ge=1, description="passes over the extra rows")
    learning_rate: float | None = Field(
        None, gt=0, description="peak of the learning rate; null: finetune's"
    )


class PseudoSection(Section):
    """Labels for the extra rows, by networks that never saw the fold's held-out rows (D19)."""

    policy: Literal["predicted", "matched", "random"] = Field(
        "matched",
        description="predicted: what fold k's network says; matched: those predictions mapped by"
        " rank to the targets of fold k's training rows; random: draws from these targets, a"
        " control",
    )
    soft: float = Field(
        0.0, ge=0, le=1, description="share of the plain prediction in a label; the rest: policy"
    )
    confidence: bool = Field(
        False,
        description="weigh a row by how little its prediction differs from that of its mirror"
        " image; mean weight 1",
    )
    share: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="most of a batch that extra rows may be; few rows come once an epoch each",
    )
    start: Literal["scratch", "teacher"] = Field(
        "scratch", description="teacher: fold k goes on from the network that labelled (D25)"
    )
    source: Path | None = Field(
        None,
        description="folder of a run with the same folds, whose fold k labels; null: this run's own"
        " of this run, without the extra rows",
    )


class AutoencoderSection(Section):
    """A backbone learns to put each photo without a label through its embedding (D22)."""

    backbone: Name = Field(
        description="a frozen one, the encoder; heads get its embedding as any frozen backbone's",
        examples=["encoder"],
    )
    epochs: int = Field(20, ge=1, description="passes over the photos without a label")
    batch_size: int = Field(32, ge=2, description="photos a step")
    learning_rate: float = Field(1e-3, gt=0, description="peak, for AdamW; falls by a cosine")
    width: int = Field(32, ge=4, description="channels of the decoder's last layers")
    feed: list[Name] = Field(
        [], description="backbones of the same size that see its reconstructions, not the photos"
    )


class GanSection(Section):
    """Photos drawn by a network that learned from fold k's training rows; pseudo-labelled (D21)."""

    images: int = Field(500, ge=1, description="photos to draw a fold; they become extra rows")
    size: Literal[32, 64, 128] = Field(64, description="side of a photo, pixels")
    epochs: int = Field(100, ge=1, description="passes over the fold's training rows")
    batch_size: int = Field(16, ge=2, description="photos a step")
    learning_rate: float = Field(1e-3, gt=0, description="for Adam, of both networks")
    latent: int = Field(64, ge=2, description="random numbers that a photo is drawn from")
    width: int = Field(32, ge=4, description="channels of the layers next to the photo")
    auxiliary: float = Field(
        0.1, ge=0, description="weight of telling drawn photos from real ones in the loss; 0: off"
    )


class ExtraSection(Section):
    """Uses of photos without a score; none by default."""

    pretrain: PretrainSection | None = Field(
        None, description="backbones learn the extra rows' class first; null: they do not"
    )
    pseudo: PseudoSection | None = Field(
        None, description="extra rows are learned from under labels of networks; null: not at all"
    )
    autoencoder: AutoencoderSection | None = Field(
        None, description="a frozen backbone learns to compress photos; null: it stays as it is"
    )
    gan: GanSection | None = Field(None, description="photos that are drawn; null: none")

    @model_validator(mode="after")
    def _drawn_photos_need_labels(self) -> "ExtraSection":
        if self.gan and not self.pseudo:
            raise ValueError("gan: its photos have no labels; add pseudo: {}, which makes some")
        return self
