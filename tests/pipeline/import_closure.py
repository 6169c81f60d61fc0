"""Which files of this repository a file imports, directly or not, read from the source without importing anything."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("vultus", "stages", "flows")


def closure(*files: str) -> set[str]:
    """Paths, relative to the repository, of all that ``files`` import, themselves included.

    Imports inside functions count; those under ``if TYPE_CHECKING`` do not. A package's ``__init__.py`` counts when it
    holds more than a docstring.
    """
    found: set[str] = set()
    waiting = list(files)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(imports(path))
    return {path for path in found if not _is_bare_package(path)}


@cache
def imports(path: str) -> frozenset[str]:
    """Files of this repository that one file imports directly."""
    found: set[str] = set()
    for module, names in _statements(ast.parse((ROOT / path).read_text()), path):
        for name in [module, *(f"{module}.{name}" for name in names)]:
            if name.split(".")[0] in PACKAGES:
                found.update(_files_of(name))
    return frozenset(found)


def _statements(tree: ast.AST, path: str) -> Iterator[tuple[str, list[str]]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = Path(path).parent.parts[: len(Path(path).parent.parts) - (node.level - 1)] if node.level else ()
            module = ".".join([*parents, *([node.module] if node.module else [])])
            yield module, [alias.name for alias in node.names]
        else:
            yield from _statements(node, path)


def _files_of(module: str) -> list[str]:
    """The module's own file and the packages above it that run code when it is imported."""
    parts = module.split(".")
    candidates = [Path(*parts).with_suffix(".py"), *(Path(*parts[:n], "__init__.py") for n in range(1, len(parts) + 1))]
    return [str(path) for path in candidates if (ROOT / path).is_file()]


def _is_bare_package(path: str) -> bool:
    if not path.endswith("__init__.py"):
        return False
    body = ast.parse((ROOT / path).read_text()).body
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)
