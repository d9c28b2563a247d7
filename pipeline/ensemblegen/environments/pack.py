"""Put an environment into one archive that Triton reads: conda-pack's, faster and reproducible.

conda-pack knows what a relocated environment needs: files without their prefix, shebangs, activate
scripts, conda-unpack. What it hands over is brought into one form here, so that the same packages
give the same bytes wherever they were installed.
"""

from __future__ import annotations

import filecmp
import json
import os
import posixpath
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ensemblegen.environments import normal_form, tarball
from ensemblegen.environments.faults import Fault
from ensemblegen.environments.normal_form import PLACEHOLDER, Digest
from ensemblegen.environments.progress import Event, Report
from ensemblegen.environments.tarball import Tarball

_CLASH = "name them below `dependencies`, not below `pip`, or the other way round"
_STEPS = 200  # of progress: more than anybody sees
_META = "conda-meta/"
_LARGE = 1 << 20


def pack_conda(prefix: Path, archive: Path, extra: Mapping[str, bytes], report: Report) -> None:
    """Write the conda environment `prefix` and the files `extra` to the new file `archive`.

    `extra` is by path in the environment, and replaces what the environment has there.
    Raises Fault: clash, editable, access, space, archive, tool.
    """
    with tarball.refusals(archive), _conda_pack_faults():
        files = [each for each in _conda_files(prefix) if each.target not in extra]
        _check_overwritten(prefix, files)
        progress = _Progress([Path(each.source) for each in files], report)
        with tarball.create(archive) as out:
            _write_extra(out, extra)
            sink = _Sink(out, prefix)
            _pass_through(files, sink, progress)
            sink.finish()


def pack_folder(folder: Path, archive: Path, extra: Mapping[str, bytes], report: Report) -> None:
    """Write all of `folder` and `extra` to `archive`, for environments that are not conda's.

    Links may lead to a Python of the server; otherwise as `pack_conda`.
    """
    with tarball.refusals(archive):
        paths = [each for each in _walk(folder) if each not in extra]
        progress = _Progress([folder / each for each in paths], report)
    with tarball.create(archive) as out:
        _write_extra(out, extra)
        sink = _Sink(out, folder, foreign=True)
        for path in paths:
            sink.add(str(folder / path), path)
            progress.passed(folder / path)
        sink.finish()


def _write_extra(out: Tarball, extra: Mapping[str, bytes]) -> None:
    """First, so that who looks for the marker need not unpack the rest."""
    for name in sorted(extra):
        out.file(name, extra[name])


def _walk(folder: Path) -> list[str]:
    """Files, links and empty folders by their paths, sorted."""
    found = []
    for place, folders, names in os.walk(folder):
        inner = os.path.relpath(place, folder)
        above = "" if inner == "." else f"{inner}/"
        links = [each for each in folders if Path(place, each).is_symlink()]
        found += [above + each for each in (*names, *links)]
        if above and not (names or folders):
            found.append(above[:-1])
    return sorted(each for each in found if not normal_form.is_dropped(each))


# conda-pack ---------------------------------------------------------------------------------


def _conda_files(prefix: Path) -> list[Any]:
    """conda-pack's list of files, sorted, each target once."""
    from conda_pack.core import CondaEnv, File  # type: ignore[import-untyped]

    try:
        found = CondaEnv.from_prefix(str(prefix), on_missing_cache="raise").files
    except (KeyError, ValueError) as error:  # it takes the files of conda-meta for good
        raise Fault("archive", f"{prefix / _META} is damaged: {error!r}") from error
    files: dict[str, Any] = {}
    for each in found:
        if normal_form.is_dropped(each.target):
            continue
        if each.target in files:  # of two packages: the one that was installed last
            installed = str(prefix / each.target)
            each = File(installed, each.target, is_conda=False, file_mode="unknown")  # noqa: PLW2901
        files[each.target] = each
    return [files[target] for target in sorted(files)]


