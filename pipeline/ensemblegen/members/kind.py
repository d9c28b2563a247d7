"""What a kind of step is: the contract that each file of this folder fulfils once.

A kind reads the signature of its artifact, says what config.pbtxt needs beyond tensors and
placement, and names the files of its version folder. Nothing outside this folder knows kinds by
name; to add one, write its module and give it a line in `members`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from ensemblegen.content import Content
from ensemblegen.errors import Problem
from ensemblegen.model_config import ModelConfig, merge
from ensemblegen.places import At
from ensemblegen.serving import DynamicBatching, Serving
from ensemblegen.source import Document
from ensemblegen.spec import PipelineSpec, StepSpec
from ensemblegen.targets import Target
from ensemblegen.types import DType, Shape, Tensor
from ensemblegen.words import DEVICES, Device, Place

if TYPE_CHECKING:  # few pipelines have one
    from ensemblegen.environments.declared import Declared
    from ensemblegen.environments.execution import Execution


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output that a member offers."""

    name: str
    """As the author writes it."""
    triton: str
    """As the backend wants it in config.pbtxt."""
    tensor: Tensor | None = None
    """None for an input that takes whatever arrives."""
    required: bool = True
    default: Any = None
    pad: Any = None
    """What joins items of different sizes; None keeps them apart."""
    squeezed: bool = False
    """The backend drops sizes of 1 from this output: config.pbtxt must put them back."""
    dims: Shape | None = None
    """Its sizes as the backend has them, where these are not the tensor's: some take no number in
    the config of an output that their file lacks, some have single values without an axis."""
    ranges: tuple[tuple[tuple[int, int], ...], ...] = ()
    """The least and the largest size of each axis, once for each choice of them that the model was
    built for; none means any."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The author's own fields of its ModelInput or ModelOutput."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a step takes and gives, and what its kind learned from the artifact on the way."""

    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    artifact: Any = None
    same: tuple[tuple[Shape, Shape], ...] = ()
    """Shapes of one tensor that is declared twice: their sizes are one."""


def _no_pipelines(path: str, site: Site) -> Signature | None:
    raise AssertionError(f"nobody reads {path} for {site.name}")


@dataclass(frozen=True)
class Site:
    """Where a step stands while its kind reads it; problems are reported here, not raised."""

    document: Document
    pipeline: PipelineSpec
    name: str
    problems: list[Problem] = field(default_factory=list)
    pipeline_at: Callable[[str, Site], Signature | None] = _no_pipelines
    """The inputs and outputs of the pipeline at a path, as a signature."""

    @property
    def folder(self) -> Path:
        return self.document.folder

    @property
    def target(self) -> Target:
        return Target(self.pipeline.target)

    def at(self, *way: str | int) -> At:
        return ("steps", self.name, *way)

    def problem(self, code: str, message: str, *way: str | int, hint: str | None = None) -> None:
        """Report a problem with the value at `way` of this step."""
        self.problems.append(Problem(code, message, self.document.span(self.at(*way)), hint))

    def key_problem(self, code: str, message: str, *way: str, hint: str | None = None) -> None:
        """Report a problem with the key at `way` of this step."""
        self.problems.append(Problem(code, message, self.document.key_span(self.at(*way)), hint))

    def file(self, path: str, *way: str | int) -> Path | None:
        """The file that the author names, or None after reporting that it cannot be read."""
        full = self.folder / path
        try:
            with full.open("rb"):
                return full
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            hint = "paths are relative to the folder of pipeline.yaml"
            self.problem("E401", f"cannot read {path}: {reason}", *way, hint=hint)
            return None


@dataclass(frozen=True, slots=True)
class MemberTensor:
    """A tensor of a member model: its name in the pipeline and in config.pbtxt, its final type."""

    name: str
    triton: str
    tensor: Tensor
    optional: bool = False
    default: Any = None
    pad: Any = None
    squeezed: bool = False
    dims: Shape | None = None
    """Its sizes as the backend has them, if not those of `tensor`."""
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Member:
    """One model of the repository: a step as Triton serves it."""

    pipeline: str
    step: str
    model: str
    kind: Kind
    backend: str
    origin: str
    """`pipeline.yaml:12`: where the author wrote it."""
    max_batch_size: int
    inputs: tuple[MemberTensor, ...]
    outputs: tuple[MemberTensor, ...]
    instances: Mapping[Place, int]
    batching: DynamicBatching | None
    gpus: tuple[int, ...]
    environments: Mapping[Device, Declared]
    """What it declares to run in, by device."""
    numpy2: bool
    artifact: Any
    config: Mapping[str, Any]
    """The author's own ModelConfig fields."""
    serving: Serving = field(default_factory=Serving)
    """How Triton is to run it, beyond instances and batches."""
    executions: Mapping[Place, Execution] = field(default_factory=dict)
    """The environments that were built for it and placed, by device."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Where a model takes a tensor, or gives it: `open` where that is settled only at run time."""

    place: Literal["host", "gpu", "open"]
    reason: str | None = None
    """Why it is not simply the step's device that decides; None where it is."""
    remedy: str | None = None
    """What the author may write to have it on the device of the step."""


