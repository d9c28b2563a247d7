"""A model that is there already: in another repository, or on a server that runs.

Nothing is made of it. Its config says what goes in and comes out, and the ensemble names it.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from ensemblegen.artifacts import served
from ensemblegen.errors import InputError, did_you_mean
from ensemblegen.members.backend import Backend
from ensemblegen.members.existing import Deployed
from ensemblegen.members.kind import Borrowing, Member, Memory, Port, Signature, Site
from ensemblegen.pbtxt import read as pbtxt
from ensemblegen.spec import StepInput, StepSpec
from ensemblegen.targets import Target
from ensemblegen.types import DType, Tensor
from ensemblegen.words import ModelName, Place, TensorName, Word, filled, from_
from ensemblegen.words import Path as PathWord

_UNKNOWN_FIELD = "E122"


def _address(text: str) -> str:
    if served.is_address(text):
        return text
    words = "must be http://HOST:8000 or grpc://HOST:8001, not {text}"
    raise PydanticCustomError("text", words, {"text": repr(text)})


class DeployedSpec(StepSpec):
    """A model that is there already, and where its config is read."""

    kind = "deployed"

    deployed: ModelName = Field(description="What the model is called where it is.")
    repository: PathWord | None = Field(
        None, description="The model repository that holds it; served beside the compiled one."
    )
    server: Annotated[Word, AfterValidator(filled), AfterValidator(_address)] | None = Field(
        None, description="A Triton that serves it: http://HOST:8000 or grpc://HOST:8001."
    )
    inputs: dict[TensorName, Annotated[StepInput, BeforeValidator(from_)]] = Field(min_length=1)

    @model_validator(mode="after")
    def _one(self) -> DeployedSpec:
        if (self.repository is None) == (self.server is None):
            raise PydanticCustomError("text", "needs a repository or a server, one of the two", {})
        return self


class DeployedModel(Borrowing):
    word = "deployed"
    spec = DeployedSpec

    def read(self, step: DeployedSpec, site: Site) -> Signature | None:
        if step.model is not None:
            message = f"step '{site.name}' runs a model that has its name already"
            site.key_problem("E517", message, "model", hint="remove model")
        config = _of_repository(step, site) if step.repository else _of_server(step, site)
        if config is None:
            return None
        if not config.input or not config.output:
            text = f"the config of '{step.deployed}' does not say what goes in and comes out"
            hint = "a server knows more: `server: http://HOST:8000`; or complete its config.pbtxt"
            site.problem("E497", text, "deployed", hint=hint)
            return None
        inputs = {
            each.name: Port(each.name, each.name, _tensor(each), required=not each.optional)
            for each in config.input
        }
        outputs = {each.name: Port(each.name, each.name, _tensor(each)) for each in config.output}
        repository = site.folder / step.repository if step.repository else None
        found = Deployed(step.deployed, config, repository, step.server)
        return Signature(inputs, outputs, found)

    def model_of(self, step: DeployedSpec, site: Site) -> str:
        return step.deployed

    def memory(self, member: Member, device: Place, target: Target, *, writes: bool) -> Memory:
        if not member.backend:
            return Memory("open", "it is an ensemble, or its backend is not said")
        return Backend().memory(member, device, target, writes=writes)


def _of_repository(step: DeployedSpec, site: Site) -> Any:
    """The model's config; None, after reporting it, where it cannot be read."""
    repository = site.folder / str(step.repository)
    if not repository.is_dir():
        hint = "paths are relative to the folder of pipeline.yaml"
        site.problem("E401", f"there is no folder {step.repository}", "repository", hint=hint)
        return None
    path = repository / step.deployed / "config.pbtxt"
    if not path.is_file():
        others = {each.parent.name for each in repository.glob("*/config.pbtxt")}
        message = f"{step.repository} has no model '{step.deployed}' with a config.pbtxt"
        near = did_you_mean(step.deployed, others) if others else "it holds no models with one"
        site.problem("E497", message, "deployed", hint=near)
        return None
    try:
        config = pbtxt.read(path, site.target)
    except InputError as error:
        site.problem("E497", error.problems[0].message, "deployed")
        return None
    wrong = [each for each in config.problems if each.severity == "error"]
    wrong = [each for each in wrong if each.code != _UNKNOWN_FIELD]
    if wrong:
        message = f"{wrong[0].span or path} cannot be read: {wrong[0].message}"
        site.problem("E497", message, "deployed", hint=f"ensemblegen check {path}")
        return None
    return config.message


def _of_server(step: DeployedSpec, site: Site) -> Any:
    server = str(step.server)
    try:
        return served.config(server, step.deployed, step.version)
    except served.UnreachableError as error:
        message = f"{server} cannot be asked for '{step.deployed}': {error}"
        hint = "is the server running? `repository:` reads a config without one"
        site.problem("E497", message, "server", hint=hint)
    except served.AbsentError as error:
        text = f"{server} does not serve '{step.deployed}': {error}"
        where = "version" if step.version != -1 else "deployed"
        near = did_you_mean(step.deployed, error.others) if error.others else None
        site.problem("E497", text, where, hint=near)
    return None


def _tensor(port: Any) -> Tensor | None:
    """The type of an input or output; None where the config leaves it to the backend."""
    kind = port.DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number[port.data_type]
    name = kind.name.removeprefix("TYPE_")
    if name not in DType.__members__ or not port.dims:
        return None
    return Tensor(DType[name], tuple(port.dims))
