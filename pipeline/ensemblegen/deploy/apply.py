"""The steps of a plan, done one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ensemblegen.deploy import plan, state, upload, wait
from ensemblegen.deploy.aws import Aws
from ensemblegen.deploy.plan import Step, Wait
from ensemblegen.deploy.state import State
from ensemblegen.deploy.upload import Upload
from ensemblegen.deploy.wait import Patience
from ensemblegen.deploy.wanted import Wanted
from ensemblegen.errors import EnsemblegenError, InputError, Problem


class Progress(Protocol):
    """Who is told what happens."""

    def step(self, number: int, of: int, step: Step) -> None: ...

    def sent(self, done: int, total: int) -> None: ...

    def status(self, status: str, seconds: float) -> None: ...

    def failed(self, error: EnsemblegenError) -> None: ...


@dataclass(frozen=True, slots=True)
class Cloud:
    """Where steps are done, how long is waited, and who is told."""

    aws: Aws
    patience: Patience
    progress: Progress


def deploy(cloud: Cloud, wanted: Wanted) -> tuple[Step, ...]:
    """Make what is wanted of what is there; returns what was done.

    What is under way is waited for first. Where somebody else changes the endpoint meanwhile, the
    next run finds out.
    """
    wait.settle(cloud.aws, wanted.endpoint, cloud.patience, cloud.progress.status)
    steps = plan.deploy(read(cloud.aws, wanted), wanted)
    for number, step in enumerate(steps, 1):
        cloud.progress.step(number, len(steps), step)
        _do(cloud, step)
    return steps


def read(aws: Aws, wanted: Wanted) -> State:
    """What is there; InputError where the role is known not to be."""
    require_role(aws, str(wanted.model["ExecutionRoleArn"]))
    return state.read(aws, wanted.endpoint, wanted.bucket, wanted.prefix)


def require_role(aws: Aws, arn: str) -> None:
    """Ask IAM for the role, as far as who is logged in may: SageMaker tells it later."""
    from ensemblegen.deploy.faults import TRUST
    from ensemblegen.errors import MachineError

    try:
        found = aws.known("iam", "get_role", RoleName=arn.rpartition("/")[2])
    except MachineError:
        return
    if found is None:
        raise InputError([Problem("E654", f"there is no role {arn}", hint=TRUST)])


def delete(cloud: Cloud, steps: Sequence[Step]) -> list[EnsemblegenError]:
    """Do what can be done: what one step fails at keeps no other from being done."""
    found: list[EnsemblegenError] = []
    for number, step in enumerate(steps, 1):
        cloud.progress.step(number, len(steps), step)
        try:
            _do(cloud, step)
        except EnsemblegenError as error:
            cloud.progress.failed(error)
            found.append(error)
    return found


def _do(cloud: Cloud, step: Step) -> None:
    if isinstance(step, Wait):
        wait.wait(cloud.aws, step, cloud.patience, cloud.progress.status)
    elif isinstance(step, Upload):
        upload.send(cloud.aws, step, cloud.progress.sent)
    elif step.operation.startswith(_REMOVING):
        # Somebody, or an earlier attempt at this very call, was faster.
        cloud.aws.known(step.service, step.operation, **step.parameters)
    else:
        cloud.aws.call(step)


_REMOVING = ("delete_", "deregister_", "abort_")