_MEMORIES: Mapping[Place, Memory] = {
    "cpu": Memory("host"),
    "gpu": Memory("gpu"),
    "auto": Memory("open"),
}


def own_config(member: Member) -> Any:
    """The author's own fields, as a ModelConfig."""
    message = ModelConfig()
    merge(message, member.config)
    return message


class Kind(ABC):
    """A kind of step; one instance serves every step of that kind."""

    word: ClassVar[str]
    """The key in pipeline.yaml."""
    backend: ClassVar[str]
    spec: ClassVar[type[StepSpec]]
    dtypes: ClassVar[frozenset[DType]] = frozenset(DType)
    """Element types that the backend carries."""
    optional_inputs: ClassVar[bool] = False
    """Whether a request may leave out an input."""
    pads: ClassVar[bool] = False
    """Whether items of different sizes can be joined by padding."""

    unbatched: ClassVar[bool] = True
    """Whether the backend works with max_batch_size 0."""
    whole_answers: ClassVar[bool] = False
    """Whether a request must ask for every output, so that all of them must be used."""
    verbatim: ClassVar[bool] = False
    """Whether its tensors are the author's word, to be judged as the server judges a config."""
    makes_model: ClassVar[bool] = True
    """Whether the step has a model of its own; else it runs one that another step or file has."""
    sets: ClassVar[Mapping[At, At]] = {}
    """Its own words, each with the field of a ModelConfig that it sets."""

    def carries(self, dtype: DType, signature: Signature | None) -> bool:
        """Whether a step with this signature can take and give `dtype`."""
        return dtype in self.dtypes

    @abstractmethod
    def read(self, step: Any, site: Site) -> Signature | None:
        """The step's signature from its artifact; None where problems (reported) prevent it."""

    def devices(self, step: Any, signature: Signature) -> tuple[Place, ...]:
        """Where the step can run."""
        return DEVICES

    def remedy(self, step: Any, wanted: Place) -> str | None:
        """What the author may do to have the step on `wanted`, where it cannot run as it is."""
        return None

    def environments(self, signature: Signature) -> Mapping[Device, Declared]:
        """The execution environment that the step runs in, by device."""
        return {}

    def backend_of(self, step: Any) -> str:
        """`backend` of config.pbtxt."""
        return self.backend

    def model_of(self, step: Any, site: Site) -> str | None:
        """The name of the model that the step runs, where it is not one of its own."""
        return None

    def parameters(self, member: Member, device: Place, target: Target) -> dict[str, str]:
        """`parameters` of config.pbtxt for one device."""
        return {}

    def fields(self, member: Member, device: Place, target: Target) -> Mapping[str, Any]:
        """Further fields of its ModelConfig for one device, by their proto names."""
        return {}

    def profiles(self, member: Member) -> tuple[int, ...]:
        """The optimization profiles, by number, that its instances use; none means the first."""
        return ()

    def memory(self, member: Member, device: Place, target: Target, *, writes: bool) -> Memory:
        """Where the model takes its numbers, or (`writes`) gives them, when it runs on `device`.

        Strings are in host memory always, and nobody asks for them here.
        """
        return _MEMORIES[device]

    def apart(self, member: Member) -> bool:
        """Whether it runs in a process beside the server: Triton's Python backend."""
        return member.backend == "python"

    def asked_by(self, member: Member, pipeline: str) -> Member:
        """The same model, which says of itself that it is `pipeline`'s."""
        return replace(member, pipeline=pipeline)

    def calls(self, member: Member) -> tuple[str, ...]:
        """The models that it calls by itself."""
        return ()

    def calling(self, member: Member, names: Mapping[str, str]) -> Member:
        """The same model, where those that it calls are named anew."""
        return member

    def folder_of(self, member: Member) -> Path | None:
        """The model folder that was taken as it is."""
        return None

    @abstractmethod
    def files(self, member: Member) -> Iterator[tuple[str, Content]]:
        """The model folder but config.pbtxt: relative path and content of each file."""


class Borrowing(Kind):
    """A kind whose steps run a model that another step, or another file, makes."""

    backend = ""
    optional_inputs = True
    verbatim = True
    makes_model = False

    def devices(self, step: Any, signature: Signature) -> tuple[Place, ...]:
        return get_args(Place)

    def files(self, member: Member) -> Iterator[tuple[str, Content]]:
        yield from ()
