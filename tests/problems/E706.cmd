compile raising.yaml -o raising
infer raising --input x=[1,2,3,4]
