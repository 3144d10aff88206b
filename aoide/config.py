"""Settings: frozen dataclasses <-> YAML, read strictly, and the errors that a user sees.

A configuration is a frozen dataclass beside the thing that it configures. A YAML file names only what differs from its
defaults; `build` checks every key and value against the dataclass and says what is wrong, in which file, at which key:

    recipes/tts/x.yaml: model.dmi: no such setting; did you mean dim?

`override` lays `key=value` words from the command line over a file. Everybody imports this module, so it imports
nothing that takes time: `dataclasses`, `typing`, `pathlib` and `yaml` are loaded by the functions that need them.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without the import of typing
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from types import ModuleType
    from typing import Any, TypeVar

    Configured = TypeVar("Configured")


class UserError(ValueError):
    """Something that the user can mend. The text is one line: what is wrong, where, and what to do."""


class MissingExtra(ImportError):  # noqa: N818  (it names what is missing, as ModuleNotFoundError's text does)
    """A package that comes with an extra is not installed; the text is the command that installs it.

    An extra that begins with `--no-deps` names packages of which only a file is read: what they ask for is not needed.
    """

    def __init__(self, module: str, extra: str) -> None:
        what = extra if extra.startswith("--no-deps ") else f"'aoide[{extra}]'"
        super().__init__(f"this needs {module}: pip install {what}", name=module)
        self.extra = extra


def require(module: str, extra: str) -> ModuleType:
    """Imports `module`; raises `MissingExtra` if it is not installed, and its own error if it is there but broken."""
    import importlib

    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise  # the package is there; something that it needs is not
        raise MissingExtra(module.partition(".")[0], extra) from None


def near(word: str, choices: Iterable[str]) -> str:
    """` did you mean x, y?` with the choices that look like `word`, best first; an empty string if none does."""
    import difflib

    by_lower = {str(choice).lower(): str(choice) for choice in choices}
    found = difflib.get_close_matches(str(word).lower(), by_lower, n=3, cutoff=0.55)
    return f" did you mean {', '.join(by_lower[name] for name in found)}?" if found else ""


# --------------------------------------------------------------------------------------------- dataclass <-> plain data


def build(cls: type[Configured], data: dict[str, Any] | None, where: str, path: str = "") -> Configured:
    """Makes a `cls` from plain data, strictly.

    Args:
        cls: a dataclass; its fields may be bool, int, float, str, Path, None, Any, Literal, unions, tuple, list, dict
            and dataclasses, nested as deep as you like.
        data: what YAML gave; None (a key with nothing behind it) means all defaults.
        where: the file, for the error.
        path: the keys that lead to `data` inside the file, for the error: "model.mel".

    An int is taken for a float, and so is the text "5e-4", which YAML 1.1 does not know as a number.

    Raises:
        UserError: an unknown key (names the near ones), a missing key, a value of the wrong type, or whatever
            `__post_init__` says with a ValueError.
    """
    import dataclasses
    import typing

    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise UserError(_at(where, path, f"expects settings (`name: value` lines), got {_show(data)}"))
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    for key in data:
        if key not in fields:
            guess = near(key, fields) or (f" the settings here are {', '.join(fields)}" if fields else " it has none")
            raise UserError(_at(where, _join(path, key), f"no such setting;{guess}"))
    hints = typing.get_type_hints(cls)
    values = {key: _convert(hints[key], value, where, _join(path, key)) for key, value in data.items()}
    for name, f in fields.items():
        if name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise UserError(_at(where, _join(path, name), "is missing, and it has no default"))
    try:
        return cls(**values)
    except ValueError as error:  # a check in __post_init__
        raise UserError(_at(where, path, str(error))) from None


def to_dict(config: Any) -> Any:
    """The inverse of `build`: dataclasses become dicts, tuples lists, paths text; all defaults are written out."""
    import dataclasses
    from pathlib import PurePath

    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {f.name: to_dict(getattr(config, f.name)) for f in dataclasses.fields(config) if f.init}
    if isinstance(config, dict):
        return {key: to_dict(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [to_dict(value) for value in config]
    if isinstance(config, PurePath):
        return str(config)
    return config


def _convert(kind: Any, value: Any, where: str, path: str) -> Any:
    """`value` as the type `kind` asks, or a UserError at `where`, `path`."""
    import dataclasses
    import types
    import typing

    if kind is typing.Any:
        return value
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        if any(value == choice and type(value) is type(choice) for choice in args):
            return value
        message = f"{_show(value)} is not one of {', '.join(map(str, args))}"
        guess = near(value, map(str, args)) if isinstance(value, str) else ""
        raise UserError(_at(where, path, f"{message};{guess}" if guess else message))
    if origin in (typing.Union, types.UnionType):
        return _convert_union(kind, args, value, where, path)
    if origin in (tuple, list) or kind in (tuple, list):
        return _convert_sequence(kind, value, where, path)
    if origin is dict or kind is dict:
        if not isinstance(value, dict):
            raise _mismatch(kind, value, where, path)
        of_key, of_value = args or (typing.Any, typing.Any)
        return {
            _convert(of_key, key, where, path): _convert(of_value, item, where, _join(path, key))
            for key, item in value.items()
        }
    if dataclasses.is_dataclass(kind):
        return value if isinstance(value, kind) else build(kind, value, where, path)  # type: ignore[arg-type]
    return _convert_scalar(kind, value, where, path)


def _convert_union(kind: Any, args: tuple[Any, ...], value: Any, where: str, path: str) -> Any:
    if value is None and type(None) in args:
        return None
    arms = [arm for arm in args if arm is not type(None)]
    for arm in arms:  # the arm of exactly this type first, so that 3 stays an int in `float | int`
        if type(value) is arm:
            return value
    errors = []
    for arm in arms:
        try:
            return _convert(arm, value, where, path)
        except UserError as error:
            errors.append(error)
    raise errors[0] if len(errors) == 1 else _mismatch(kind, value, where, path)


def _convert_sequence(kind: Any, value: Any, where: str, path: str) -> Any:
    import typing

    origin, args = typing.get_origin(kind) or kind, typing.get_args(kind)
    if not isinstance(value, (list, tuple)):
        raise _mismatch(kind, value, where, path)
    if origin is tuple and args and args[-1] is not Ellipsis:
        if len(value) != len(args):
            raise UserError(_at(where, path, f"expects {len(args)} values, got {len(value)}: {_show(value)}"))
        of_items: Sequence[Any] = args
    else:
        of_items = [args[0] if args else typing.Any] * len(value)
    pairs = enumerate(zip(of_items, value, strict=True))
    items = [_convert(of, item, where, f"{path}[{i}]") for i, (of, item) in pairs]
    return tuple(items) if origin is tuple else items


def _convert_scalar(kind: Any, value: Any, where: str, path: str) -> Any:
    from pathlib import Path

    if kind is None or kind is type(None):
        if value is None:
            return None
    elif kind is float:
        number = _number(value)
        if number is not None:
            return float(number)
    elif kind is int:
        number = _number(value)
        if number is not None and number == int(number):
            return int(number)
    elif kind is Path:
        if isinstance(value, (str, Path)):
            return Path(value)
    elif isinstance(kind, type) and isinstance(value, kind):
        return value
    raise _mismatch(kind, value, where, path)


def _number(value: Any) -> int | float | None:
    """A number, or text such as "5e-4" (YAML 1.1 reads it as text because it has no point); None for anything else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if value - value == 0 else None  # neither infinite nor NaN: no setting means those


