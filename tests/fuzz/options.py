"""Which cases a call of a fuzzing script asks for."""

import argparse


def asked(about: str | None, cases: int) -> tuple[range, int, bool]:
    """Numbers of the cases, their seed, and whether one alone is repeated."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--cases", type=int, default=cases)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    given = parser.parse_args()
    print(f"seed {given.seed}")
    if given.only is None:
        return range(given.cases), given.seed, False
    return range(given.only, given.only + 1), given.seed, True
