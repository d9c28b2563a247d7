"""What Triton's backends take: names, types, parameters and files, as data and pure functions.

One module a backend. The kinds of steps of a pipeline.yaml and the rules on hand-written configs
both read it here.
"""
