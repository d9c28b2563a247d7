"""The step runtime: what stands between Triton's Python backend and a plain Python step.

These files go verbatim into generated repositories as the package `ensemblegen_runtime`, in one
archive beside `model.py` (a copy of `entry.py`) and `step.json`. They run in whatever interpreter
the step's environment has, 3.8 or later, and import the standard library, numpy and
`triton_python_backend_utils`; torch and cupy only where a step asks for them. They never import
`ensemblegen`, and each other only relatively.
"""
