"""Models that cannot be converted, for the cases of converters."""


def broken():
    raise ValueError("no payments to learn from")


def not_a_model():
    return {"weights": [1, 2]}


def isolation():
    import numpy
    from sklearn.ensemble import IsolationForest

    return IsolationForest(n_estimators=2, random_state=0).fit(numpy.arange(12.0).reshape(6, 2))


def counting():
    import torch

    class Counting(torch.nn.Module):
        def forward(self, x):
            return x * 0 + len(x.tolist())  # a trace keeps the number

    return Counting()
