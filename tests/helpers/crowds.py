"""A finished run of many candidates, made of one of few."""

import numpy as np

from paw_stack.artifacts.finished.model import FinishedRun

from .pages import changed

TIMES = 11  # 3 heads so often beside the 4 candidates there are: 37
LONG = "a_backbone_with_quite_a_long_name_{}.penultimate_layer.{}"


def crowded(record: FinishedRun) -> FinishedRun:
    """The same run, whose heads' candidates are there again and again under long names.

    The first of them is a little better than the one it repeats, and all can be left out.
    """
    names, facts = list(record.blend["weights"]), record.blend
    heads = [name for name in names if not name.endswith(".nn")]
    again = {
        LONG.format(number, name.rpartition(".")[2]): (name, 0.998 + 0.001 * number)
        for number in range(TIMES)
        for name in heads
    }
    old = [names.index(name) for name in (*names, *(name for name, _ in again.values()))]
    scores = {
        new: {**facts["scores"][name], "rmse": share * facts["scores"][name]["rmse"]}
        for new, (name, share) in again.items()
    }

    def more(known):
        return {**known, **{new: known[name] for new, (name, _) in again.items()}}

    diversity = {
        **facts["diversity"],
        "added": more(facts["diversity"]["added"]),
        "error_correlation": np.array(facts["diversity"]["error_correlation"])[old][:, old],
        "add_nothing": list(again),
        "copies": [],
    }
    blend = {
        **facts,
        "scores": {**facts["scores"], **scores},
        "weights": more(facts["weights"]),
        "squash": more(facts["squash"]),
        "diversity": diversity,
    }
    columns = [*names, *(name for name, _ in again.values()), "blend"]
    oof, test = (
        table[columns].set_axis([*blend["weights"], "blend"], axis=1)
        for table in (record.oof, record.test)
    )
    return changed(record, blend=blend, oof=oof, test=test)
