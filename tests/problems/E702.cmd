infer unloadable --input x=1
