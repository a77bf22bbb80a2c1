"""Mutated tables of all formats, read as a user's: a table or one line, within time and memory.

    python tests/fuzz/tables.py [--cases 5000] [--seed 0] [--only CASE]

Exit code 1 tells of cases that break a promise; --only repeats one of them.
"""

import io
import json
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from random import Random

import openpyxl
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.mutate import mutated
from fuzz.options import asked

from paw_stack.data.tables import read_numbers, read_table
from paw_stack.regular import shown

MOST_S = 10.0  # processor seconds of a case
COLUMNS = ["Id", "score"]
SIGNS = (
    b",",
    b";",
    b"\t",
    b'"',
    b"\n",
    b"\r",
    b"\0",
    b"1,234",
    b"sep=;\n",
    b"\xff\xfe",
    b"[",
    b"{",
)


@dataclass
class Told:
    """What became of the cases."""

    outcomes: dict[str, Counter] = field(default_factory=dict)  # of each format
    broken: list[str] = field(default_factory=list)  # promises


def seeds() -> dict[str, bytes]:
    """File name -> a small table in its format."""
    table = pd.DataFrame({"Id": ["007", "Käte 2", "a;b"], "score": [1.5, 2.25, 3], "a": [1, 2, 3]})
    german = table.to_csv(index=False, sep=";", decimal=",")
    book, workbook = openpyxl.Workbook(), io.BytesIO()
    for row in [list(table.columns), *table.itertuples(index=False)]:
        book.active.append(list(row))
    book.save(workbook)
    return {
        **({"columns.parquet": table.to_parquet()} if find_spec("pyarrow") else {}),
        "comma.csv": table.to_csv(index=False).encode(),
        "german.csv": b"sep=;\n" + german.encode("cp1252"),
        "wide.csv": german.encode("utf-16"),
        "book.xlsx": workbook.getvalue(),
        "rows.json": json.dumps(table.to_dict("records")).encode(),
        "lines.jsonl": table.to_json(orient="records", lines=True).encode(),
    }


def case(kinds: dict[str, bytes], seed: int, number: int) -> tuple[str, bytes]:
    """Name of the seed and mutated bytes, the same for the same numbers."""
    random = Random(f"{seed} {number}")
    name = list(kinds)[number % len(kinds)]
    data = mutated(kinds, name, random)
    for _ in range(random.choice((0, 0, 1, 3))):
        place = random.randrange(len(data) + 1)
        data = data[:place] + random.choice(SIGNS) + data[place:]
    return name, data


def fuzz(numbers: range, seed: int) -> Told:
    """Read these cases one after another."""
    kinds, told = seeds(), Told()
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            name, data = case(kinds, seed, number)
            (Path(folder) / name).write_bytes(data)
            start = time.process_time()
            outcome = read(Path(folder) / name)
            seconds = time.process_time() - start
            told.outcomes.setdefault(name, Counter())[outcome[:7]] += 1
            if outcome not in ("read", "refused"):
                told.broken.append(f"case {number} ({name}): {outcome}")
            if seconds > MOST_S:
                told.broken.append(f"case {number} ({name}): took {seconds:.0f} s")
    return told


def read(path: Path) -> str:
    """What becomes of a table: read, refused, or a promise that is broken."""
    problems: list[str] = []
    try:
        table = read_table(path, COLUMNS, problems)
        if len(table.columns):
            read_numbers(table["score"], "number", (1, 9))
    except Exception:
        return f"raised {traceback.format_exc()}"
    if bool(problems) == bool(len(table.columns)):
        return f"raised no problem and no table, or both: {problems}"
    if any(shown(line) != line for line in [*problems, table.attrs.get("form", "")]):
        return f"printed {problems!r}"
    return "refused" if problems else "read"


def main() -> None:
    numbers, seed, _ = asked(__doc__, 5000)
    told = fuzz(numbers, seed)
    for name, counts in told.outcomes.items():
        print(f"{name:16} read {counts['read']:6,} refused {counts['refused']:6,}")
    print("\n".join(told.broken) or "no promise broken")
    sys.exit(bool(told.broken))


if __name__ == "__main__":
    main()
