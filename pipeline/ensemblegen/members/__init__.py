"""The kinds of steps, by their word in pipeline.yaml. A new kind is a module here and a line."""

from ensemblegen.members.fil import Fil
from ensemblegen.members.kind import Kind, Member, MemberTensor, Port, Signature, Site
from ensemblegen.members.libtorch import Libtorch
from ensemblegen.members.python import Python

KINDS: dict[str, Kind] = {kind.word: kind for kind in (Python(), Libtorch(), Fil())}

__all__ = ["KINDS", "Kind", "Member", "MemberTensor", "Port", "Signature", "Site"]
