"""The kinds of steps, by their word in pipeline.yaml. A new kind is a module here and a line."""

from ensemblegen.members.backend import Backend
from ensemblegen.members.dali import Dali
from ensemblegen.members.ensemble import Ensemble
from ensemblegen.members.fil import Fil
from ensemblegen.members.kind import Kind, Member, MemberTensor, Memory, Port, Signature, Site
from ensemblegen.members.libtorch import Libtorch
from ensemblegen.members.python import Python
from ensemblegen.members.reuse import Reuse
from ensemblegen.members.tensorflow import Tensorflow

KINDS: dict[str, Kind] = {
    kind.word: kind
    for kind in (
        Python(),
        Libtorch(),
        Fil(),
        Tensorflow(),
        Dali(),
        Backend(),
        Reuse(),
        Ensemble(),
    )
}

__all__ = ["KINDS", "Kind", "Member", "MemberTensor", "Memory", "Port", "Signature", "Site"]