def _mismatch(kind: Any, value: Any, where: str, path: str) -> UserError:
    hint = ""
    if kind is str and isinstance(value, (bool, int, float)):
        hint = "; put it in quotes"
    return UserError(_at(where, path, f"expects {_name(kind)}, got {_show(value)}{hint}"))


def _name(kind: Any) -> str:
    """A type in words: `a number or nothing`."""
    import types
    import typing
    from pathlib import Path

    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "nothing"}
    if kind in words:
        return words[kind]
    if kind is Path:
        return "a path"
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_name(arm) for arm in args)
    if origin is typing.Literal:
        return f"one of {', '.join(map(str, args))}"
    if origin in (tuple, list) or kind in (tuple, list):
        return f"a list of {_name(args[0])}" if args else "a list"
    return "settings (`name: value` lines)"


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _at(where: str, path: str, message: str) -> str:
    return ": ".join(part for part in (where, path, message) if part)


# ----------------------------------------------------------------------------------------------------------------- YAML


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a YAML file of settings.

    Raises:
        UserError: no such file, not a file, not text, not YAML, a key that stands twice, or not `name: value` lines.
    """
    from pathlib import Path

    try:
        text = Path(path).read_text("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder, not a YAML file") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file in UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    data = _parse_yaml(text, str(path))
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise UserError(f"{path}: expects settings (`name: value` lines), got {_show(data)}")
    return data


def write_yaml(path: str | os.PathLike[str], data: Any) -> None:
    """Writes plain data or a config as YAML, aside and then renamed; keys keep their order, plain lists one line."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Plain YAML with lists of plain values in brackets."""

    def represent_list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.Node:
        flat = not any(isinstance(item, (list, dict)) for item in items)
        return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=flat)

    Dumper.add_representer(list, represent_list)
    Dumper.ignore_aliases = lambda self, data: True  # type: ignore[method-assign]
    text = yaml.dump(to_dict(data), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
    with write_aside(path) as aside:
        aside.write_text(text, "utf-8")


def override(data: dict[str, Any], words: Iterable[str]) -> dict[str, Any]:
    """Lays `model.dim=256` words over settings and returns the result; `data` stays as it is. Values are YAML.

    Raises:
        UserError: a word that is not `key=value`, or a key below something that is not a group of settings.
    """
    import copy

    result = copy.deepcopy(data)
    for word in words:
        key, equals, text = word.partition("=")
        parts = key.split(".")
        if not equals or not all(part.isidentifier() for part in parts):
            raise UserError(f"{word!r} is not a setting; write it as key=value, for instance model.dim=256")
        group = result
        for i, part in enumerate(parts[:-1]):
            if group.get(part) is None:
                group[part] = {}
            group = group[part]
            if not isinstance(group, dict):
                raise UserError(f"{word!r}: {'.'.join(parts[: i + 1])} is {_show(group)}, not a group of settings")
        group[parts[-1]] = _parse_yaml(text, repr(word))
    return result


def _parse_yaml(text: str, where: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Safe YAML that refuses a key written twice, where PyYAML would silently take the last."""

    def construct_mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, (str, int, float)):
                raise UserError(f"{where}: line {line}: {_show(key)} cannot be the name of a setting")
            if key in result:
                raise UserError(f"{where}: line {line}: {key} stands twice")
            result[key] = loader.construct_object(value_node, deep=True)
        return result

    Loader.add_constructor("tag:yaml.org,2002:map", construct_mapping)
    try:
        return yaml.load(text, Loader=Loader)  # noqa: S506  (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise UserError(f"{where}: {line}not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{where}: not YAML: {str(error).splitlines()[0]}") from None


# ---------------------------------------------------------------------------------------------------------------- files


@contextmanager
def write_aside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a temporary path in the folder of `path`, which takes the place of `path` when the block ends well.

    So a reader sees the old file or the new one, never half of one. The temporary name keeps the ending of `path`,
    since many writers choose the format by it. A device such as /dev/stdout is written directly.

    Raises:
        UserError: no such folder, no permission, a folder in the place, or a full disk.
    """
    from pathlib import Path

    target = Path(path)
    if target.is_symlink():
        target = target.resolve()  # replace what the link points to, not the link
    if target.is_dir():
        raise UserError(f"{path}: is a folder; give the name of a file in it")
    if not target.parent.is_dir():
        raise UserError(f"{path}: there is no folder {target.parent}; make it first")
    if target.exists() and not target.is_file():
        yield target
        return
    aside = target.with_name(f".part-{os.getpid()}-{target.name}")
    try:
        yield aside
        os.replace(aside, target)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or (error.filename is not None and os.fspath(error.filename) == os.fspath(aside)):
            raise UserError(f"{path}: cannot be written: {error.strerror}") from None
        raise
    finally:
        aside.unlink(missing_ok=True)
