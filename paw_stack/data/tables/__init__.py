"""Tables from anybody's hand: text cells, whatever the file's format; numbers; scores."""

from paw_stack.data.tables.cells import (
    double_ids,
    id_problems,
    read_cells,
    read_table,
)
from paw_stack.data.tables.formulas import as_known, guarded, plain
from paw_stack.data.tables.numbers import read_numbers

__all__ = [
    "as_known",
    "double_ids",
    "guarded",
    "id_problems",
    "plain",
    "read_cells",
    "read_numbers",
    "read_table",
]
