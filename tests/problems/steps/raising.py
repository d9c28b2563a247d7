def raising(x):
    raise ValueError("this step likes no rows")
