"""From a model repository that someone wrote by hand to pipeline.yaml files that compile to it."""
