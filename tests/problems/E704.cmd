compile good.yaml -o built
infer built --input xx=[1,2,3,4]
