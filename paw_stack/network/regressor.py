"""Backbone + metadata + head + loss: a network whose predictions are points inside the bounds.

The target's 0..1 scale begins and ends in this file: targets enter in points and become shares of
the way through a span, predictions leave in points. A loss whose outputs cannot leave its range
spans the bounds; for any other one bounds only clip, and the span is that of the training rows'
targets. What the raw outputs mean is known to `losses` alone.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from paw_stack.config import NEED_BOUNDS, BackboneSection, LossSection, RegressorSection
from paw_stack.errors import ArtifactError, ConfigError
from paw_stack.metrics import is_constant
from paw_stack.network import losses
from paw_stack.network.backbone import Backbone, build_backbone
from paw_stack.network.layers import FactorisationMix, LateFusion, make_head

START_WEIGHTS = 0.1  # factor on the last layer's weights, so that the bias speaks first


class Outputs(NamedTuple):
    """Raw outputs for b photos, in the type that the network computed in or in float32."""

    main: Tensor  # (b, k), in the space of the loss
    second: Tensor | None  # (b,), in the space of the loss, with loss.difference
    classes: Tensor | None  # (b, n_classes) logits of the auxiliary classes


class Regressor(nn.Module):
    """uint8 photos (b, size, size, 3) and metadata (b, n_metadata) float32 -> `Outputs`.

    Dropout is on the image features, never on the metadata. The auxiliary classes are told from
    the image features alone, which they are there to shape.

    Args:
        bounds: lowest and highest target, points; infinite where there is none.
        span: points that are the shares 0 and 1, as `span_of` gives them; None: the bounds.
        n_metadata: standardised columns that `forward` gets; without use under metadata: none.
        n_classes: of the auxiliary label; 0: none.

    Raises:
        ConfigError: metadata is asked for and there is none.
        ValueError: the backbone takes another number of planes than there are columns.
    """

    def __init__(
        self,
        backbone: Backbone,
        section: RegressorSection,
        loss: LossSection,
        bounds: tuple[float, float],
        n_metadata: int = 0,
        n_classes: int = 0,
        span: tuple[float, float] | None = None,
    ):
        super().__init__()
        _check(backbone, section, n_metadata)
        self.backbone, self.kind, self.bounds, self.mode = backbone, loss, bounds, section.metadata
        self.span = span or bounds
        self.dropout = nn.Dropout(section.dropout)
        width = backbone.width
        self.n_main = losses.n_outputs(loss)
        k = self.n_main + (1 if loss.difference else 0)
        self.late = LateFusion(n_metadata, section.metadata_width) if self.mode == "late" else None
        self.head = make_head(section, width + (self.late.added if self.late else 0), k)
        self.mix = FactorisationMix(width, n_metadata, k) if self.mode == "fm" else None
        self.classes = nn.Linear(width, n_classes) if n_classes else None

    def forward(self, photos: Tensor, metadata: Tensor | None = None) -> Outputs:
        planes = metadata if self.mode == "early" else None
        features = self.dropout(self.backbone(photos, planes))
        raw = self.head(self.late(features, metadata) if self.late else features)
        if self.mix:
            raw = self.mix(raw, features, metadata)
        second = raw[:, self.n_main] if self.kind.difference else None
        classes = self.classes(features) if self.classes else None
        return Outputs(raw[:, : self.n_main], second, classes)

    def init_bias(self, target: Tensor, weight: Tensor | None = None) -> None:
        """Start at the mean of the training rows' targets (n,) in points: it need not be learned.

        The second output starts there too, so that the mixture of both does. The last weights are
        made small; without that the random ones would scatter the start.
        """
        start = losses.start_bias(self._share(target), self.kind, weight)
        last = self.head[-1]
        assert isinstance(last, nn.Linear)
        bias = torch.cat([start, start[:1]])[: len(last.bias)]
        with torch.no_grad():
            last.weight.mul_(START_WEIGHTS)
            last.bias.copy_(bias)
            if self.mix:
                self.mix.machine.linear.bias.copy_(bias)

    def losses(
        self,
        outputs: Outputs,
        target: Tensor,
        label: Tensor | None,
        weight: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The terms of the loss by name, weighted: what to descend is their sum.

        Args:
            target: (b,) points.
            label: (b,) int64 auxiliary classes, -1 unknown; None: none is known.
            weight: (b,) of the rows in the main term; None: 1 each.

        Returns:
            Scalars float32: "main", and where they are on "difference", "spread", "auxiliary".
        """
        kind, share = self.kind, self._share(target)
        main = losses.main_loss(outputs.main, share, kind, weight)
        terms = {"main": (1 - kind.difference) * main}
        if outputs.second is not None:
            second = losses.difference_loss(outputs.second, share, kind.kind)
            terms["difference"] = kind.difference * second
        if kind.spread:
            terms["spread"] = kind.spread * losses.spread_loss(self._predicted(outputs), share)
        if kind.auxiliary and outputs.classes is not None and label is not None:
            auxiliary = losses.auxiliary_loss(outputs.classes, label)
            terms["auxiliary"] = kind.auxiliary.weight * auxiliary
        return terms

    def points(self, outputs: Outputs) -> Tensor:
        """Predictions (b,) float32 in points, inside the bounds."""
        low, high = self.span
        points = low + (high - low) * self._predicted(outputs).float()
        return points.clamp(*self.bounds)  # a rounding beyond a bound is beyond it too

    def _predicted(self, outputs: Outputs) -> Tensor:
        """Predicted shares (b,); the second output has its part in them, as in the diary."""
        first = losses.predicted_share(outputs.main, self.kind)
        if outputs.second is None:
            return first
        second = losses.predicted_share(outputs.second[:, None], self.kind)
        return torch.lerp(first, second, self.kind.difference)

    def _share(self, points: Tensor) -> Tensor:
        low, high = self.span
        return (points.float() - low) / (high - low)


def span_of(
    loss: LossSection, bounds: tuple[float, float], target: np.ndarray
) -> tuple[float, float]:
    """The points that are the shares 0 and 1, for the targets (n,) of a fold's training rows."""
    if loss.kind in NEED_BOUNDS:
        return bounds
    low = float(target.min())
    return low, low + 1.0 if is_constant(target) else float(target.max())


def load_regressor(
    weights: dict[str, Tensor],
    backbone: BackboneSection,
    section: RegressorSection,
    loss: LossSection,
    bounds: tuple[float, float],
    n_metadata: int,
    span: tuple[float, float] | None = None,
) -> Regressor:
    """The network that fine-tuning left; what it was pretrained with is not needed.

    Raises:
        ArtifactError: the weights are another network's.
    """
    planes = n_metadata if section.metadata == "early" else 0
    n_classes = len(weights.get("classes.weight", ()))
    bare = build_backbone(backbone, 0, planes, load=False)
    model = Regressor(bare, section, loss, bounds, n_metadata, n_classes, span)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise ArtifactError(f"backbone {backbone.name}: weights do not fit: {reason}") from error
    return model


def _check(backbone: Backbone, section: RegressorSection, n_metadata: int) -> None:
    if section.metadata != "none" and not n_metadata:
        raise ConfigError(f"regressor.metadata: {section.metadata} needs columns in data.metadata")
    planes = n_metadata if section.metadata == "early" else 0
    if backbone.n_planes != planes:
        raise ValueError(f"the backbone takes {backbone.n_planes} planes, not {planes}")
