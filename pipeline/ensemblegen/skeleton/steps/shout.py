"""A step: a function (or a class) that takes arrays, batch axis first, and gives arrays."""


def shout(text, times):
    """Strings arrive as a list; numbers as numpy arrays of shape [batch, *item]."""
    return {"loud": [line.upper() + "!" * int(n) for line, n in zip(text, times[:, 0])]}
