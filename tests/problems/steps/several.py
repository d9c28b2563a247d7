def one(x):
    return {"y": x}


def two(x):
    return {"y": x}
