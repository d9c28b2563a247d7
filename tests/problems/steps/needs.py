class Needs:
    def __init__(self, context):
        self.scale = 2

    def __call__(self, x, times):
        return {"y": x * times}
