"""config.pbtxt: text in, Config out."""

from __future__ import annotations

from pathlib import Path

from google.protobuf import text_format

from ensemblegen.model_config import ModelConfig
from ensemblegen.pbtxt.config import Config


def read(path: Path) -> Config:
    return parse(path.read_text(encoding="utf-8"), str(path))


def parse(text: str, path: str) -> Config:
    message = ModelConfig()
    text_format.Parse(text, message)
    return Config(path, {}, {}, message, text)
