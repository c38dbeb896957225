"""Every recipe in `python/examples` runs, and ends well."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
# Packages that a recipe is about.
NEEDS = {"arrow_tables.py": ["pyarrow"], "joblib_pool.py": ["joblib"]}


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_example(name, tmp_path):
    for package in NEEDS.get(name, []):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    command = [sys.executable, "-P", "-X", "faulthandler", "-W", "error", str(EXAMPLES / name)]
    ran = subprocess.run(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.strip(), "a recipe says what it did"


def test_each_example_is_in_the_docs():
    text = (EXAMPLES.parent.parent / "docs" / "python.md").read_text()
    assert [path.name for path in EXAMPLES.glob("*.py") if f"python/examples/{path.name}" not in text] == []
