"""`ensemblegen deploy`: a packaged repository on Amazon SageMaker, with every call in the open."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ensemblegen.cli.options import FormatOption, PipelineOption, TargetModelOption, positive
from ensemblegen.cli.render import Format, console, print_json, stderr_console

if TYPE_CHECKING:
    from ensemblegen.client.interface import Interface
    from ensemblegen.deploy.apply import Cloud
    from ensemblegen.deploy.aws import Aws
    from ensemblegen.deploy.settings import Where
    from ensemblegen.deploy.state import State

app = typer.Typer(
    help="Amazon SageMaker: deploy an archive, ask for its state, invoke it, delete it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="A sagemaker.yaml; flags go before it.")
]
EndpointOption = Annotated[str | None, typer.Option(help="The endpoint's name.")]
RegionOption = Annotated[
    str | None, typer.Option(help="The region. [default: boto3's own, as from AWS_DEFAULT_REGION]")
]
BucketOption = Annotated[
    str | None, typer.Option(help="NAME or s3://NAME/PREFIX, where archives go.")
]
PlanOption = Annotated[
    bool, typer.Option("--plan", help="Print every call with its parameters; change nothing.")
]
PollOption = Annotated[
    float, typer.Option(help="Seconds between two looks at it.", callback=positive)
]
WaitOption = Annotated[
    float,
    typer.Option("--timeout", help="Seconds for it to be in service.", callback=positive),
]


@app.command()
def sagemaker(
    package: Annotated[
        Path, typer.Argument(help="model.tar.gz with sagemaker.json beside it, or their folder.")
    ],
    config: ConfigOption = None,
    endpoint: EndpointOption = None,
    role: Annotated[str | None, typer.Option(help="ARN of the role of its machines.")] = None,
    bucket: BucketOption = None,
    image: Annotated[str | None, typer.Option(help="The container's image in ECR.")] = None,
    region: RegionOption = None,
    instance_type: Annotated[str | None, typer.Option(help="Such as ml.g5.xlarge.")] = None,
    instance_count: Annotated[int | None, typer.Option(min=1, help="Machines.")] = None,
    plan: PlanOption = False,
    poll: PollOption = 15.0,
    timeout: WaitOption = 3600.0,
    format: FormatOption = Format.human,
) -> None:
    """Create an endpoint, or update it without downtime.

    Example: ensemblegen deploy sagemaker build/model.tar.gz --config sagemaker.yaml --plan

    What is there already is not made again: a run that was interrupted is finished by the next.
    Credentials are those that boto3 finds.
    """
    from ensemblegen.cli import deploy_text
    from ensemblegen.deploy import apply, packaged, wanted
    from ensemblegen.deploy import plan as plans
    from ensemblegen.deploy.aws import Aws
    from ensemblegen.deploy.settings import Flags, complete

    flags = Flags(endpoint, role, bucket, image, region, instance_type, instance_count)
    read = packaged.read(package)
    settings = complete(config, flags, read.target)
    want = wanted.make(settings, read)
    aws = Aws(settings.region)
    if plan:
        steps = plans.deploy(apply.read(aws, want), want)
        deploy_text.plan(steps, f"{want.endpoint} in {settings.region}", format)
        return
    with _explained(want.endpoint, format):
        done = apply.deploy(_cloud(aws, poll, timeout, format), want)
    if format is Format.json:
        told = {"endpoint": want.endpoint, "region": settings.region}
        print_json({"ok": True, **told, "calls": deploy_text.as_json(done)})
        return
    verb = "is in service" if done else "is as it should be: nothing was done"
    console().print(f"[bold]{want.endpoint}[/] {verb}")
    console().print(f"  {settings.instance_type}, billed until: ensemblegen deploy delete "
                    f"--endpoint {want.endpoint} --region {settings.region}")  # fmt: skip


@app.command()
def status(
    config: ConfigOption = None,
    endpoint: EndpointOption = None,
    region: RegionOption = None,
    bucket: BucketOption = None,
    format: FormatOption = Format.human,
) -> None:
    """What stands in the cloud of an endpoint, and what is left over.

    Example: ensemblegen deploy status --endpoint readability

    Exit code 1 if there is no endpoint in service.
    """
    from ensemblegen.cli import deploy_text
    from ensemblegen.deploy import status as statuses

    where, aws = _where(config, endpoint, region, bucket)
    told = statuses.report(aws, _read(aws, where))
    ready = told["status"] == "InService"
    if format is Format.json:
        print_json({"ok": ready, **told})
    else:
        deploy_text.status(told)
    if not ready:
        raise typer.Exit(1)


@app.command()
def invoke(
    repository: Annotated[
        Path, typer.Argument(help="The compiled repository: it says what is taken and answered.")
    ],
    input: Annotated[
        list[str], typer.Option("--input", "-i", help="name=value, or name=@file; once an input.")
    ],
    config: ConfigOption = None,
    endpoint: EndpointOption = None,
    region: RegionOption = None,
    pipeline: PipelineOption = None,
    target_model: TargetModelOption = None,
    format: FormatOption = Format.human,
) -> None:
    """Ask an endpoint once.

    Example: ensemblegen deploy invoke build/repository --endpoint readability -i excerpt=Hello
    """
    from ensemblegen.cli import deploy_text
    from ensemblegen.client.tensors import jsonable
    from ensemblegen.deploy import invoke as invoking

    interface, items = _row(repository, pipeline, input)
    where, aws = _where(config, endpoint, region, None)
    outputs = invoking.invoke(aws, where.endpoint, interface, items, target_model)
    told = {name: jsonable(array) for name, array in outputs.items()}
    if format is Format.json:
        print_json({"ok": True, "outputs": told})
    else:
        deploy_text.outputs(told)


@app.command()
def delete(
    config: ConfigOption = None,
    endpoint: EndpointOption = None,
    region: RegionOption = None,
    bucket: BucketOption = None,
    plan: PlanOption = False,
    poll: PollOption = 15.0,
    timeout: WaitOption = 3600.0,
    format: FormatOption = Format.human,
) -> None:
    """Remove an endpoint with all that was made for it, and say what remains.

    Example: ensemblegen deploy delete --endpoint readability

    Exit code 3 if something remains, or may: what cannot be looked at stops nothing. The logs of
    the container are kept.
    """
    from ensemblegen.cli import deploy_text
    from ensemblegen.deploy import apply
    from ensemblegen.deploy import plan as plans
    from ensemblegen.deploy import status as statuses

    where, aws = _where(config, endpoint, region, bucket)
    found = _read(aws, where, lenient=True)
    steps = plans.delete(found)
    if plan:
        deploy_text.plan(steps, f"{where.endpoint} in {where.region}", format)
        return
    errors = apply.delete(_cloud(aws, poll, timeout, format), steps)
    left = _read(aws, where, lenient=True)
    remains = [*statuses.leftovers(left), *left.unread]
    if left.endpoint is not None:
        remains.insert(0, f"endpoint {where.endpoint}: {left.endpoint.status}, and billed")
    known = left.bucket is not None or found.bucket is not None
    told = {"endpoint": where.endpoint, "removed": len(steps), "remains": remains,
            "archives_looked_for": known}  # fmt: skip
    if format is Format.json:
        print_json({"ok": not remains and not errors, **told})
    else:
        deploy_text.deleted(told)
    if remains or errors:
        raise typer.Exit(3)


def _where(
    config: Path | None, endpoint: str | None, region: str | None, bucket: str | None
) -> tuple[Where, Aws]:
    from ensemblegen.deploy.aws import Aws
    from ensemblegen.deploy.settings import Flags, where

    found = where(config, Flags(endpoint=endpoint, region=region, bucket=bucket))
    return found, Aws(found.region)


def _read(aws: Aws, where: Where, *, lenient: bool = False) -> State:
    from ensemblegen.deploy import state

    return state.read(aws, where.endpoint, where.bucket, where.prefix, lenient=lenient)


def _cloud(aws: Aws, poll: float, timeout: float, format: Format) -> Cloud:
    from ensemblegen.cli.deploy_text import Lines
    from ensemblegen.deploy.apply import Cloud
    from ensemblegen.deploy.wait import Patience

    out = None if format is Format.json else stderr_console()
    return Cloud(aws, Patience(poll, timeout), Lines(out))


@contextlib.contextmanager
def _explained(endpoint: str, format: Format) -> Iterator[None]:
    """Ctrl-C ends this command, and nothing in the cloud."""
    try:
        yield
    except KeyboardInterrupt:
        if format is Format.human:
            stderr_console().print(
                f"interrupted: '{endpoint}' goes on without us, and is billed. Run it again to "
                f"finish, or remove all: ensemblegen deploy delete --endpoint {endpoint}"
            )
        raise


def _row(
    repository: Path, pipeline: str | None, input: list[str]
) -> tuple[Interface, dict[str, Any]]:
    from ensemblegen import manifest
    from ensemblegen.client import rows
    from ensemblegen.client.interface import Interface
    from ensemblegen.client.tensors import arrays

    interface = Interface.of(manifest.read(repository).pipeline(pipeline))
    return interface, arrays(interface, rows.from_arguments(input))
