"""How environments come about: one module a way. To add one, write it and put it in BUILDERS."""

from __future__ import annotations

from ensemblegen.environments.builders.builder import Builder, Made, Task
from ensemblegen.environments.builders.prebuilt import Prebuilt
from ensemblegen.environments.builders.rattler import Rattler
from ensemblegen.environments.builders.thin import Thin
from ensemblegen.environments.declared import BuilderWord

BUILDERS: dict[BuilderWord, Builder] = {
    "rattler": Rattler(),
    "thin": Thin(),
    "prebuilt": Prebuilt(),
}

__all__ = ["BUILDERS", "Builder", "Made", "Task"]
