"""Models of other libraries into files that Triton's backends load, once, by the author's Python.

`source` is what an author writes, `job` a conversion to do, `convert` does it or finds it done.
`worker/` is what runs in the author's Python: nothing of ensemblegen is installed there, and
nothing of scikit-learn, XGBoost or torch is imported here.
"""
