"""What an author writes to have a model converted: the library that has it, and where it is.

A place is a file (`model.joblib`) or an object of Python code (`train.py:make`, `pkg.mod:make`).
Loading a pickle, and importing code, runs it: `python` says in which Python.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from ensemblegen.form import Node
from ensemblegen.spec import TensorSpec
from ensemblegen.words import Count, Name, Path, TensorName

_OBJECT = re.compile(r"(?P<module>.+\.py|[A-Za-z_]\w*(?:\.\w+)*):(?P<name>[A-Za-z_]\w*(?:\.\w+)*)")


@dataclass(frozen=True, slots=True)
class Object:
    """Something of a Python module: `name` of the file or importable module `module`."""

    module: str
    name: str

    @property
    def files(self) -> tuple[str, ...]:
        """Where its code may be, relative to the pipeline."""
        if self.module.endswith(".py"):
            return (self.module,)
        inner = self.module.replace(".", "/")
        return f"{inner}.py", f"{inner}/__init__.py"


def object_at(place: str) -> Object | None:
    """The object that `place` names; None if it is the path of a file."""
    match = _OBJECT.fullmatch(place)
    return Object(match["module"], match["name"]) if match else None


class Source(Node):
    """A file as it is, or one word for the library whose model it is made of."""

    words: ClassVar[tuple[str, ...]]
    """The libraries, by their fields."""

    file: Path | None = Field(None, description="A file that the backend loads as it is.")
    python: Path | None = Field(
        None,
        description="The Python that has the library and runs the author's code; "
        "the one that runs ensemblegen if not said.",
    )
    reads: list[Path] = Field(
        default_factory=list,
        description="Further files that decide the result: what the code opens below the "
        "pipeline's folder counts of itself.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Source:
        given = [word for word in ("file", *self.words) if getattr(self, word) is not None]
        if len(given) != 1:
            raise PydanticCustomError(
                "source",
                "needs one source, not {count}",
                {
                    "count": len(given) or "none",
                    "hint": f"write a path, or one of: {', '.join(self.words)}",
                },
            )
        return self

    @property
    def word(self) -> str | None:
        """The library to convert from; None for a file as it is."""
        return next((each for each in self.words if getattr(self, each) is not None), None)

    @property
    def place(self) -> str:
        """What stands behind the word."""
        return str(getattr(self, self.word or "file"))


def from_file(value: object) -> object:
    """A path alone is a file as it is."""
    return value if isinstance(value, dict) else {"file": value}


class ForestSource(Source):
    """A tree model: of a file that the backend reads, or made from one of a library."""

    words = ("sklearn", "cuml", "xgboost", "lightgbm")

    sklearn: Path | None = Field(
        None, description="A fitted forest or gradient boosting: joblib, pickle or FILE.py:NAME."
    )
    cuml: Path | None = Field(None, description="A fitted cuML forest: pickle or FILE.py:NAME.")
    xgboost: Path | None = Field(
        None, description="A Booster or XGBModel: any file of XGBoost's, pickle or FILE.py:NAME."
    )
    lightgbm: Path | None = Field(
        None, description="A Booster or LGBMModel: text, pickle or FILE.py:NAME."
    )


Task = Literal[
    "sequence-classification",
    "token-classification",
    "question-answering",
    "masked-lm",
    "feature-extraction",
]
FloatType = Literal["fp32", "fp16", "bf16"]


class NetworkSource(Source):
    """A neural network: a file that the backend reads, or exported from one of a library."""

    words = ("transformers", "module")

    transformers: Path | None = Field(
        None, description="A folder of save_pretrained, or a name on the Hugging Face hub."
    )
    revision: str | None = Field(None, description="Of a hub's model: a branch, tag or commit.")
    task: Task = Field("sequence-classification", description="Which head the model has.")
    dtype: FloatType = Field("fp32", description="In which type it computes; outputs are fp32.")
    max_length: Count | None = Field(
        None, description="Tokens of the longest sequence; longer ones are refused."
    )
    module: Path | None = Field(
        None, description="A torch.nn.Module, or what makes one: FILE.py:NAME or package.mod:NAME."
    )
    arguments: dict[Name, Any] = Field(
        default_factory=dict, description="What the class or function of `module` is called with."
    )
    weights: Path | None = Field(
        None, description="A state dict for the module, of torch.save or safetensors."
    )
    method: Literal["trace", "script"] = Field("trace", description="How TorchScript is made.")
    example: dict[TensorName, TensorSpec] = Field(
        default_factory=dict,
        description="Types of inputs that come from steps which do not declare them.",
    )

    @model_validator(mode="after")
    def _options_of_the_word(self) -> NetworkSource:
        own = {
            "transformers": {"revision", "task", "dtype", "max_length"},
            "module": {"arguments", "weights", "method", "example"},
        }
        allowed = own.get(self.word or "", set())
        for name in sorted(self.model_fields_set & set().union(*own.values()) - allowed):
            owner = next(word for word, names in own.items() if name in names)
            raise PydanticCustomError(
                "source",
                "'{name}' goes with `{owner}` only",
                {"name": name, "owner": owner, "hint": None},
            )
        return self


ForestWord = Annotated[ForestSource, BeforeValidator(from_file)]
NetworkWord = Annotated[NetworkSource, BeforeValidator(from_file)]
