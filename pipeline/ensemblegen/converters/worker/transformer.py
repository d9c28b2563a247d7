"""A model of Hugging Face transformers with the head of its task, exported and compared.

Nothing of the folder is run: only architectures that transformers itself has, weights as tensors.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import authors, formats, samples
from .faults import Fault
from .named import named
from .samples import Sample

_TASKS = {
    "sequence-classification": ("AutoModelForSequenceClassification", ("logits",)),
    "token-classification": ("AutoModelForTokenClassification", ("logits",)),
    "question-answering": ("AutoModelForQuestionAnswering", ("start_logits", "end_logits")),
    "masked-lm": ("AutoModelForMaskedLM", ("logits",)),
    "feature-extraction": ("AutoModel", ("last_hidden_state",)),
}
_TYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
_TOLERANCES = {"fp32": 1e-4, "fp16": 1e-2, "bf16": 5e-2}
"""Of the largest value that the original gives in fp32, or of 1 if that is smaller."""
_SHAPES = ((2, 24), (3, 7), (1, 1))
"""Batch and tokens of the samples; the longest sequence comes on top. The first is traced."""
_TOKENS = "tokens"
_FREE_LENGTH = 512
"""Tokens that are compared at most where the model sets no limit."""


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Write the file; its inputs, outputs, longest sequence and largest difference."""
    torch = authors.library("torch", "runs the model")
    label, names = request["label"], [each["name"] for each in request["inputs"]]
    model = _load(request)
    _require_inputs(model, names, label)
    longest = _longest(torch, model, names, request)
    outputs = list(_TASKS[request["task"]][1])
    # ONNX has no errors: onnxruntime itself refuses positions past the table.
    guarded = longest if request["format"] == "torchscript" else None
    whole = named(model, names, _call(names, outputs, guarded))
    given = _samples(torch, model.config, names, longest)
    wanted = formats.expected(whole, given, label)
    described = samples.outputs(outputs, given, wanted, label)
    model.to(getattr(torch, _TYPES[request["dtype"]]))
    inputs = [{"name": name, "dtype": "int64", "shape": [_TOKENS]} for name in names]
    run = formats.write(whole, given, described, {**request, "inputs": inputs})
    worst = formats.compare(run, given, wanted, request, _TOLERANCES[request["dtype"]])
    return {
        "model": type(model).__name__,
        "commit": getattr(model.config, "_commit_hash", None),
        "dtype": request["dtype"],
        "max_length": longest,
        "inputs": inputs,
        "outputs": described,
        "samples": len(given),
        "max_difference": worst,
    }


def _load(request: dict[str, Any]) -> Any:
    """The model in fp32. Fault where its head has no weights: transformers would make them up."""
    transformers = authors.library("transformers", "loads the model")
    transformers.logging.set_verbosity_error()
    auto, _ = _TASKS[request["task"]]
    label = request["label"]
    folder = Path(label).absolute()
    place = str(folder) if folder.is_dir() else label
    try:
        model, told = getattr(transformers, auto).from_pretrained(
            place,
            revision=request["revision"],
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError) as error:
        said = " ".join(str(error).split())
        message = f"transformers {transformers.__version__} does not load {label}: {said[:300]}"
        raise Fault("file", message, "it takes a folder of save_pretrained, or a name of the hub") \
            from None  # fmt: skip
    missing = sorted(told["missing_keys"])
    if missing:
        raise Fault(
            "file",
            f"{label} has no weights for {', '.join(missing[:4])}: it was not trained for "
            f"{request['task']}",
            "name the task that it was trained for: `task: ...`",
        )
    _require_task(model, request["task"], label)
    return model.float().eval().requires_grad_(requires_grad=False)


