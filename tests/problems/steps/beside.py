from echo import echo


def twice(x):
    return echo(x)
