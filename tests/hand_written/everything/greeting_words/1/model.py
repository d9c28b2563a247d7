"""Retired: the version policy does not name it any more."""

raise RuntimeError("version 1 must not be loaded")
