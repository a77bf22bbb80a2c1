"""Losses: right gradients, smallest at the target, and predictions that stay inside the scale."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from paw_stack.config import NEED_BOUNDS, LossSection
from paw_stack.network.losses import (
    LOSSES,
    auxiliary_loss,
    difference_loss,
    main_loss,
    n_outputs,
    predicted_share,
    spread_loss,
    start_bias,
)

KINDS = ["mse", "rmse", "bce", "smooth_l1", "bins", "ordinal"]
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
MANY_OUTPUTS = pytest.mark.parametrize("kind", ["bins", "ordinal"])
FEW = settings(max_examples=40, deadline=None)

share = st.floats(0, 1)
batches = st.lists(share, min_size=1, max_size=12).map(lambda rows: torch.tensor(rows).double())
n_bins = st.integers(2, 200)


def section(kind: str, bins: int = 7) -> LossSection:
    return LossSection(kind=kind, bins=bins)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def shares(n: int, seed: int = 1) -> torch.Tensor:
    return draw(n, seed=seed).sigmoid()


def labels(target: torch.Tensor, loss: LossSection) -> torch.Tensor:
    return LOSSES[loss.kind].label(target, n_outputs(loss))


def perfect_output(target: torch.Tensor, loss: LossSection) -> torch.Tensor:
    """The outputs (b, k) that say the target as well as the kind of loss allows."""
    if loss.kind in ("bce", "ordinal"):
        return torch.logit(labels(target, loss), eps=1e-9)
    return labels(target, loss).clamp(min=1e-9).log() if loss.kind == "bins" else target[:, None]


@EVERY_KIND
def test_gradients_of_loss_and_prediction_are_the_numerical_ones(kind):
    loss, target = section(kind), shares(5)
    output = 0.3 + 0.05 * draw(5, n_outputs(loss))  # inside 0..1: beyond, a prediction is constant
    output.requires_grad_()
    assert torch.autograd.gradcheck(lambda o: main_loss(o, target, loss), output)
    assert torch.autograd.gradcheck(lambda o: predicted_share(o, loss), output)
    assert torch.autograd.grad(predicted_share(output, loss).sum(), output)[0].abs().min() > 0


def test_gradients_of_the_other_losses_are_the_numerical_ones():
    target, one = shares(5), draw(5).requires_grad_()
    logits, label = draw(5, 3).requires_grad_(), torch.tensor([2, -1, 0, 1, -1])
    assert torch.autograd.gradcheck(lambda p: spread_loss(p, target), one)
    for kind in ("bce", "mse"):
        assert torch.autograd.gradcheck(lambda s, kind=kind: difference_loss(s, target, kind), one)
    assert torch.autograd.gradcheck(lambda x: auxiliary_loss(x, label), logits)


@EVERY_KIND
@FEW
@given(target=batches, bins=n_bins, seed=st.integers(0, 999))
def test_the_loss_is_smallest_where_the_target_is_predicted(kind, target, bins, seed):
    loss = section(kind, bins)
    right = perfect_output(target, loss)
    torch.testing.assert_close(predicted_share(right, loss), target, rtol=0, atol=1e-6)
    wrong = right + draw(*right.shape, seed=seed)
    # A chance of 0 has no logit, so that the best is beaten by a trifle.
    assert main_loss(wrong, target, loss) > main_loss(right, target, loss) - 1e-6


@EVERY_KIND
def test_descending_the_loss_ends_at_the_target(kind):
    """Nothing here knows the labels: the loss alone leads the prediction to the target."""
    loss, target = section(kind), torch.tensor([0.03, 0.2, 0.5, 0.77, 0.99])
    output = torch.zeros(5, n_outputs(loss), requires_grad=True)
    optimizer = torch.optim.Adam([output], lr=0.2)
    for step in range(120):
        optimizer.param_groups[0]["lr"] = 0.2 * (1 - step / 120)
        optimizer.zero_grad()
        main_loss(output, target, loss).backward()
        optimizer.step()
    torch.testing.assert_close(predicted_share(output, loss), target, rtol=0, atol=0.015)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("mse", 0.05),  # (0.1^2 + 0.3^2) / 2
        ("rmse", 0.05**0.5),
        ("smooth_l1", 0.15),  # (0.1 - 0.05 and 0.3 - 0.05) / 2
        ("bce", 0.71781),  # by hand from log(1 + e^x) - x y
    ],
)
def test_losses_of_one_output_by_hand(kind, expected):
    output, target = torch.tensor([[0.6], [0.2]]), torch.tensor([0.5, 0.5])
    assert main_loss(output, target, section(kind)).item() == pytest.approx(expected, abs=1e-4)


def test_losses_of_many_outputs_by_hand():
    """0.3 lies between the centres 0 and 0.5, and above 1 of the thresholds 0.25 and 0.75."""
    target, chances = torch.tensor([0.3]), torch.tensor([[0.2, 0.5, 0.3]])
    expected = -(0.4 * np.log(0.2) + 0.6 * np.log(0.5))
    found = main_loss(chances.log(), target, section("bins", 3)).item()
    assert found == pytest.approx(expected, abs=1e-6)
    above = torch.tensor([[0.9, 0.2]])
    expected = -(0.6 * np.log(0.9) + 0.4 * np.log(0.1) + np.log(0.8)) / 2
    found = main_loss(above.logit(), target, section("ordinal", 2)).item()
    assert found == pytest.approx(expected, abs=1e-6)
    assert predicted_share(above.logit(), section("ordinal", 2)).item() == pytest.approx(0.55)


@FEW
@given(target=batches, bins=n_bins)
def test_soft_labels_say_the_target_exactly(target, bins):
    for precision, atol in ((torch.float64, 1e-13), (torch.float32, 1e-6)):
        exact = target.to(precision)
        label = labels(exact, section("bins", bins))
        centres = torch.linspace(0, 1, bins, dtype=precision)
        torch.testing.assert_close((label * centres).sum(1), exact, rtol=0, atol=atol)
        torch.testing.assert_close(label.sum(1), torch.ones_like(exact), rtol=0, atol=atol)
        assert ((label > 0).sum(1) <= 2).all()
        label = labels(exact, section("ordinal", bins))
        torch.testing.assert_close(label.mean(1), exact, rtol=0, atol=atol)
        assert (label.diff(dim=1) <= 0).all()  # whoever exceeds a threshold exceeds those below


@EVERY_KIND
@FEW
@given(target=batches, bins=n_bins)
def test_the_start_predicts_the_mean_without_a_photo(kind, target, bins):
    loss = section(kind, bins)
    bias = start_bias(target, loss)
    assert bias.shape == (n_outputs(loss),)
    assert bias.dtype == torch.float32
    assert bias.isfinite().all()
    start = predicted_share(bias[None], loss).item()
    tolerance = 0.01 if kind == "bce" else 1e-3
    assert start == pytest.approx(target.mean().item(), abs=tolerance + 1e-6)


@EVERY_KIND
def test_the_start_is_where_a_network_without_a_photo_would_end(kind):
    """No bias predicts all rows better than the start, for the losses whose best is the mean."""
    loss, target = section(kind), shares(200)
    bias = start_bias(target, loss).double()
    at_start = main_loss(bias.expand(200, -1), target, loss)
    slack = 1e-3 if kind == "smooth_l1" else 1e-6  # its best is between the mean and the median
    for seed in range(20):
        moved = bias + 0.1 * draw(len(bias), seed=seed)
        assert main_loss(moved.expand(200, -1), target, loss) > at_start - slack


@pytest.mark.parametrize("kind", NEED_BOUNDS)
@FEW
@given(
    rows=st.lists(st.lists(st.floats(-3e38, 3e38), min_size=5, max_size=5), min_size=1, max_size=9)
)
def test_every_prediction_is_inside_the_scale(kind, rows):
    loss = section(kind, 5)
    for precision in (torch.float64, torch.float32, torch.bfloat16):
        output = torch.tensor(rows, dtype=torch.float64)[:, : n_outputs(loss)]
        predicted = predicted_share(output.to(precision), loss)
        assert predicted.shape == (len(rows),)
        assert ((predicted >= 0) & (predicted <= 1)).all()


@MANY_OUTPUTS
def test_rounding_does_not_leave_the_scale(kind):
    """Chances that sum to a little more than 1, all of it at the end."""
    output = torch.cat([torch.full((4000, 150), -30.0), draw(4000, 50).float() + 12], dim=1)
    for sure in (output, torch.full((1, 200), 50.0), torch.full((1, 200), -50.0)):
        predicted = predicted_share(sure, section(kind, 200))
        assert ((predicted >= 0) & (predicted <= 1)).all()
    last = torch.full((1, 200), -90.0).index_fill(1, torch.tensor([199]), 90.0)
    assert predicted_share(last, section("bins", 200)).item() == 1


@EVERY_KIND
def test_bf16_outputs_are_computed_in_float32_also_under_autocast(kind):
    loss, target = section(kind, 50), shares(16).float()
    rough = (0.5 + 0.2 * draw(16, n_outputs(loss))).bfloat16()
    expected = main_loss(rough.double(), target.double(), loss).float()
    predicted = predicted_share(rough.double(), loss).float()
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            torch.testing.assert_close(main_loss(rough, target, loss), expected)
            torch.testing.assert_close(predicted_share(rough, loss), predicted)
            one, logits = rough[:, 0], rough[:, :1].expand(-1, 3)
            others = [spread_loss(one, target), difference_loss(one, target, kind)]
            others.append(auxiliary_loss(logits, torch.zeros(16, dtype=torch.int64)))
            assert all(other.dtype == torch.float32 for other in others)


def test_the_rmse_has_a_finite_gradient_without_any_error():
    output = torch.full((4, 1), 0.5, requires_grad=True)
    loss = main_loss(output, torch.full((4,), 0.5), section("rmse"))
    (gradient,) = torch.autograd.grad(loss, output)
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert gradient.abs().max() == 0


@FEW
@given(target=batches, shift=st.floats(-0.5, 0.5))
def test_the_spread_loss_asks_for_the_spread_alone(target, shift):
    assert spread_loss(target + shift, target).item() == pytest.approx(0, abs=1e-20)
    assert spread_loss(-target, target).item() == pytest.approx(0, abs=1e-20)
    if len(target) > 1:  # pairs differ by twice the variance in the mean square
        half_as_wide = spread_loss(0.5 * target, target).item()
        assert half_as_wide == pytest.approx(0.25 * 2 * target.var().item(), abs=1e-15)


@FEW
@given(target=batches, seed=st.integers(0, 999))
def test_the_spread_loss_is_the_mean_over_all_pairs(target, seed):
    predicted = draw(len(target), seed=seed)
    pairs = [
        (abs(predicted[i] - predicted[j]) - abs(target[i] - target[j])) ** 2
        for i in range(len(target))
        for j in range(i + 1, len(target))
    ]
    expected = float(np.mean(pairs)) if pairs else 0.0
    assert spread_loss(predicted, target).item() == pytest.approx(expected, abs=1e-12)


def test_the_spread_loss_widens_squashed_predictions():
    target = torch.tensor([0.1, 0.4, 0.9])
    predicted = (0.4 + 0.2 * target).requires_grad_()
    (gradient,) = torch.autograd.grad(spread_loss(predicted, target), predicted)
    assert gradient[0] > 0 > gradient[2]  # descending moves the lowest down and the highest up


@FEW
@given(target=batches.filter(lambda rows: len(rows) > 1), seed=st.integers(0, 999))
def test_the_difference_loss_compares_each_row_with_the_one_before(target, seed):
    second = draw(len(target), seed=seed)
    mse, bce = [], []
    for i in range(len(target)):
        distance = abs(target[i] - target[i - 1]).item()  # row -1 is the last
        chance = second[i].sigmoid().item()
        mse.append((second[i].item() - distance) ** 2)
        bce.append(-distance * np.log(chance) - (1 - distance) * np.log(1 - chance))
    assert difference_loss(second, target, "bce").item() == pytest.approx(np.mean(bce))
    for kind in ("mse", "rmse", "smooth_l1"):
        assert difference_loss(second, target, kind).item() == pytest.approx(np.mean(mse))


@EVERY_KIND
def test_a_batch_of_one_is_finite(kind):
    loss, target = section(kind), torch.tensor([0.3])
    output = torch.full((1, n_outputs(loss)), 0.3, requires_grad=True)
    one = torch.tensor([0.4], requires_grad=True)
    losses = [
        (main_loss(output, target, loss), output),
        (spread_loss(one, target), one),
        (difference_loss(one, target, kind), one),
    ]
    for value, leaf in losses:
        assert value.shape == ()
        assert value.isfinite()
        assert torch.autograd.grad(value, leaf)[0].isfinite().all()
    assert losses[1][0].item() == losses[2][0].item() == 0


def test_rows_without_a_class_do_not_count():
    logits, label = draw(6, 3), torch.tensor([-1, 0, 2, -1, 1, -1])
    known = label >= 0
    expected = torch.nn.functional.cross_entropy(logits[known], label[known])
    torch.testing.assert_close(auxiliary_loss(logits, label), expected)
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(auxiliary_loss(logits, label), logits)
    assert (gradient[~known] == 0).all()
    assert (gradient[known] != 0).all()


def test_a_batch_without_any_class_has_no_loss_and_no_gradient():
    logits = draw(4, 3).requires_grad_()
    loss = auxiliary_loss(logits, torch.full((4,), -1))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == 0
    assert (gradient == 0).all()
