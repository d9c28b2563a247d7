"""What the server would say of a model repository, and what it would not say but do.

One module a question. A rule is asked about one model, with the repository around it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from ensemblegen.check.repository import layout
from ensemblegen.check.repository.agents import agents
from ensemblegen.check.repository.batch_io import batch_io
from ensemblegen.check.repository.batching import batching
from ensemblegen.check.repository.caching import caching, labels
from ensemblegen.check.repository.decoupled import decoupled
from ensemblegen.check.repository.dynamic import dynamic
from ensemblegen.check.repository.environment import environment
from ensemblegen.check.repository.fil import fil
from ensemblegen.check.repository.fil_parameters import fil_parameters
from ensemblegen.check.repository.files import files
from ensemblegen.check.repository.instances import instances
from ensemblegen.check.repository.libtorch import libtorch
from ensemblegen.check.repository.members import members
from ensemblegen.check.repository.onnx import onnx
from ensemblegen.check.repository.optional import optional
from ensemblegen.check.repository.pairs import pairs
from ensemblegen.check.repository.python_calls import python_calls
from ensemblegen.check.repository.python_source import python_source
from ensemblegen.check.repository.queues import queues
from ensemblegen.check.repository.rates import rates
from ensemblegen.check.repository.repeats import repeats
from ensemblegen.check.repository.rings import rings
from ensemblegen.check.repository.scheduling import scheduling
from ensemblegen.check.repository.sequences import sequences
from ensemblegen.check.repository.squeezed import squeezed
from ensemblegen.check.repository.subsets import subsets
from ensemblegen.check.repository.tensors import tensors
from ensemblegen.check.repository.types import types
from ensemblegen.check.repository.warmup import warmup
from ensemblegen.check.repository.wiring import wiring
from ensemblegen.errors import Problem
from ensemblegen.repository.model import Model, Repository

Rule = Callable[[Model, Repository], Iterable[Problem]]

RULES: tuple[Rule, ...] = (
    scheduling,
    repeats,
    rings,
    wiring,
    members,
    types,
    batching,
    optional,
    decoupled,
    subsets,
    queues,
    layout.name,
    layout.versions,
    pairs,
    tensors,
    dynamic,
    batch_io,
    sequences,
    instances,
    rates,
    environment,
    warmup,
    caching,
    agents,
    labels,
    files,
    libtorch,
    fil_parameters,
    fil,
    squeezed,
    onnx,
    python_source,
    python_calls,
)


def run(repository: Repository) -> list[Problem]:
    """Ask every rule about every model; each looks only at what stands."""
    found: list[Problem] = []
    for model in repository.examined():
        problems = list(model.config.problems if model.config else ())
        for rule in RULES:
            problems += _asked(rule, model, repository)
        found += map(_unmended, problems) if _muddled(model) else problems
    return found


def _asked(rule: Rule, model: Model, repository: Repository) -> Iterator[Problem]:
    """What a rule finds, up to a file that cannot be looked at: its name is too long, say."""
    with contextlib.suppress(OSError):
        yield from rule(model, repository)


def _muddled(model: Model) -> bool:
    """Whether parts of the config cannot be read: where an edit would come to stand is a guess."""
    config = model.config
    return config is not None and (
        config.broken
        or any(each.code in ("E120", "E121") and not each.fix for each in config.problems)
    )


def _unmended(problem: Problem) -> Problem:
    return replace(problem, fix=None) if problem.fix and problem.fix.edits else problem
