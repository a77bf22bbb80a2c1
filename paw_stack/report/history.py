"""The history of one fold's training, as a picture and for TensorBoard."""

from collections.abc import Sequence
from pathlib import Path


def draw_history(history: Sequence[dict[str, float]], path: Path) -> None:
    """A PNG: fit, inner and held-out RMSE in points and the learning rate, over the epochs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    epochs = [line["epoch"] for line in history]
    for name, style in (("fit_rmse", "o-"), ("inner_rmse", "s-"), ("held_out_rmse", "D-")):
        if name in history[0]:
            label = name.removesuffix("_rmse").replace("_", "-")
            axes.plot(epochs, [line[name] for line in history], style, label=label, markersize=4)
    axes.set(xlabel="epoch", ylabel="RMSE, points")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    rates = axes.twinx()
    rates.plot(epochs, [line["learning_rate"] for line in history], ":", color="grey")
    rates.set_ylabel("learning rate (dotted)")
    figure.savefig(path, format="png", dpi=120)


def write_events(history: Sequence[dict[str, float]], folder: Path) -> None:
    """TensorBoard's events of all epochs, in place of what an earlier call wrote there."""
    from torch.utils.tensorboard import SummaryWriter

    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    with SummaryWriter(str(folder)) as writer:
        for line in history:
            for name, value in line.items():
                if name != "epoch":
                    writer.add_scalar(name, value, int(line["epoch"]))
