"""Can the answers of a model be kept, and its metrics be labelled, as the config wants?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ensemblegen.errors import Problem
from ensemblegen.repository.model import Model, Repository

_LABEL = re.compile(r"[A-Za-z0-9_]*")
"""What Prometheus takes in a label, after the underscore that Triton puts before it."""


def caching(model: Model, _: Repository) -> Iterator[Problem]:
    config = model.config
    if config is None or not config.message.response_cache.enable or model.is_ensemble:
        return
    message = config.message
    if message.HasField("sequence_batching"):
        why = "keeps sequences"
    elif message.model_transaction_policy.decoupled:
        why = "is decoupled"
    else:
        return
    text = f"'{model.name}' {why} and has a response_cache, which Triton does not allow"
    span = config.key_span(("response_cache",))
    yield Problem("E437", text, span, "remove response_cache")


def labels(model: Model, _: Repository) -> Iterator[Problem]:
    config = model.config
    if config is None:
        return
    for name in config.message.metric_tags:
        if not _LABEL.fullmatch(name) and config.knows("metric_tags", name):
            text = f"metric tag '{name}' of '{model.name}' ends the server as the model loads"
            hint = "use letters, digits and underscores"
            yield Problem("E439", text, config.key_span(("metric_tags", name)), hint)
