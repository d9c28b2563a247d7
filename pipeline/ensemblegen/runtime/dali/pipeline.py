"""The DALI pipeline of this version folder, as its author defined it.

Triton's DALI backend serializes it when it loads the model; `ensemblegen compile` does the same
beforehand. The file stands here once for each device, as `cpu.py` and `gpu.py`, or as `dali.py`
for a definition that is the same on both. `definition.json` says what is called, and how.
"""

from __future__ import annotations

from typing import Any

from nvidia.dali.plugin.triton import autoserialize


def definition() -> tuple[Any, dict[str, Any]]:
    """The author's function, and what `definition.json` says of it."""
    import importlib.util
    import json
    from pathlib import Path

    folder = Path(__file__).parent
    given = json.loads((folder / "definition.json").read_text(encoding="utf-8"))
    path = folder / "definition" / given["file"]
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, given["function"])
    if not callable(function):
        raise TypeError(f"{given['function']} is no function")
    if not getattr(function, "_is_pipeline_def", False):
        from nvidia.dali import pipeline_def

        function = pipeline_def(function)
    return function, given


def takes_device() -> bool:
    """Whether the author's function asks for the device that it is to define a pipeline for."""
    import inspect

    return "device" in inspect.signature(definition()[0]).parameters


def pipeline(device_id: int | None = 0) -> Any:
    """The pipeline for the device that this file is named after; `device_id` is for a GPU's."""
    from pathlib import Path

    device = Path(__file__).stem
    function, given = definition()
    arguments = dict(given["parameters"])
    if device in ("cpu", "gpu"):
        arguments["device"] = device
    return function(
        batch_size=given["batch_size"],
        num_threads=given["num_threads"],
        device_id=None if device == "cpu" else device_id,
        **arguments,
    )


# What `autoserialize` asks of a function: that calling it gives a pipeline. Nothing else is at the
# top of this file, because the backend searches every module that it finds there.
pipeline._is_pipeline_def = True  # type: ignore[attr-defined]
autoserialize(pipeline)
