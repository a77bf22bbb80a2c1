"""A scikit-learn-intelex that pip put beside a scikit-learn that is too old for it."""

import subprocess
import sys

import pytest
from sklearn import __version__

SAYS = "cannot import name 'validate_data'"


@pytest.fixture
def say(tmp_path):
    """What a line of Python prints where `sklearnex` is installed and cannot be imported."""
    package = tmp_path / "sklearnex"
    package.mkdir()
    (package / "__init__.py").write_text(f'raise ImportError("{SAYS}")\n')

    def run(code: str) -> str:
        start = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"
        done = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_auto_takes_another_engine(say):
    printed = say(
        "from paw_stack.config import SvrSection; from paw_stack.heads.svr import resolve_engine;"
        "print(resolve_engine(SvrSection()))"
    )
    assert printed.strip() in ("sklearn", "gram", "cuml")


def test_who_asked_for_it_reads_why_and_what_to_do(say):
    printed = say(
        "from paw_stack.config import SvrSection; from paw_stack.heads.svr import resolve_engine\n"
        "from paw_stack.errors import ConfigError\n"
        "try: resolve_engine(SvrSection(engine='onedal'))\n"
        "except ConfigError as error: print(error)"
    )
    for part in ("heads.svr.engine: onedal", f"scikit-learn {__version__}", SAYS, "pip install"):
        assert part in printed


def test_doctor_tells_it(say):
    printed = say(
        "from paw_stack.commands.doctor import to_install; print(to_install()['sklearnex'])"
    )
    assert SAYS in printed and "pip install" in printed
