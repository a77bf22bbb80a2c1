"""What the last outputs mean: their loss, the prediction in them, and the bias they start from.

Enters: raw outputs (b, k) of a network and targets as `share`, scaled to 0..1. Leaves: scalar
losses and predicted shares. Outputs in bf16 are widened to float32 first, since bf16 between 0.5
and 1 has steps of 0.004; float64 stays float64.
"""

from collections.abc import Callable
from dataclasses import dataclass

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


Cost = Callable[[Tensor, Tensor, str], Tensor]  # outputs, labels, torch's name of the reduction


def _as_it_is(values: Tensor, n: int) -> Tensor:
    return values


def _logit(mean: Tensor, n: int) -> Tensor:
    """Nearest to 0 or 1 that a start may be: `CHANCE_START` where each has its own output."""
    return torch.logit(mean, eps=BCE_START if n == 1 else CHANCE_START)


def _log_chance(mean: Tensor, n: int) -> Tensor:
    return mean.clamp(min=CHANCE_START).log()


def _column(share: Tensor, n: int) -> Tensor:
    return share[:, None]


def _two_bins(share: Tensor, n: int) -> Tensor:
    """Centres at i / (n - 1); the two around a target share it, so that it is the expectation."""
    return (1 - (share[:, None] * (n - 1) - _steps(share, n)).abs()).clamp(min=0)


def _exceeded(share: Tensor, n: int) -> Tensor:
    """Thresholds at (i + 0.5) / n; a label is how much of the n-th part around its threshold lies
    below the target, so that the mean is the target.
    """
    return (share[:, None] * n - _steps(share, n)).clamp(0, 1)


def _steps(share: Tensor, n: int) -> Tensor:
    return torch.arange(n, dtype=share.dtype, device=share.device)


def _only(output: Tensor) -> Tensor:
    return output.squeeze(1)


def _mean_chance(output: Tensor) -> Tensor:
    return output.sigmoid().mean(1)


def _expectation(output: Tensor) -> Tensor:
    """As DEX (Rothe et al., 2015) and DLDL-v2 (Gao et al., 2018) predict an age."""
    centres = torch.linspace(0, 1, output.shape[1], dtype=output.dtype, device=output.device)
    # Not a matrix product, which autocast would round to bf16. Chances can sum to 1 + 1e-7.
    return (output.softmax(1) * centres).sum(1).clamp(0, 1)


def _mse(output: Tensor, label: Tensor, reduction: str) -> Tensor:
    return F.mse_loss(output, label, reduction=reduction)


def _smooth_l1(output: Tensor, label: Tensor, reduction: str) -> Tensor:
    """Girshick's (Fast R-CNN, 2015)."""
    return F.smooth_l1_loss(output, label, beta=SMOOTH_L1_BETA, reduction=reduction)


def _bce(output: Tensor, label: Tensor, reduction: str) -> Tensor:
    return F.binary_cross_entropy_with_logits(output, label, reduction=reduction)


def _cross_entropy(output: Tensor, label: Tensor, reduction: str) -> Tensor:
    return F.cross_entropy(output, label, reduction=reduction)


@dataclass(frozen=True)
class Loss:
    """What the outputs (b, k) of a network mean under a kind of loss.

    Attributes:
        cost: of outputs and labels; by reduction "mean" a scalar, by "none" a value each.
        label: targets (b,), 0..1, and k -> what each output should say (b, k).
        start: mean label (k,) and k -> the outputs that predict it.
        share: outputs (b, k) -> predictions (b,).
        is_root: the loss is the root of the mean cost.
        per_bin: k is `loss.bins`; else it is 1.
    """

    cost: Cost
    label: Callable[[Tensor, int], Tensor] = _column
    start: Callable[[Tensor, int], Tensor] = _as_it_is
    share: Callable[[Tensor], Tensor] = _only
    is_root: bool = False
    per_bin: bool = False


# `bins` is the cross entropy against a label on the two bins around the target, as C51 projects
# values on its atoms (Bellemare et al., 2017). `ordinal` has a binary output for each threshold
# (Niu et al., 2016), here with soft labels; unlike CORAL (Cao et al., 2020) nothing forces the
# chances to fall from threshold to threshold.
LOSSES = {
    "mse": Loss(_mse),
    "rmse": Loss(_mse, is_root=True),  # of a batch: something to descend, never a score
    "smooth_l1": Loss(_smooth_l1),
    "bce": Loss(_bce, start=_logit, share=_mean_chance),
    "bins": Loss(_cross_entropy, _two_bins, _log_chance, _expectation, per_bin=True),
    "ordinal": Loss(_bce, _exceeded, _logit, _mean_chance, per_bin=True),
}


def n_outputs(section: LossSection) -> int:
    """Outputs that the kind of loss needs: k of the functions below."""
    return section.bins if LOSSES[section.kind].per_bin else 1


def start_bias(shares: Tensor, section: LossSection, weight: Tensor | None = None) -> Tensor:
    """The last bias with which a network without a photo predicts the mean of the training rows.

    Args:
        shares: (n,) targets of the training rows, 0..1.
        weight: (n,) of the rows in the mean; None: 1 each.

    Returns:
        (k,) float32, in the space of the outputs: a mean, logits, or log chances of bins.
    """
    loss, k = LOSSES[section.kind], n_outputs(section)
    label = loss.label(_wide(shares), k)
    if weight is None:
        return loss.start(label.mean(0), k).float()
    weight = weight.to(label.dtype)
    return loss.start(weight @ label / weight.sum(), k).float()


def main_loss(
    output: Tensor, share: Tensor, section: LossSection, weight: Tensor | None = None
) -> Tensor:
    """The loss of the outputs, a scalar mean over the batch.

    Args:
        output: (b, k) raw outputs, any float type.
        share: (b,) targets, 0..1.
        weight: (b,) of the rows in the mean, which divides by b and not by their sum: with
            weights of mean 1 over all rows a row pulls alike whatever stands beside it. None: 1
            each. A row of weight 0 has no target.
    """
    loss, output = LOSSES[section.kind], _wide(output)
    label = loss.label(share.to(output.dtype), n_outputs(section))
    if weight is None:
        mean = loss.cost(output, label, "mean")
    else:
        each = loss.cost(output, label, "none")
        mean = (weight * (each if each.ndim == 1 else each.mean(dim=1))).mean()
    return (mean + RMSE_EPS).sqrt() if loss.is_root else mean


def predicted_share(output: Tensor, section: LossSection) -> Tensor:
    """Raw outputs (b, k) -> predictions (b,); of `bce`, `bins` and `ordinal` each inside 0..1."""
    return LOSSES[section.kind].share(_wide(output))


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


def _distances(values: Tensor) -> Tensor:
    """(b,) -> (b, b) absolute differences of all pairs."""
    return (values[:, None] - values[None, :]).abs()


def _wide(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()
