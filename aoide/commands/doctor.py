"""Tell what is installed, what is missing, and the command that mends it.

  aoide doctor

The exit status is 0 when speaking works, 1 when something that it needs is missing or broken.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import re
import sys
from collections.abc import Iterator
from importlib import metadata

from aoide.config import UserError
from aoide.version import __version__

CORE = {
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "pyyaml": "yaml",
    "soundfile": "soundfile",
    "soxr": "soxr",
    "tqdm": "tqdm",
}
"""Package -> module, of what speaking needs."""


def parser(parser: argparse.ArgumentParser) -> None:
    """Takes no arguments."""


def run(options: argparse.Namespace) -> int:
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    print(f"Aoide {__version__}, Python {platform.python_version()}, {machine}")
    broken = list(_core())
    voices_work = _voices() if not broken else False
    _extras()
    _device()
    if broken:
        print(f"\nspeaking does not work; mend it with: pip install {' '.join(broken)}")
    elif not voices_work:
        print(f"\nspeaking does not work; mend it with: {_install('--force-reinstall --no-deps ')}")
    else:
        print('\nspeaking works: aoide say "Any input becomes sound." -o hello.wav')
    return 0 if voices_work else 1


def _core() -> Iterator[str]:
    """Prints the core packages and yields those that do not import."""
    print("\ncore")
    for package, module in CORE.items():
        try:
            importlib.import_module(module)
        except Exception as error:  # a package that is there but broken may raise anything
            print(f"  {package:12} {'missing' if isinstance(error, ModuleNotFoundError) else f'broken: {error}'}")
            yield package
        else:
            print(f"  {package:12} {_version(package)}")


def _voices() -> bool:
    """Loads each voice of the package; says whether there is one and all of them work."""
    from aoide import voices
    from aoide.generate.runtime import Runtime

    print("\nvoices")
    works = bool(voices.names())
    for name in voices.names():
        try:
            about = Runtime(voices.find(name)).description
            print(f"  {name:12} {about.language}, {about.sample_rate / 1000:g} kHz, {about.licence}")
        except UserError as error:
            print(f"  {name:12} broken: {error}")
            works = False
    if not voices.names():
        print("  none came with this package")
    return works


def _extras() -> None:
    """Prints each extra with what is missing of it and the command that brings it."""
    print("\nextras")
    for extra, packages in sorted(_requirements().items()):
        missing = [package for package in packages if _version(package) is None]
        if missing:
            print(f"  {extra:12} missing {', '.join(missing)}: {_install('', extra)}")
        else:
            print(f"  {extra:12} installed")


def _requirements() -> dict[str, list[str]]:
    """Extra -> the packages that it brings itself, from the metadata of the installed Aoide."""
    extras: dict[str, list[str]] = {}
    try:
        lines = metadata.requires("aoide") or []
    except metadata.PackageNotFoundError:  # a copied source tree: nothing is known about its extras
        return {}
    for line in lines:
        package = re.match(r"[\w.-]+", line)
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", line)
        if package and extra and package[0] != "aoide":
            extras.setdefault(extra[1], []).append(package[0])
    return extras


def _device() -> None:
    """Prints what torch would compute on."""
    print("\ndevice")
    if _version("torch") is None:
        print(f"  processor (torch is not installed; training needs it: {_install('', 'train')})")
        return
    try:
        import torch
    except Exception as error:  # a broken torch may raise anything
        print(f"  torch is broken: {error}")
        return
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(index)
            print(f"  {about.name}, {about.total_memory / 2**30:.0f} GiB, torch {torch.__version__}")
    else:
        print(f"  processor, torch {torch.__version__}: no GPU that it can use")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _install(options: str = "", extra: str = "") -> str:
    """The pip command for this installation: from the source folder where it was installed from one."""
    import json

    python = "pip" if sys.prefix != sys.base_prefix else f"{os.path.basename(sys.executable)} -m pip"
    brackets = f"[{extra}]" if extra else ""
    try:
        origin = json.loads(metadata.distribution("aoide").read_text("direct_url.json") or "{}")
    except metadata.PackageNotFoundError:
        origin = {}
    folder = origin.get("url", "").removeprefix("file://")
    if origin.get("dir_info", {}).get("editable"):
        return f"{python} install {options}-e '{folder}{brackets}'"
    return f"{python} install {options}'{folder or 'aoide'}{brackets}'"
