"""Amazon SageMaker's side of Triton: the container's layout and start script, and its protocol."""
