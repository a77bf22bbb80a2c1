"""`paw-stack demo` and `sample`: a drawn competition, whose noise and hidden scores are known."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from paw_stack.commands.run import run
from paw_stack.config import Config, load_config
from paw_stack.console import say
from paw_stack.data.competition import load_competition
from paw_stack.data.types import Blend

if TYPE_CHECKING:
    from paw_stack.data.synthetic.competition import SampleFacts

DEMO_LABELLED, DEMO_TEST, DEMO_SEED = 2000, 200, 0


def sample(
    folder: Path, n_labelled: int, n_test: int, seed: int, n_extra: int = 0
) -> "SampleFacts":
    """Write the sample competition and say what can be reached on it."""
    from paw_stack.data.synthetic.competition import write_sample

    facts = write_sample(folder, n_labelled, n_test, seed, n_extra)
    say(
        f"{folder}: {facts.n_labelled} labelled and {facts.n_test} test portraits,"
        f" {facts.n_duplicates} near-duplicates, {facts.n_extra} extra ones;"
        f" label noise SD {facts.noise_sd:.1f}"
    )
    say(
        f"best RMSE that any model can reach {facts.noise_floor:.2f} (the noise floor);"
        f" a constant scores {facts.constant_rmse:.2f}"
    )
    return facts


def demo(overrides: Sequence[str] | None = None) -> None:
    """Sample and run, then score the submission on the test photos' hidden targets."""
    config = load_config(Path(__file__).with_name("demo.yaml"), list(overrides or []))
    facts = sample(config.data.root, DEMO_LABELLED, DEMO_TEST, DEMO_SEED)
    result = run(config)
    if result is not None:
        _compare_with_truth(config, facts, result)


def _compare_with_truth(config: Config, facts: "SampleFacts", result: Blend) -> None:
    from paw_stack.data.synthetic.competition import true_test_targets
    from paw_stack.metrics import rmse

    truth = true_test_targets(n_test=DEMO_TEST, seed=DEMO_SEED).set_index("Id")
    competition = load_competition(config.data)
    hidden = truth["Pawpularity"].reindex(competition.test.ids).to_numpy(dtype=float)
    nested = rmse(competition.target, result.predictions.oof)
    say(
        f"nested RMSE {nested:.2f}, on the {len(hidden)} test photos' hidden scores"
        f" {rmse(hidden, result.predictions.test):.2f}; noise floor {facts.noise_floor:.2f},"
        f" a constant {facts.constant_rmse:.2f}"
    )
