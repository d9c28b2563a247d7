"""Do all models take a resource of the rate limiter alike? (ResourceManager in core.)"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.errors import Problem, Span
from ensemblegen.pbtxt.config import Config
from ensemblegen.places import At
from ensemblegen.repository.model import Model, Repository


def rates(model: Model, repository: Repository) -> Iterator[Problem]:
    config = model.config
    taken = list(_taken(model))
    if config is None or not taken:
        return
    seen: dict[str, tuple[str, bool]] = {}
    for other in (*_before(model, repository), model):
        for _, name, wide in _taken(other):
            seen.setdefault(name, (other.name, wide))
    for at, name, wide in taken:
        who, known = seen[name]
        if known != wide:
            said = "the whole server's" if wide else "each device's own"
            text = f"resource '{name}' is {said} here, and not in '{who}'"
            hint = "with --rate-limit, the server loads only models that agree on `global`"
            yield Problem("E516", text, _span(config, at), hint)


def _before(model: Model, repository: Repository) -> Iterator[Model]:
    for other in repository.models.values():
        if other.name == model.name:
            return
        yield other


def _taken(model: Model) -> Iterator[tuple[At, str, bool]]:
    """Where each resource stands in the config, its name, and whether it is the server's."""
    config = model.config
    for group, message in enumerate(config.message.instance_group if config else ()):
        for number, resource in enumerate(message.rate_limiter.resources):
            at = ("instance_group", group, "rate_limiter", "resources", number)
            if config is not None and config.knows(*at):
                yield at, resource.name, getattr(resource, "global")


def _span(config: Config, at: At) -> Span:
    return config.span((*at, "global")) if (*at, "global") in config.values else config.span(at)
