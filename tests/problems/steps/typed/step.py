def typed(text, scale):
    return {"ids": [[len(each)] for each in text], "length": scale}
