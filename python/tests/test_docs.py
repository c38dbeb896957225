"""The Python in README.md and docs/python.md runs, and prints what is said beside it.

A block of a page goes on from the one before it. A comment `# prints: TEXT` behind a line says what
the block prints; there may be `…` in it. A block behind the line `<!-- not run -->` is only
compiled.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = ["README.md", "docs/python.md"]
BLOCK = re.compile(r"(<!-- not run -->\n+)?^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page):
    return [(bool(skip), code) for skip, code in BLOCK.findall((ROOT / page).read_text())]


@pytest.mark.parametrize("page", PAGES)
def test_page(page, tmp_path):
    found = blocks(page)
    assert found, f"{page} has no Python"
    for skip, code in found:
        compile(code, page, "exec")
    script = tmp_path / "page.py"
    # What spawned processes import has to be a file; and they are not to run it all again.
    body = "\n".join(code for skip, code in found if not skip)
    definitions, rest = parts(body)
    script.write_text(f"{definitions}\nif __name__ == '__main__':\n" + "".join(f"    {line}\n" for line in rest.splitlines()))
    command = [sys.executable, "-P", "-X", "faulthandler", "-W", "error", str(script)]
    ran = subprocess.run(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stdout + script.read_text()
    said = ran.stdout
    for expected in re.findall(r"# prints: (.*)", body):
        pattern = ".*?".join(map(re.escape, expected.strip().split("…")))
        match = re.search(pattern, said, re.DOTALL)
        assert match, f"{expected!r} is not in {said!r}"
        said = said[match.end() :]


def parts(body):
    """Imports and functions, which every process needs, and the rest."""
    import ast

    lines = body.splitlines(keepends=True)
    first, rest = [], []
    tree = ast.parse(body)
    ends = [node.lineno - 1 - len(getattr(node, "decorator_list", [])) for node in tree.body[1:]] + [len(lines)]
    start = 0
    for node, end in zip(tree.body, ends):
        kind = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
        (first if isinstance(node, kind) else rest).append("".join(lines[start:end]))
        start = end
    return "".join(first), "".join(rest)
