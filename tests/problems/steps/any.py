def take(**inputs):
    return {"y": inputs["x"]}
