"""What the last outputs mean: their loss, the prediction in them, and the bias they start from.

Enters: raw outputs (b, k) of a network and targets as `share`, scaled to 0..1. Leaves: scalar
losses and predicted shares. Outputs in bf16 are widened to float32 first, since bf16 between 0.5
and 1 has steps of 0.004; float64 stays float64.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from paw_stack.config import LossSection

# Errors beyond a tenth of the scale count linearly; about the noise of one human score.
SMOOTH_L1_BETA = 0.1
RMSE_EPS = 1e-12  # under the root, whose slope at 0 is infinite
BCE_START = 0.01  # nearest to 0 or 1 that a start may be, as a share
# Nearest to 0 or 1 that the chance of one bin or threshold may start. Far less than for `bce`,
# because there are up to 200 of them, and together they must not move the mean.
CHANCE_START = 1e-5


def n_outputs(section: LossSection) -> int:
    """Outputs that the kind of loss needs: k of the functions below."""
    return section.bins if section.kind in ("bins", "ordinal") else 1


def start_bias(shares: Tensor, section: LossSection) -> Tensor:
    """The last bias with which a network without a photo predicts the mean of the fit rows.

    Args:
        shares: (n,) targets of the fit rows, 0..1.

    Returns:
        (k,) float32, in the space of the outputs: a mean, logits, or log chances of bins.
    """
    mean = _labels(_wide(shares), section).mean(0)
    if section.kind == "bce":
        mean = torch.logit(mean, eps=BCE_START)
    elif section.kind == "ordinal":
        mean = torch.logit(mean, eps=CHANCE_START)
    elif section.kind == "bins":
        mean = mean.clamp(min=CHANCE_START).log()
    return mean.float()


def main_loss(
    output: Tensor, share: Tensor, section: LossSection, weight: Tensor | None = None
) -> Tensor:
    """The loss of the outputs, a scalar mean over the batch.

    `rmse` is the root of the batch's mean square: something to descend, never a score.
    `smooth_l1` is Girshick's (Fast R-CNN, 2015). `bins` is the cross entropy against a label on the
    two bins around the target, as C51 projects values on its atoms (Bellemare et al., 2017).
    `ordinal` has a binary output for each threshold (Niu et al., 2016), here with soft labels;
    unlike CORAL (Cao et al., 2020) nothing forces the chances to fall from threshold to threshold.

    Args:
        output: (b, k) raw outputs, any float type.
        share: (b,) targets, 0..1.
        weight: (b,) of the rows in the mean; None: 1 each. A row of weight 0 has no target.
    """
    output = _wide(output)
    label = _labels(share.to(output.dtype), section)
    if weight is not None:
        mean = (weight * _row_losses(output, label, section)).mean()
        return (mean + RMSE_EPS).sqrt() if section.kind == "rmse" else mean
    if section.kind == "bins":
        return F.cross_entropy(output, label)
    if section.kind in ("bce", "ordinal"):
        return F.binary_cross_entropy_with_logits(output, label)
    if section.kind == "smooth_l1":
        return F.smooth_l1_loss(output, label, beta=SMOOTH_L1_BETA)
    mse = F.mse_loss(output, label)
    return (mse + RMSE_EPS).sqrt() if section.kind == "rmse" else mse


def _row_losses(output: Tensor, label: Tensor, section: LossSection) -> Tensor:
    """(b,), whose mean is the loss (of `rmse` its square)."""
    if section.kind == "bins":
        return F.cross_entropy(output, label, reduction="none")
    if section.kind in ("bce", "ordinal"):
        losses = F.binary_cross_entropy_with_logits(output, label, reduction="none")
    elif section.kind == "smooth_l1":
        losses = F.smooth_l1_loss(output, label, beta=SMOOTH_L1_BETA, reduction="none")
    else:
        losses = F.mse_loss(output, label, reduction="none")
    return losses.mean(dim=1)


def predicted_share(output: Tensor, section: LossSection) -> Tensor:
    """Raw outputs (b, k) -> predictions (b,); of `bce`, `bins` and `ordinal` each inside 0..1.

    `bins` predicts the expectation of its distribution, as DEX (Rothe et al., 2015) and DLDL-v2
    (Gao et al., 2018) do for age; `ordinal` the mean of the chances to exceed each threshold.
    """
    output = _wide(output)
    if section.kind == "bins":
        centres = torch.linspace(0, 1, section.bins, dtype=output.dtype, device=output.device)
        # Not a matrix product, which autocast would round to bf16. Chances can sum to 1 + 1e-7.
        return (output.softmax(1) * centres).sum(1).clamp(0, 1)
    if section.kind in ("bce", "ordinal"):
        return output.sigmoid().mean(1)
    return output.squeeze(1)


def spread_loss(predicted: Tensor, share: Tensor) -> Tensor:
    """Mean over all pairs of a batch of (|p_i - p_j| - |y_i - y_j|)^2; 0 for a batch of one.

    It asks for the spread alone: a constant added to all predictions, or their mirror image, costs
    nothing. So it only makes sense beside a main loss.

    Args:
        predicted: (b,) predictions, 0..1.
        share: (b,) targets, 0..1.
    """
    predicted = _wide(predicted)
    gap = _distances(predicted) - _distances(share.to(predicted.dtype))
    n = len(predicted)
    # Every pair stands in the square twice, and the diagonal is 0.
    return gap.square().sum() / max(n * (n - 1), 1)


def difference_loss(second: Tensor, share: Tensor, kind: str) -> Tensor:
    """Loss of a second output that learns how far a row's target is from that of the row before.

    The first row follows the last one. A batch of one has no other row, and its loss is 0.

    Args:
        second: (b,) raw outputs: logits under `bce`, else shares.
        share: (b,) targets, 0..1.
        kind: of the main loss; `bce` is learned by BCE, everything else by MSE.
    """
    second = _wide(second)
    if len(share) < 2:
        return second.sum() * 0  # not a bare zero, which has no gradient to go back
    share = share.to(second.dtype)
    distance = (share - share.roll(1)).abs()
    if kind == "bce":
        return F.binary_cross_entropy_with_logits(second, distance)
    return F.mse_loss(second, distance)


def auxiliary_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Mean cross entropy over the rows whose class is known; 0, with a gradient, where none is.

    Args:
        logits: (b, c) for c classes.
        label: (b,) int64, 0..c-1; -1 is unknown.
    """
    total = F.cross_entropy(_wide(logits), label, ignore_index=-1, reduction="sum")
    return total / (label >= 0).sum().clamp(min=1)  # the mean of torch is nan for no rows


def _labels(share: Tensor, section: LossSection) -> Tensor:
    """Targets (b,) -> what each output should say (b, k), from which `share` can be read exactly.

    bins: centres at i / (k - 1); the two around the target share it by nearness, so that the
    expectation is the target. ordinal: thresholds at (i + 0.5) / k; a label is how much of the k-th
    part around its threshold lies below the target, so that the mean is the target.
    """
    n = section.bins
    steps = torch.arange(n, dtype=share.dtype, device=share.device)
    if section.kind == "bins":
        return (1 - (share[:, None] * (n - 1) - steps).abs()).clamp(min=0)
    if section.kind == "ordinal":
        return (share[:, None] * n - steps).clamp(0, 1)
    return share[:, None]


def _distances(values: Tensor) -> Tensor:
    """(b,) -> (b, b) absolute differences of all pairs."""
    return (values[:, None] - values[None, :]).abs()


def _wide(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()
