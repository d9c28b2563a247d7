"""Execution environments of Python steps: declared, locked, built, verified, kept, placed.

A step names an environment of `conda/`. What it declares is solved for the target server into a
lock, the lock is built into one archive whose name is its content's key, and the archive is put
where the compiled models find it. Steps that declare the same share one archive.
"""
