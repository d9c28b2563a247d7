"""Every code that a problem can carry: the one list that tests hold complete.

E1 reading a file   E2 wiring   E3 types and sizes   E4 members   E5 placement   E6 repositories
E7 serving and calling

`explanations/<code>.md` says of each its cause, an example and the remedy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]
"""error: refused, or breaks when used; warning: works and will surprise; info: worth knowing."""


@dataclass(frozen=True, slots=True)
class Code:
    """What a code stands for, and the Triton releases in which it holds."""

    title: str
    severity: Severity = "error"
    since: str | None = None
    """The first release, `YY.MM`; None if it holds from the oldest that we know."""
    until: str | None = None
    """The first release in which it holds no longer; None if it still does."""


CODES = {
    "E101": Code("the file cannot be read"),
    "E102": Code("the file is not YAML"),
    "E103": Code("a key is given twice"),
    "E104": Code("the YAML is not plain data"),
    "E110": Code("unknown key"),
    "E111": Code("a required key is missing"),
    "E112": Code("a value has the wrong type or range"),
    "E113": Code("a step must be of exactly one kind"),
    "E114": Code("an environment variable is not set"),
    "E115": Code("a name is not usable in Triton"),
    "E201": Code("a reference names no step or input"),
    "E202": Code("a reference names no output of its step"),
    "E203": Code("an input of a step is not connected"),
    "E204": Code("a step has no such input"),
    "E205": Code("steps wait for each other"),
    "E206": Code("a pipeline input is not used"),
    "E207": Code("a step's results are not used"),
    "E208": Code("an intermediate tensor is exported as an output"),
    "E209": Code("one tensor is exported as two outputs"),
    "E210": Code("an output only repeats an input"),
    "E211": Code("an output has the name of an input"),
    "E212": Code("an optional input feeds a required one"),
    "E213": Code("an example does not fit the pipeline"),
    "E214": Code("there is nothing to test"),
    "E215": Code("requests for some outputs only may fail", "warning"),
    "E301": Code("element types differ along an edge"),
    "E302": Code("shapes differ along an edge"),
    "E303": Code("a size has two values"),
    "E304": Code("a step's batch size is below the pipeline's"),
    "E305": Code("an output's type is not known"),
    "E401": Code("a file of a step cannot be read"),
    "E402": Code("a file is not what its kind expects"),
    "E403": Code("inputs do not match the forward arguments"),
    "E404": Code("a tensor index is out of range"),
    "E405": Code("the backend does not support this type"),
    "E407": Code("outputs do not match the model"),
    "E408": Code("no such Python step"),
    "E409": Code("the entry of a Python step is not usable"),
    "E410": Code("an asset of a Python step is missing"),
    "E406": Code("the model is of a kind that the backend cannot run"),
    "E411": Code("two names stand for one tensor"),
    "E412": Code("a field of `config` is not usable"),
    "E413": Code("no such environment"),
    "E501": Code("no such profile"),
    "E502": Code("a profile names no step"),
    "E503": Code("a step has no implementation for its device"),
    "E504": Code("the target release does not have this"),
    "E601": Code("the output folder is not ours"),
    "E602": Code("the compiled repository is stale"),
    "E701": Code("the folder is no repository that can be used"),
    "E702": Code("a model does not load"),
    "E703": Code("a value does not fit its input"),
    "E704": Code("an input or model is unknown or missing"),
    "E705": Code("rows cannot be read"),
    "E706": Code("the server refused a row"),
}
