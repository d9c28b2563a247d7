"""What a step in a model of several is given, in the form of one of Triton's tensors."""

from __future__ import annotations

from typing import Any


class Handed:
    """What the step before gave, in this process."""

    __slots__ = ("_name", "array", "library", "origin", "part")

    def __init__(self, name: str, array: Any, library: str, origin: tuple[Any, int]) -> None:
        self._name = name
        self.array = array
        self.library = library
        self.part = array if origin[0] is not None else None
        """The array itself, where it is whole rows of a larger one."""
        self.origin = origin

    def name(self) -> str:
        return self._name

    def is_cpu(self) -> bool:
        if self.library == "torch":
            return bool(self.array.device.type == "cpu")
        return self.library == "numpy"

    def as_numpy(self) -> Any:
        if self.library == "torch":
            return self.array.detach().cpu().numpy()
        return self.array if self.library == "numpy" else self.array.get()

    def __dlpack__(self, **options: Any) -> Any:
        return self._exported().__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._exported().__dlpack_device__()

    def _exported(self) -> Any:
        return self.array.detach() if self.library == "torch" else self.array


class Renamed:
    """A tensor of Triton's, by the step's name for it; `shared` if other steps take it, too."""

    __slots__ = ("_name", "_tensor", "shared")

    def __init__(self, name: str, tensor: Any, *, shared: bool) -> None:
        self._name = name
        self._tensor = tensor
        self.shared = shared

    def name(self) -> str:
        return self._name

    def is_cpu(self) -> bool:
        return bool(self._tensor.is_cpu())

    def as_numpy(self) -> Any:
        array = self._tensor.as_numpy()
        return array.copy() if self.shared else array

    def __dlpack__(self, **options: Any) -> Any:
        return self._tensor.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._tensor.__dlpack_device__()
