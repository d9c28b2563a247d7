"""Stand-in for Triton's DALI backend: pipelines on DALI's CPU operators.

It follows the native backend's rules: which file is loaded, inputs by the names of external
sources, outputs by position, samples of any size in one batch.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb
from stand_in import InvalidError, StandIn, model_path, parameter, share_of_cores, words

_FALLBACK = "dali.py"


class TritonPythonModel(StandIn):
    """Runs a pipeline once for all the samples of a batch, whatever their sizes."""

    ragged = True

    def load(self) -> None:
        import numpy

        self._np = numpy
        self._on_gpu = self.arguments["model_instance_kind"] == "GPU"
        self.inputs = [each["name"] for each in self.config.get("input", [])]
        self.outputs = [each["name"] for each in self.config.get("output", [])]
        if not self.batched:
            raise InvalidError("Missing max_batch_size field in model configuration.")
        self._serialized = _serialized(self.arguments, self.config)
        self._pipeline = self._built()

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """All outputs or none: the native backend gives no part of them."""
        partial = {
            index
            for index, each in enumerate(requests)
            if set(each.requested_output_names()) != set(self.outputs)
        }
        message = (
            "Number of outputs expected by the requests does not match the number of outputs from "
            f"DALI pipeline ({len(self.outputs)})."
        )
        refusal = pb.InferenceResponse(error=pb.TritonError(message, pb.TritonError.UNKNOWN))
        whole = [each for index, each in enumerate(requests) if index not in partial]
        answers: Iterator[Any] = iter(super().execute(whole))
        return [refusal if index in partial else next(answers) for index in range(len(requests))]

    def join(self, values: list[Any]) -> Any:
        return [sample for value in values for sample in value]

    def run(self, values: list[Any]) -> list[Any]:
        try:
            for name, samples in zip(self.inputs, values, strict=True):
                self._pipeline.feed_input(name, [self._np.asarray(each) for each in samples])
            results = self._pipeline.run()
        except Exception as error:  # noqa: BLE001
            # A pipeline in which an operator failed says of itself that it is no longer valid.
            self._pipeline = self._built()
            raise RuntimeError(f"DALI error: {words(error)}") from None
        if len(results) != len(self.outputs):
            raise InvalidError(
                "The number of outputs specified in the DALI pipeline and the configuration file "
                f"do not match. Model config outputs: {len(self.outputs)}, "
                f"pipeline outputs: {len(results)}"
            )
        return [self._arrays(each) for each in results]

    def send(self, name: str, value: Any) -> Any:
        if isinstance(value, list):
            if len({each.shape for each in value}) > 1:
                raise InvalidError(f"the samples of '{name}' differ in shape within one request")
            value = self._np.stack(value)
        return super().send(name, value)

    def _arrays(self, result: Any) -> Any:
        """One array where all samples have one shape, else one for each."""
        if self._on_gpu and hasattr(result, "as_cpu"):
            result = result.as_cpu()
        if result.is_dense_tensor():
            # The next run writes over it.
            return self._np.array(result.as_array())
        return [self._np.array(result.at(index)) for index in range(len(result))]

    def _built(self) -> Any:
        from nvidia import dali

        wanted = parameter(self.config, "num_threads")
        device = int(self.arguments["model_instance_device_id"]) if self._on_gpu else None
        try:
            pipeline = dali.Pipeline.deserialize(
                self._serialized,
                batch_size=int(self.config["max_batch_size"]),
                num_threads=int(wanted or share_of_cores(self.config)),
                device_id=device,
                prefetch_queue_depth=1,
            )
            pipeline.build()
        except Exception as error:  # noqa: BLE001
            where = "on a GPU" if self._on_gpu else "without a GPU, on which its operators may be"
            message = f"the DALI pipeline cannot be built {where}: {words(error)}"
            raise RuntimeError(message) from None
        return pipeline


def _serialized(arguments: dict[str, str], config: dict[str, Any]) -> bytes:
    """The pipeline's bytes: of the model's file, or of what its Python gives."""
    path: Path = model_path(arguments, config, "model.dali")
    if path.is_file() and path.suffix != ".py":
        return path.read_bytes()
    if not path.is_file():
        path = path.with_name(_FALLBACK)
    if not path.is_file():
        raise RuntimeError(
            "Failed to load model file. The program looked in the following locations: "
            f"{model_path(arguments, config, 'model.dali')}, {path}"
        )
    return _from_python(path)


def _from_python(path: Path) -> bytes:
    from nvidia.dali._utils.autoserialize import invoke_autoserialize

    sys.dont_write_bytecode = True  # a repository may be read-only, and is checked for changes
    spec = importlib.util.spec_from_file_location("autoserialize_mod", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "model.dali")
        invoke_autoserialize(module, str(target))
        return target.read_bytes()
