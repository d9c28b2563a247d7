"""Does a config that speaks of repository agents name one?"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.errors import Problem
from ensemblegen.repository.model import Model, Repository


def agents(model: Model, _: Repository) -> Iterator[Problem]:
    config = model.config
    if config is None or not config.message.HasField("model_repository_agents"):
        return
    at = ("model_repository_agents",)
    if not config.message.model_repository_agents.agents and config.knows(*at):
        text = f"'{model.name}' has model_repository_agents without an agent: the server crashes"
        yield Problem("E441", text, config.key_span(at), "name an agent, or remove the field")
