"""Faults in the words of who finds them, as located problems or as faults of the machine."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator

from ensemblegen.environments import conda, secrets
from ensemblegen.environments.declared import Declared
from ensemblegen.environments.faults import Fault, FaultKind
from ensemblegen.errors import InputError, MachineError, Problem, Span

_CODES: dict[FaultKind, str] = {
    "unsolvable": "E526",
    "channel": "E527",
    "hash": "E528",
    "clash": "E529",
    "editable": "E529",
    "verify": "E530",
    "archive": "E531",
}
"""Faults of what the author wrote; the others are the machine's."""

_TITLES: dict[FaultKind, str] = {
    "unsolvable": "no set of packages fits environment '{name}'",
    "channel": "environment '{name}' has a channel that is not usable",
    "hash": "a package of environment '{name}' is not the one that was locked",
    "clash": "environment '{name}' has files that pip and conda both write",
    "editable": "environment '{name}' has a package that cannot be packed",
    "verify": "environment '{name}' is not what the server needs",
    "archive": "environment '{name}' is an archive that the server cannot use",
    "network": "environment '{name}' needs the network",
    "space": "there is no room for environment '{name}'",
    "access": "environment '{name}' cannot be built",
    "tool": "environment '{name}' cannot be built",
    "crash": "environment '{name}' could not be built",
}
_HINTS: dict[FaultKind, str] = {
    "unsolvable": "loosen one of the specs that it names",
    "channel": "correct `channels`: a name such as conda-forge, a URL, or a path",
    "hash": "run `ensemblegen env lock --renew` if the package was replaced on purpose",
    "clash": "move the package to `dependencies`, so that conda installs it",
    "editable": "install it from an index, or from a wheel: `name @ file:///...whl`",
    "verify": "correct the packages of the environment, or what `imports` names",
    "archive": "make it with conda-pack, or let ensemblegen build the environment from a file",
    "network": "try again, or --offline where packages and lock are on this machine",
    "space": "free some disk space, or set ENSEMBLEGEN_CACHE to a folder with more",
}


@contextlib.contextmanager
def told(declared: Declared, profile: str = "") -> Iterator[None]:
    """Turn a Fault about `declared` into InputError, at the spec it names, or MachineError.

    `profile` says for which server packages are chosen.
    """
    try:
        yield
    except Fault as fault:
        raise _error(fault, declared, profile) from fault
    except OSError as error:
        kind: FaultKind = "space" if error.errno == errno.ENOSPC else "access"
        raise _error(Fault(kind, str(error)), declared) from error


def problem(fault: Fault, declared: Declared, profile: str = "") -> Problem:
    """For a fault of what the author wrote."""
    title = _TITLES[fault.kind].format(name=declared.name)
    if profile and fault.kind == "unsolvable":
        title += f" for {profile}"
    hint = fault.hint or _HINTS.get(fault.kind)
    span = _span(fault, declared)
    return Problem(_CODES[fault.kind], _said(title, fault.text), span, hint)


def _error(fault: Fault, declared: Declared, profile: str = "") -> InputError | MachineError:
    if fault.kind in _CODES:
        return InputError([problem(fault, declared, profile)])
    title = _TITLES[fault.kind].format(name=declared.name)
    return MachineError(_said(title, fault.text), fault.hint or _HINTS.get(fault.kind))


def _said(title: str, text: str) -> str:
    """A solver draws trees, which start on a line of their own; tools may print whole URLs."""
    text = secrets.masked(text.strip())
    return f"{title}:\n{text}" if "\n" in text else f"{title}: {text}"


def _span(fault: Fault, declared: Declared) -> Span | None:
    """The channel or package that the fault's words speak of."""
    package = _named(fault.text, declared)
    if fault.kind == "channel" and declared.document is not None and package is None:
        for number, channel in enumerate(declared.channels):
            if any(each in fault.text for each in conda.channels(channel)):
                return declared.document.span(("channels", number))
    if fault.kind == "verify" and declared.document is not None:
        for number, module in enumerate(declared.imports):
            if fault.text.startswith(f"{module} "):
                return declared.document.span(("imports", number))
    return declared.span(package)


def _named(text: str, declared: Declared) -> str | None:
    """The first package of the file that the solver's own words speak of, or the name of a file of
    one: `numpy-1.26.4-0.conda`.
    """
    places = {
        each.name: found.start()
        for each in declared.requirements
        if (found := re.search(rf"(?<![\w.-]){re.escape(each.name)}(?!\w|-\D)", _plain(text)))
    }
    return min(places, key=lambda name: places[name]) if places else None


def _plain(text: str) -> str:
    return text.lower().replace("_", "-")
