"""params.yaml into dataclasses; an unknown key is an error that lists the known ones."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from vultus.core.errors import UserError

D = TypeVar("D")


def load_params(path: Path | str = "params.yaml") -> dict[str, Any]:
    """Read a params file.

    Raises:
        UserError: the file is missing, is not YAML, or is not a mapping.
    """
    try:
        params = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the repository root, or copy params/smoke.yaml there") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML ({' '.join(str(error).split())}): correct that line") from None
    if not isinstance(params, dict):
        raise UserError(f"{path} must hold a mapping of sections, not {type(params).__name__}")
    return params


def subsection(params: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """The mapping at ``params[key][key]...``.

    Raises:
        UserError: a key is missing; names the keys that are there.
    """
    at: Any = params
    for depth, key in enumerate(keys):
        if not isinstance(at, Mapping) or key not in at:
            known = ", ".join(sorted(at)) if isinstance(at, Mapping) else "nothing"
            raise UserError(f"params.yaml has no section {'.'.join(keys[: depth + 1])!r}; there is: {known}")
        at = at[key]
    return dict(at or {})


def section(cls: type[D], values: Mapping[str, Any], name: str) -> D:
    """Load a mapping into the dataclass ``cls``; nested dataclasses and tuples are converted.

    Args:
        cls: a dataclass type whose defaults are the paper's values.
        values: the section's keys and values.
        name: dotted name of the section, for messages.

    Raises:
        UserError: an unknown key, a missing one without default, or a value of the wrong type.
    """
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise UserError(f"params.yaml: {name} has no key {unknown[0]!r}; known keys: {', '.join(fields)}")
    hints = get_type_hints(cls)
    given = {key: _convert(hints[key], value, f"{name}.{key}") for key, value in values.items()}
    missing = [
        key
        for key, field in fields.items()
        if key not in given and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise UserError(f"params.yaml: {name} needs the key {missing[0]!r}")
    try:
        return cls(**given)
    except ValueError as error:
        raise UserError(f"params.yaml: {name}: {error}") from None


def store_section(cls: type[D], params: Mapping[str, Any], store: str, dataset: str) -> tuple[Path, D]:
    """The section ``STORE.DATASET``: where the data set's media lie, and the store's settings.

    Args:
        cls: dataclass of the settings.
        params: the params file.
        store: key of the feature store, ``crops``.
        dataset: key of the data set.

    Raises:
        UserError: there is no such section, it names no root, or a setting is wrong.
    """
    name = f"{store}.{dataset}"
    values = subsection(params, store, dataset)
    if "root" not in values:
        raise UserError(f"params.yaml: {name} needs the key 'root', the same as datasets.{dataset}.root")
    return Path(values.pop("root")), section(cls, values, name)


def _convert(hint: Any, value: Any, name: str) -> Any:
    origin = get_origin(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise UserError(f"params.yaml: {name} must be a mapping, not {value!r}")
        return section(hint, value, name)
    if origin in (Union, types.UnionType):
        options = get_args(hint)
        if value is None and type(None) in options:
            return None
        for option in options:
            if option is not type(None):
                return _convert(option, value, name)
    if origin is typing.Literal:
        if value not in get_args(hint):
            raise UserError(
                f"params.yaml: {name} is {value!r}; it must be one of {', '.join(map(repr, get_args(hint)))}"
            )
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise UserError(f"params.yaml: {name} must be a list, not {value!r}")
        inner = get_args(hint)
        kinds = [inner[0]] * len(value) if len(inner) == 2 and inner[1] is Ellipsis else list(inner)
        if len(kinds) != len(value):
            raise UserError(f"params.yaml: {name} must have {len(kinds)} values, not {len(value)}")
        return tuple(
            _convert(kind, item, f"{name}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True))
        )
    if origin is dict:
        kind = get_args(hint)[1]
        return {key: _convert(kind, item, f"{name}.{key}") for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if (
        isinstance(hint, type)
        and hint is not Any
        and (not isinstance(value, hint) or (hint is int and isinstance(value, bool)))
    ):
        raise UserError(f"params.yaml: {name} must be {hint.__name__}, not {value!r}")
    return value
