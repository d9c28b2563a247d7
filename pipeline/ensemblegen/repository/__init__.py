"""A model repository as anyone writes it: its models, read without a server."""
