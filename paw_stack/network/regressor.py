"""Backbone + linear head + loss: a network whose predictions are points inside the bounds.

The target's 0..1 scale begins and ends in this file. Under `bce` the output is a logit, and the
last bias starts at the logit of the mean target; under `mse` it starts at the scaled mean itself.
(A raw mean as a logit would saturate the sigmoid and wreck training.)
"""

import torch
import torch.nn.functional as F
from torch import nn

from paw_stack.network.backbone import Backbone


class Regressor(nn.Module):
    """uint8 photos (b, size, size, 3) -> raw outputs (b,), in the space of the loss."""

    def __init__(self, backbone: Backbone, loss: str, bounds: tuple[float, float]):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.width, 1)
        self.kind, self.bounds = loss, bounds

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(photos)).squeeze(1)

    def init_bias(self, mean: float) -> None:
        """Start at the mean target (points), so that training need not learn it first."""
        share = min(max(self._scaled(torch.tensor(mean)).item(), 0.01), 0.99)
        start = torch.logit(torch.tensor(share)) if self.kind == "bce" else share
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            self.head.bias.fill_(float(start))

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Mean loss of raw outputs (b,) against targets (b,) in points."""
        scaled = self._scaled(target)
        if self.kind == "bce":
            return F.binary_cross_entropy_with_logits(output.float(), scaled)
        return F.mse_loss(output.float(), scaled)

    def points(self, output: torch.Tensor) -> torch.Tensor:
        """Raw outputs (b,) -> predictions (b,) float32 in points, inside the bounds."""
        low, high = self.bounds
        share = torch.sigmoid(output.float()) if self.kind == "bce" else output.float().clamp(0, 1)
        return low + (high - low) * share

    def _scaled(self, points: torch.Tensor) -> torch.Tensor:
        low, high = self.bounds
        return (points.float() - low) / (high - low)
