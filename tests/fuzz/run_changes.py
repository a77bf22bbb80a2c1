"""What may happen to the files of a run before it is handed over."""

from pathlib import Path
from random import Random

from fuzz import any_changes as any_
from fuzz import form_changes as form
from fuzz.any_changes import Change

# Half of the changes are to these: all commands read them.
FOLLOWED = ("blend.json", "config.yaml", "labelled.csv", "folds.csv", "photos.csv", "done.json")
LARGEST = 10_000_000  # bytes of a file that a change reads


def change_run(root: Path, outside: Path, random: Random) -> list[str]:
    """Change one to three files of a run; what was done, to say it.

    Args:
        root: of the run; its files are replaced and never written to, so that they may be links.
        outside: a file that none of its readers may open.
    """
    said = []
    for _ in range(random.choice((1, 1, 2, 3))):
        files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
        central = [path for path in files if path.name.endswith(FOLLOWED)]
        path = random.choice(central if random.random() < 0.5 else files)
        change = random.choice(changes_of(path, outside))
        said.append(f"{path.relative_to(root)} {change.__name__}")
        change(path, random)
    return said


OF_KIND = {
    ".json": [form.one_value, form.one_value, form.key_gone, form.key_more, form.raw_number],
    ".yaml": [form.one_value, form.one_value, form.key_gone, form.key_more, form.foreign_tag],
    ".csv": [form.cells, form.column_gone, form.column_renamed, form.rows_twice, form.rows_gone],
    ".npy": [form.array_header, form.array_header, any_.flipped],
    ".safetensors": [form.tensors_header, form.tensor_values, any_.flipped],
    ".txt": [form.model_text, form.model_text, any_.flipped],
}
UNREAD = [any_.gone, any_.pipe, any_.there, any_.folder, any_.exchanged, any_.link_inside]
READ = [any_.cut, any_.emptied, any_.flipped, any_.holes, any_.nested, any_.tailed]


def changes_of(path: Path, outside: Path) -> list[Change]:
    """What may become of a file; two thirds of it keep its form."""
    linked = [any_.link_to(target) for target in (outside, Path("/dev/zero"), path)]
    if path.stat().st_size > LARGEST:  # holes, by an earlier change
        return UNREAD + linked
    anything = UNREAD + READ + linked
    own = OF_KIND.get(path.suffix, [])
    return anything + own * (2 * len(anything) // max(len(own), 1))
