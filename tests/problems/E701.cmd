infer foreign --input a=1
