"""Packages of Python distributions: installed ones, wheels, and tiny ones of a test's own."""

from __future__ import annotations

import base64
import hashlib
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from configparser import ConfigParser
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path, PurePosixPath

from tests.environments.conda_files import (
    PLACEHOLDER,
    Content,
    Files,
    Index,
    cache,
    cached,
    index_of,
    normal,
    publish,
    run,
)

_OF_INSTALLERS = {"INSTALLER", "REQUESTED", "RECORD", "direct_url.json"}


@dataclass(frozen=True, slots=True)
class Noarch:
    """A package of pure Python; `modules` are sources by the dotted name of the module."""

    name: str
    version: str
    depends: tuple[str, ...] = ()
    modules: Mapping[str, str] = field(default_factory=dict)


def distribution(requirement: str, minor: str) -> Path:
    """The folder in the cache of the package made of a distribution, installed here or PyPI's.

    Its bytes are the same either way.
    """
    name, _, version = requirement.partition("==")
    installed = _installed(name, version)
    version = version or (installed.version if installed else "")
    tag = f"py{minor.replace('.', '')}_0"
    if not version:
        wheel = download(name, minor)
        version = wheel.name.split("-")[1]
    index = index_of(normal(name), version, tag, [f"python {minor}.*"])
    here = f"{sys.version_info.major}.{sys.version_info.minor}" == minor

    def files() -> Files:
        found = _of_installed(installed) if here and installed else None
        if found is None:
            found = _of_wheel(download(f"{name}=={version}", minor))
        return _in_site_packages(found, minor)

    return cached([index], index, files)


def _installed(name: str, version: str) -> metadata.Distribution | None:
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    return found if version in ("", found.version) else None


def _of_installed(distribution: metadata.Distribution) -> dict[str, bytes] | None:
    """Its files by their names in site-packages; None where some stand elsewhere."""
    found = {}
    scripts = {each.name for each in distribution.entry_points if each.group == "console_scripts"}
    for path in distribution.files or ():
        if path.parts[0] == "..":
            if path.name not in scripts:
                return None
        elif path.suffix != ".pyc":
            place = Path(str(path.locate()))
            if not place.is_file():
                return None
            found[path.as_posix()] = place.read_bytes()
    return found or None


def _of_wheel(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        names = [each.filename for each in archive.infolist() if not each.is_dir()]
        if odd := [name for name in names if name.split("/")[0].endswith(".data")]:
            raise ValueError(f"{wheel.name} has files beside its modules: {odd[0]}")
        return {name: archive.read(name) for name in names}


def _in_site_packages(found: Mapping[str, bytes], minor: str) -> Files:
    """As conda installs them: with scripts, and a RECORD of its own."""
    place = f"lib/python{minor}/site-packages"
    home = next(name.split("/")[0] for name in found if name.endswith(".dist-info/METADATA"))
    kept = {
        name: data
        for name, data in found.items()
        if not name.endswith(".pyc")
        and not (name.startswith(f"{home}/") and PurePosixPath(name).name in _OF_INSTALLERS)
    }
    kept[f"{home}/INSTALLER"] = b"conda"
    kept[f"{home}/RECORD"] = _record(kept, f"{home}/RECORD")
    files = {f"{place}/{name}": Content(data) for name, data in kept.items()}
    points = ConfigParser(delimiters="=")
    points.optionxform = str  # type: ignore[assignment,method-assign]
    points.read_string(kept.get(f"{home}/entry_points.txt", b"").decode())
    for script, target in points["console_scripts"].items() if "console_scripts" in points else ():
        module, _, function = target.partition(":")
        source = (
            f"#!{PLACEHOLDER}/bin/python{minor}\nimport sys\n\nfrom {module} import {function}\n\n"
            f'if __name__ == "__main__":\n    sys.exit({function}())\n'
        )
        files[f"bin/{script}"] = Content(source.encode(), executable=True)
    return files


def download(requirement: str, minor: str) -> Path:
    """The wheel, from the cache or through pip, whose settings say where from."""
    store = cache() / "wheels" / f"{requirement}-py{minor}"
    if not store.is_dir():
        with tempfile.TemporaryDirectory(dir=cache()) as work:
            run([
                sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work,
                "--only-binary", ":all:", "--python-version", minor, "--implementation", "cp",
                "--platform", "manylinux2014_x86_64", requirement,
            ])  # fmt: skip
            publish(Path(work), store)
    return next(store.glob("*.whl"))


def noarch(package: Noarch) -> tuple[Index, Files]:
    depends = package.depends
    if not any(each.split()[0] == "python" for each in depends):
        depends = ("python", *depends)
    index = index_of(normal(package.name), package.version, "py_0", depends)
    index |= {"arch": None, "platform": None, "subdir": "noarch", "noarch": "python"}
    home = f"{package.name.replace('-', '_')}-{package.version}.dist-info"
    head = f"Metadata-Version: 2.1\nName: {package.name}\nVersion: {package.version}\n"
    data = {
        _module_file(module, package.modules): text.encode()
        for module, text in package.modules.items()
    }
    data |= {f"{home}/METADATA": head.encode(), f"{home}/INSTALLER": b"conda"}
    data[f"{home}/RECORD"] = _record(data, f"{home}/RECORD")
    return index, {f"site-packages/{name}": Content(each) for name, each in data.items()}


def _module_file(module: str, modules: Iterable[str]) -> str:
    """A module that others are below is a package."""
    place = module.replace(".", "/")
    is_package = any(other.startswith(f"{module}.") for other in modules)
    return f"{place}/__init__.py" if is_package else f"{place}.py"


def _record(files: Mapping[str, bytes], own: str) -> bytes:
    """As wheels have it: each file's hash and size; its own line has neither."""
    lines = [f"{own},,\n"]
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(data)}\n")
    return "".join(sorted(lines)).encode()
