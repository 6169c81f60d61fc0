"""The one way in which the embedded world compiles its inner loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile with numba: single-threaded, strict floating point (same input, same bits), cached on disk."""
    return cast(F, numba.njit(cache=True, error_model="numpy")(function))


def inlined(function: F) -> F:
    """As `compiled`, and written out where it is called: for small functions that take many arrays."""
    return cast(F, numba.njit(cache=True, error_model="numpy", inline="always")(function))
