"""Rules: `pipeline` asks a pipeline.yaml, `repository` any model repository."""