def _require_task(model: Any, task: str, label: str) -> None:
    """Heads of several tasks have weights of one name: what they were saved as tells them apart."""
    saved = (getattr(model.config, "architectures", None) or [""])[0]
    heads = {auto.removeprefix("AutoModel"): each for each, (auto, _) in _TASKS.items()}
    trained = next((heads[head] for head in heads if head and saved.endswith(head)), None)
    if trained not in (None, task) and task != "feature-extraction":
        message = f"{label} holds a {saved}, which was not trained for {task}"
        raise Fault("file", message, f"write `task: {trained}`")


def _require_inputs(model: Any, names: Sequence[str], label: str) -> None:
    known = [each for each in inspect.signature(model.forward).parameters if each in _MAKERS]
    for name in names:
        if name not in known:
            message = f"'{name}' is no input of {label} that can be exported"
            raise Fault("input", message, f"it takes {', '.join(known)}")
    if "input_ids" not in names:
        raise Fault("input", f"{label} needs input_ids", f"it takes {', '.join(known)}")


def _call(names: list[str], outputs: list[str], longest: int | None) -> Any:
    """Answers in fp32; too long a sequence is an error if `longest` is given."""
    limit = _limit() if longest else None

    def call(model: Any, *tensors: Any) -> Any:
        given = dict(zip(names, tensors))  # noqa: B905 - one a name
        if limit:
            given["input_ids"] = limit(given["input_ids"], longest)
        answer = model(**given, return_dict=True)
        found = tuple(answer[name].float() for name in outputs)
        return found if len(found) > 1 else found[0]

    return call


def _limit() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, but what Triton loads
        from .limit import limited

        script: Any = authors.library("torch", "runs the model").jit.script
        return script(limited)


def _longest(torch: Any, model: Any, names: Sequence[str], request: dict[str, Any]) -> int:
    """The longest sequence: what the author says, or else what the positions allow."""
    positions = getattr(model.config, "max_position_embeddings", None) or _FREE_LENGTH
    wanted = request["max_length"]
    # RoBERTa's positions begin after that of the padding.
    shift = (getattr(model.config, "pad_token_id", None) or 0) + 1
    for length in [wanted] if wanted else [positions, positions - shift]:
        sample = _sample(torch, model.config, names, 1, length)
        try:
            with torch.inference_mode():
                model(**dict(zip(names, sample.tensors)))  # noqa: B905 - one a name
        except (IndexError, RuntimeError):
            continue
        return length
    raise Fault(
        "input",
        f"{request['label']} takes no {wanted or positions} tokens: it has {positions} positions",
        "write a smaller max_length",
    )


def _samples(torch: Any, config: Any, names: Sequence[str], longest: int) -> list[Sample]:
    shapes = [(batch, min(tokens, longest)) for batch, tokens in _SHAPES]
    return [_sample(torch, config, names, *shape) for shape in [*shapes, (1, longest)]]


def _sample(torch: Any, config: Any, names: Sequence[str], batch: int, tokens: int) -> Sample:
    generator = torch.Generator().manual_seed(batch * 10_000 + tokens)

    def below(limit: int) -> Any:
        return torch.randint(0, limit, (batch, tokens), generator=generator)

    made = [_MAKERS[name](config, below, batch, tokens) for name in names]
    return Sample(made, {_TOKENS: tokens}, batch)


def _mask(_: Any, below: Any, __: int, tokens: int) -> Any:
    """A padded row: with a mask of ones only, a trace could lose it."""
    mask = below(1) + 1
    mask[0, tokens // 2 + 1 :] = 0
    return mask


_MAKERS: dict[str, Callable[..., Any]] = {
    "input_ids": lambda config, below, *_: below(config.vocab_size),
    "attention_mask": _mask,
    "token_type_ids": lambda config, below, *_: below(getattr(config, "type_vocab_size", 1) or 1),
    "position_ids": lambda _, below, __, tokens: below(1) + _arange(tokens),
}
"""Samples of each input that can be exported, int64 [batch, tokens]."""


def _arange(tokens: int) -> Any:
    return authors.library("torch", "runs the model").arange(tokens)
