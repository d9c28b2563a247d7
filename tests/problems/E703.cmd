compile good.yaml -o built
infer built --input x=[1,2,three,4]
