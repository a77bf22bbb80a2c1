"""The documents agree with the project: links, commands, files and configs that they name exist."""

import re
from pathlib import Path

import pytest
import yaml
from helpers.places import ROOT

from paw_stack.cli import app
from paw_stack.config import make_config

FOLDERS = ("artifacts", "configs", "configs/diary", "paw_stack", "tests", "tests/benchmarks")
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "PACKAGE.md", "SECURITY.md")]
DOCUMENTS += [ROOT / folder / "README.md" for folder in FOLDERS]
COMMANDS = {c.name or c.callback.__name__.replace("_", "-") for c in app.registered_commands}
of_documents = pytest.mark.parametrize(
    "path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix()
)


def anchors(path: Path) -> set[str]:
    """Headings as links name them: small letters, hyphens, no other marks."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@of_documents
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        target = target / "README.md" if target.is_dir() else target
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


@of_documents
def test_files_and_commands_that_are_named_exist(path):
    text = path.read_text()
    for name in re.findall(r"\b(?:tests|paw_stack|configs)/[\w/]+\.(?:py|yaml|json|lock)\b", text):
        assert (ROOT / name).is_file(), name
    named = re.findall(r"(?:^ +|`|&& |no-python )paw-stack ([a-z][a-z-]+)", text, re.MULTILINE)
    assert {*named} <= COMMANDS
    for key in re.findall(r"bench_\w+\.py", text):
        assert (ROOT / "tests" / "benchmarks" / key).is_file(), key


def test_the_readme_is_short():
    assert 6_000 <= len((ROOT / "README.md").read_bytes()) <= 8_000


def test_its_table_has_every_command():
    table = (ROOT / "README.md").read_text().partition("## Commands")[2].partition("\n## ")[0]
    assert {*re.findall(r"`([a-z][a-z-]+)", table)} >= COMMANDS


def test_its_config_is_one():
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert make_config(yaml.safe_load(block)).data.bounds == (1, 10)


def test_the_architecture_names_every_module_and_no_other():
    named = re.findall(r"\b(\w+\.py)\b", (ROOT / "paw_stack" / "README.md").read_text())
    there = {path.name for path in (ROOT / "paw_stack").rglob("*.py")} - {"__init__.py"}
    tests = {"test_layers.py"}
    rooms = {p.name for f in ("commands", "cli", "data/synthetic") for p in _modules(f)}
    assert {*named} - there == tests
    assert there - rooms <= {*named}


def _modules(folder: str) -> list[Path]:
    return sorted((ROOT / "paw_stack" / folder).glob("*.py"))


def test_every_benchmark_stands_among_the_tables():
    text = (ROOT / "tests" / "benchmarks" / "README.md").read_text()
    scripts = {path.name for path in (ROOT / "tests" / "benchmarks").glob("bench_*.py")}
    assert {name for name in scripts if name not in text} == set()


def test_every_shipped_config_stands_among_the_configs():
    text = (ROOT / "configs" / "README.md").read_text()
    assert [p.name for p in (ROOT / "configs").glob("*.yaml") if f"`{p.name}`" not in text] == []