@contextmanager
def _conda_pack_faults() -> Iterator[None]:
    try:
        from conda_pack.core import CondaPackException
    except ImportError:
        hint = "install `ensemblegen[environments]`"
        raise Fault("tool", "packing needs the Python package conda-pack", hint) from None
    try:
        yield
    except CondaPackException as error:
        raise _translated(str(error)) from error


def _translated(text: str) -> Fault:
    """conda-pack tells its failures apart by their words alone."""
    listed = [each[2:] for each in text.splitlines() if each.startswith("- ")]
    named = "\n".join(each.rstrip(":") for each in listed)
    if "deleted/overwritten" in text:
        return Fault("clash", f"pip replaced files of conda packages:\n{named}", _CLASH)
    if "editable" in text:
        hint = "install them from a wheel or an index"
        return Fault("editable", f"editable packages cannot be packed:\n{named}", hint)
    if "package cache" in text:
        hint = "build again, and do not clean the cache meanwhile"
        return Fault("access", f"packages are gone from the package cache:\n{named}", hint)
    return Fault("archive", text)


def _check_overwritten(prefix: Path, files: Sequence[Any]) -> None:
    """conda-pack sees only files that are gone, and would pack conda's where pip's was installed.

    Files that installing changes, because they hold the prefix, cannot be told.
    """
    differing = {
        each.target
        for each in files
        if each.is_conda and each.file_mode is None and _differs(each, prefix / each.target)
    }
    if not differing:
        return
    names = []
    for path in sorted((prefix / "conda-meta").glob("*.json")):
        meta = json.loads(path.read_bytes())
        if theirs := sorted(differing.intersection(meta.get("files", ()))):
            names.append(f"{meta['name']} {meta['version']} ({theirs[0]})")
    shown = "\n".join(names)
    raise Fault("clash", f"files of conda packages were changed after installing:\n{shown}", _CLASH)


def _is_library(file: Any) -> bool:
    """Large ones of pip's, which conda-pack would read into memory and pass on as they are."""
    path = Path(file.source)
    if file.file_mode != "unknown" or path.is_symlink() or path.lstat().st_size < _LARGE:
        return False
    with path.open("rb") as opened:
        return opened.read(4) == b"\x7fELF"


def _differs(file: Any, installed: Path) -> bool:
    source = Path(file.source)
    if source == installed or source.is_symlink():
        return False
    return not (source.samefile(installed) or filecmp.cmp(source, installed, shallow=False))


def _pass_through(files: Sequence[Any], sink: _Sink, progress: _Progress) -> None:
    """Through conda-pack's packer, which writes its own scripts at the end."""
    from conda_pack.core import Packer

    packer = Packer(sink.prefix, sink)
    for each in files:
        sink.placeholder = (each.prefix_placeholder or "").encode()
        if each.target.startswith(_META) or _is_library(each):
            sink.add(each.source, each.target)
        else:
            packer.add(each)
        progress.passed(Path(each.source))
    sink.placeholder = b""
    # conda-pack lists every text of pip's: only those that hold the prefix are for conda-unpack.
    packer.prefixes = [
        (target, PLACEHOLDER if placeholder == sink.prefix else placeholder, mode)
        for target, placeholder, mode in packer.prefixes
        if placeholder != sink.prefix or target in sink.holding
    ]
    packer.finish()


# What is written ----------------------------------------------------------------------------


