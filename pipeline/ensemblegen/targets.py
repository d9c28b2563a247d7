"""What differs between Triton releases, as data.

Sources: the container release notes and the backends' own build files
(fil_backend `cmake/thirdparty/get_treelite.cmake`, python_backend's pybind11 version and
`ParseActivationScript`, common `protobuf/model_config.proto`; Python, glibc and CUDA from the
framework support matrix).
"""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT = "24.10"
OLDEST, NEWEST = "24.05", "26.08"

FIELDS_SINCE = {
    "ensemble_scheduling.max_inflight_requests": "25.11",
    "input.is_non_linear_format_io": "24.08",
    "model_metrics": "24.11",
    "output.is_non_linear_format_io": "24.08",
}
"""ModelConfig fields, with the fields that they are in, by the first release whose parser knows
them; the rest are in all targets.
"""


ENSEMBLE_CACHE = "24.06"
"""The first release whose ensembles can have a response cache (core#338)."""

TENSORFLOW_UNTIL = "25.03"
"""The first release without a TensorFlow backend (server build.py)."""

DALI_1_UNTIL = "26.01"
"""Every release before this one has some DALI 1 (24.10: 1.42); later ones were not looked at."""

TREELITE = (
    ("24.03", "4.0.0"),
    ("24.05", "4.1.2"),
    ("24.09", "4.3.0"),
    ("24.11", "4.4.0"),
    ("25.01", "4.4.1"),
    ("26.01", "4.6.1"),
    ("26.06", "4.7.0"),
)
"""The Treelite in the FIL backend, by the first release that has it. All of these read checkpoints
of Treelite 3.9 and 4, and XGBoost's JSON from 1.7 on (fil_backend docs)."""

PYTHON = (("24.03", "3.10"), ("24.11", "3.12"))
"""The Python of the image, to which its stub is linked: Ubuntu 22.04's, then 24.04's."""

GLIBC = (("24.03", "2.35"), ("24.11", "2.39"))
LIBSTDCXX = (("24.03", "12"), ("24.11", "13"))
"""The oldest libstdc++ that the stub runs with; an environment's own comes before the image's."""

CUDA = (
    ("24.03", "12.4"),
    ("24.06", "12.5"),
    ("24.08", "12.6"),
    ("25.01", "12.8"),
    ("25.04", "12.9"),
    ("25.08", "13.0"),
    ("25.12", "13.1"),
)


@dataclass(frozen=True, slots=True)
class Target:
    """One release of NVIDIA's container, `YY.MM`."""

    release: str

    @property
    def _number(self) -> tuple[int, int]:
        return _parse(self.release)

    def has(self, since: str) -> bool:
        """Whether this release is `since` or newer."""
        return self._number >= _parse(since)

    @property
    def numpy2(self) -> bool:
        """Whether the Python stub reads numpy 2 arrays (pybind11 2.12 came with 24.11)."""
        return self.has("24.11")

    @property
    def tensorflow(self) -> bool:
        """Whether the image has the TensorFlow backend."""
        return not self.has(TENSORFLOW_UNTIL)

    @property
    def dali_1(self) -> bool:
        """Whether the image is known to have a DALI of before 2.0."""
        return not self.has(DALI_1_UNTIL)

    @property
    def fil_renamed_parameters(self) -> bool:
        """From 25.09 the FIL backend calls `output_class` `is_classifier`."""
        return self.has("25.09")

    @property
    def treelite(self) -> str:
        """The version of Treelite in the FIL backend."""
        return self._of(TREELITE)

    @property
    def python(self) -> str:
        """`3.10`: the minor version of the image's Python."""
        return self._of(PYTHON)

    @property
    def glibc(self) -> str:
        return self._of(GLIBC)

    @property
    def libstdcxx(self) -> str:
        return self._of(LIBSTDCXX)

    @property
    def cuda(self) -> str:
        """The CUDA of the image, which any driver that it starts with can run."""
        return self._of(CUDA)

    @property
    def onnx_ir(self) -> int | None:
        """The newest version of the ONNX format that it reads; None where that is not known.

        ONNX Runtime 1.18 to 1.21, which these releases have, refuse what is newer than 10.
        """
        return None if self.has("25.05") else 10

    @property
    def xgboost_ubj(self) -> bool:
        return self.has("24.10")

    def _of(self, table: tuple[tuple[str, str], ...]) -> str:
        return [value for since, value in table if self.has(since)][-1]


def _parse(release: str) -> tuple[int, int]:
    year, month = release.split(".")
    return int(year), int(month)


def known(release: str) -> bool:
    """Whether `release` is a target that the tables cover."""
    year, dot, month = release.partition(".")
    if not (dot and year.isdigit() and month.isdigit() and len(year) == len(month) == 2):
        return False
    return 1 <= int(month) <= 12 and _parse(OLDEST) <= _parse(release) <= _parse(NEWEST)
