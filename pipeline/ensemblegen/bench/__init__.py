"""Measuring a served pipeline: load, windows until stable, and where the time of a request goes."""
