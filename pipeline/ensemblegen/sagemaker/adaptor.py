"""How Triton's SageMaker adaptor finds a model (server, src/sagemaker_server.cc, 24.10).

Of an archive on a multi-model endpoint it loads one folder, as a model that has the name of the
archive: the one whose config.pbtxt, read as text, matches `platform: "ensemble"`; of several, the
last in the order of the file system; of none, the last folder of all.
"""

from __future__ import annotations

import re

_ENSEMBLE = re.compile(r'platform:\s*"ensemble"')
_MARK = '# platform: "ensemble"  (by this line SageMaker\'s adaptor finds the model to load)\n'


def is_found(config: str) -> bool:
    """Whether the adaptor takes a model with this config for the archive's."""
    return _ENSEMBLE.search(config) is not None


def marked(config: str) -> str:
    """The config so that the adaptor finds it; the same to Triton, for which it is a comment."""
    return config if is_found(config) else _MARK + config


def hidden(config: str) -> str:
    """The config so that the adaptor does not find it; Triton takes both kinds of quotes."""
    return _ENSEMBLE.sub("platform: 'ensemble'", config)
