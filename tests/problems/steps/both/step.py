def echo(x):
    return {"y": x}
