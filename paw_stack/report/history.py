"""The history of one fold's training, as a picture and for TensorBoard."""

from collections.abc import Sequence
from pathlib import Path


def draw_history(history: Sequence[dict[str, float]], path: Path) -> None:
    """A PNG: fit, inner and held-out RMSE in points and the learning rate, over the epochs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4))  # a layout that fits itself takes as long as the drawing
    FigureCanvasAgg(figure)
    figure.subplots_adjust(0.11, 0.12, 0.87, 0.93)
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


def write_events(history: Sequence[dict[str, float]], path: Path) -> None:
    """TensorBoard's events of all epochs.

    Written record by record: its own writer has a thread, whose errors nobody can catch.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    events = [Event(file_version="brain.Event:2")]
    for line in history:
        values = [Summary.Value(tag=k, simple_value=v) for k, v in line.items() if k != "epoch"]
        events.append(Event(step=int(line["epoch"]), summary=Summary(value=values)))
    with path.open("wb") as file:
        records = RecordWriter(file)
        for event in events:
            records.write(event.SerializeToString())
