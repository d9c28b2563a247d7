def broken(x:
    return {"y": x}