class _Sink:
    """conda-pack's archive: takes files and bytes, writes their normal form.

    Lists of hashes wait until all that they list is known.
    """

    def __init__(self, out: Tarball, prefix: Path, *, foreign: bool = False) -> None:
        self.prefix = os.path.abspath(prefix)  # noqa: PTH100 - as conda-pack spells it
        self.placeholder = b""
        self.holding: set[str] = set()
        self._out = out
        self._foreign = foreign
        spellings = {os.fsencode(self.prefix), os.fsencode(os.path.realpath(prefix))}
        self._prefixes = tuple(sorted(spellings, key=len, reverse=True))
        self._changed: dict[str, Digest] = {}
        self._dropped: set[str] = set()
        self._waiting: dict[str, bytes] = {}

    def add(self, source: str, target: str) -> None:
        """A file, link or empty folder as it is on the disk."""
        status = os.lstat(source)
        if stat.S_ISLNK(status.st_mode):
            self._link(Path(source), target)
        elif stat.S_ISDIR(status.st_mode):
            self._out.folder(target)
        elif not stat.S_ISREG(status.st_mode):
            raise Fault("archive", f"{target} is neither a file nor a folder nor a link")
        elif _is_list(target) or self._foreign:
            self.add_bytes(source, Path(source).read_bytes(), target)
        else:
            self._out.copy(target, Path(source))

    def add_bytes(self, source: str, data: bytes, target: str) -> None:
        """A file of other content than `source`, and of its mode."""
        if _is_list(target):
            self._waiting[target] = data
            return
        if target.endswith(".dist-info/direct_url.json") and normal_form.names_local_file(data):
            self._dropped.add(target)
            return
        ours = (*self._prefixes, self.placeholder) if self.placeholder else self._prefixes
        normal = normal_form.text(target, data, ours, foreign=self._foreign)
        if PLACEHOLDER.encode() in normal:
            self.holding.add(target)
        # conda-pack changed shebangs already: of scripts, what is written is what counts.
        if normal is not data or target.startswith("bin/"):
            self._changed[target] = normal_form.digest(normal)
        executable = bool(os.stat(source).st_mode & 0o111)  # noqa: PTH116 - conda-pack's path
        self._out.file(target, normal, executable=executable)

    def finish(self) -> None:
        """Write what waited, in order."""
        for target in sorted(self._waiting):
            data = self._waiting[target]
            if target == f"{_META}history":
                data = b""  # has the time of each command; conda wants the file
            elif target.startswith(_META):
                data = normal_form.conda_meta(data, self._dropped, self._changed)
            else:
                data = normal_form.text(target, data, self._prefixes)
                data = normal_form.record(target, data, self._dropped, self._changed)
            self._out.file(target, data)

    def _link(self, source: Path, target: str) -> None:
        """Only what stays inside is of use elsewhere: other links are left out."""
        leads = str(source.readlink())
        for prefix in map(os.fsdecode, self._prefixes):
            if leads.startswith(prefix + "/"):
                leads = posixpath.relpath(leads[len(prefix) + 1 :], posixpath.dirname(target))
        reached = posixpath.normpath(posixpath.join(posixpath.dirname(target), leads))
        if not reached.startswith(("/", "../")):
            self._out.link(target, leads)
        elif target.startswith("bin/python"):
            self._python_elsewhere(target, leads)
        else:
            self._dropped.add(target)

    def _python_elsewhere(self, target: str, leads: str) -> None:
        """A thin environment's Python is the server's, by an absolute path."""
        if not self._foreign:
            raise Fault("archive", f"{target} leads out of the environment, to {leads}")
        self._out.link(target, leads)


def _is_list(target: str) -> bool:
    return target.endswith(".dist-info/RECORD") or (
        target.startswith(_META) and target.endswith((".json", "history"))
    )


class _Progress:
    """Bytes packed, told at most `_STEPS` times."""

    def __init__(self, sources: Sequence[Path], report: Report) -> None:
        self._report = report
        self._total = sum(each.lstat().st_size for each in sources)
        self._done = self._told = 0
        report(Event("pack", 0, self._total, "bytes"))

    def passed(self, source: Path) -> None:
        self._done += source.lstat().st_size
        if self._done - self._told > self._total / _STEPS or self._done == self._total:
            self._told = self._done
            self._report(Event("pack", self._done, self._total, "bytes"))
