"""What `loadtest` loads: a server that it starts, one that runs, or an endpoint."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ensemblegen.bench import load, verify
from ensemblegen.bench.load import Load
from ensemblegen.bench.requests import build, payloads
from ensemblegen.bench.worker import Job
from ensemblegen.cli import bench_targets
from ensemblegen.client.address import address
from ensemblegen.client.interface import Protocol
from ensemblegen.deploy.settings import region
from ensemblegen.engine.locate import Choice
from ensemblegen.loadtest import callers, phases
from ensemblegen.loadtest.matrix import Configuration
from ensemblegen.loadtest.phases import Phase

_TRIED = 8


@dataclass(frozen=True)
class Sending:
    """Which rows are sent, and how a server is started for them."""

    input: str | None
    shapes: Mapping[str, tuple[int, ...]]
    seed: int
    engine: Choice
    server: Path | None
    timeout: float
    log_file: Path | None


@contextlib.contextmanager
def loaded(
    each: Configuration, plan: Sequence[Phase], sending: Sending, folder: Path
) -> Iterator[Load]:
    """A load of as many connections as the phases have users, silent still.

    `folder` is empty and goes with it. InputError where a request is refused before it begins.
    """
    users = phases.most(plan)
    opened = _invoked if each.sagemaker or each.endpoint else _triton
    with (
        opened(each, users, sending, folder) as job,
        Load(job, load.processes(users)) as running,
    ):
        yield running


@contextlib.contextmanager
def _triton(each: Configuration, users: int, sending: Sending, folder: Path) -> Iterator[Job]:
    """A Triton over HTTP, started for it unless one runs."""
    url = address(each.url) if each.url else None
    with bench_targets.opened(_wanted(each, sending, url), folder) as (targets, _):
        target = targets[0]
        made = payloads(target.interface, target.items, 1)
        verify.sizes(Protocol.http, target.address, target.interface, made[:_TRIED])
        requests = tuple(build(Protocol.http, target.interface, each) for each in made)
        yield Job(Protocol.http, target.address, (requests,) * users)


@contextlib.contextmanager
def _invoked(each: Configuration, users: int, sending: Sending, folder: Path) -> Iterator[Job]:
    """What speaks SageMaker's protocol: it does not say what it takes, and so the pipeline does."""
    interface, items = bench_targets.described(_wanted(each, sending, None), folder)
    if each.endpoint is not None:
        requests = callers.calls(interface, items)
        caller = callers.EndpointCaller(region(each.region), each.endpoint, each.target_model)
        job = Job(Protocol.http, "", (requests,) * users, caller=caller)
    else:
        place = address(str(each.sagemaker))
        requests = callers.invocations(interface, items, each.target_model)
        job = Job(Protocol.http, place, (requests,) * users)
    callers.require_answers(job, interface)
    yield job


def _wanted(each: Configuration, sending: Sending, url: str | None) -> bench_targets.Wanted:
    return bench_targets.Wanted(
        target=each.pipeline,
        url=url,
        model=each.model,
        input=sending.input,
        shapes=sending.shapes,
        seed=sending.seed,
        engine=sending.engine,
        server=sending.server,
        timeout=sending.timeout,
        log_file=sending.log_file,
    )
