"""Compiled repositories in the form that a place to run them takes: one file a place."""
