"""What a tree-model file says of itself, read without the library that wrote it.

Formats: Treelite 4 checkpoint (header as Treelite 4.0 to 4.8 write it), XGBoost JSON and UBJSON,
LightGBM text. Only the header is read where the format allows it.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from ensemblegen.artifacts import ubjson

ModelType = Literal["treelite_checkpoint", "xgboost_json", "xgboost_ubj", "lightgbm"]
Task = Literal["regression", "classification"]


class NotAForestError(ValueError):
    """The file is none of the formats; the message says what it seems to be."""

    def __init__(self, message: str, hint: str | None = None, *, certain: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.certain = certain
        """Whether no release of the backend reads it; else we may just not know its layout."""


@dataclass(frozen=True, slots=True)
class Forest:
    """A tree model: its file format, its task and the sizes of what goes in and comes out."""

    type: ModelType
    task: Task
    features: int
    classes: int
    """Classes that a classifier tells apart (2 for binary); 1 for regression."""
    targets: int = 1
    columns: int = 1
    """Values that the trees give a row; boosting gives the second of two classes only."""
    treelite: str | None = None
    """The Treelite version that wrote a checkpoint."""


def read(path: Path) -> Forest:
    """Read the header of `path`. Raises NotAForestError, with a remedy where there is one."""
    with path.open("rb") as file:
        start = file.read(64)
        file.seek(0)
        try:
            return _read(start, file)
        except NotAForestError:
            raise
        except (struct.error, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            raise NotAForestError(f"is damaged or cut short ({error})") from None


def _read(start: bytes, file: BinaryIO) -> Forest:
    if start.startswith((b"tree\n", b"tree\r\n")):
        return _lightgbm(file)
    if start.lstrip()[:1] == b"{":
        if re.match(rb"\s*\{\s*\"", start):
            return _xgboost(json.load(file), "xgboost_json")
        return _xgboost(ubjson.load(file), "xgboost_ubj")
    if start[:1] == b"\x80":
        raise NotAForestError(
            "is a pickle, which Triton never loads",
            "scikit-learn: treelite.sklearn.import_model(model).serialize('checkpoint.tl'); "
            "cuML: model.as_treelite().serialize('checkpoint.tl')",
            certain=True,
        )
    if len(start) >= 12 and 0 < struct.unpack_from("<i", start)[0] < 100:
        return _treelite(file)
    if start[:4] == b"binf" or b"gbtree" in start:
        raise NotAForestError(
            "is XGBoost's old binary format", "save it again with booster.save_model('model.json')"
        )
    raise NotAForestError(
        "is no tree model that the FIL backend reads",
        "it reads Treelite checkpoints, XGBoost JSON and UBJSON, and LightGBM text",
    )


def _treelite(file: BinaryIO) -> Forest:
    major, minor, patch = struct.unpack("<iii", file.read(12))
    version = f"{major}.{minor}.{patch}"
    if major != 4:
        raise NotAForestError(
            f"is a checkpoint of Treelite {version}; the backend reads those of Treelite 4",
            "write it again with treelite>=4.3,<5",
            certain=major < 4 and (major, minor) != (3, 9),
        )
    file.read(2)  # types of thresholds and leaves
    trees, features, task, _averaged, targets = struct.unpack("<QiBBi", file.read(18))
    (length,) = struct.unpack("<Q", file.read(8))
    if not (0 < targets < 1 << 16 and length == targets and features > 0 and trees < 1 << 32):
        raise ValueError("implausible header")
    classes = struct.unpack(f"<{length}i", file.read(4 * length))
    # Treelite's TaskType: 0 binary classifier, 1 regressor, 2 multi-class classifier,
    # 3 learning to rank, 4 isolation forest. A binary classifier counts as one class.
    classifier = task in (0, 2)
    return Forest(
        "treelite_checkpoint",
        "classification" if classifier else "regression",
        features,
        max(2, *classes, 0) if classifier else 1,
        targets,
        max(1, *classes, 0),
        version,
    )


def _xgboost(model: Any, kind: ModelType) -> Forest:
    learner = model.get("learner") if isinstance(model, dict) else None
    if not isinstance(learner, dict):
        message = "is JSON, but no XGBoost model: it has no `learner`"
        raise NotAForestError(message, certain=kind == "xgboost_json")
    sizes = learner["learner_model_param"]
    objective = str(learner["objective"]["name"])
    classifier = objective.startswith(("binary:", "multi:"))
    columns = max(1, int(sizes.get("num_class", 0)))
    return Forest(
        kind,
        "classification" if classifier else "regression",
        int(sizes["num_feature"]),
        max(2, columns) if classifier else 1,
        int(sizes.get("num_target", 1)),
        columns,
    )


def _lightgbm(file: BinaryIO) -> Forest:
    fields: dict[str, str] = {}
    for raw in file:
        line = raw.decode("utf-8", "replace").strip()
        if line.startswith("Tree=") or len(fields) > 1000:
            break
        key, _, value = line.partition("=")
        fields[key] = value
    objective = fields.get("objective", "").split(" ")[0]
    classifier = objective in ("binary", "multiclass", "multiclassova", "cross_entropy")
    columns = max(1, int(fields["num_class"])) if classifier else 1
    return Forest(
        "lightgbm",
        "classification" if classifier else "regression",
        int(fields["max_feature_idx"]) + 1,
        max(2, columns) if classifier else 1,
        columns=columns,
    )
