compile good.yaml -o built
infer built --file rows.jsonl
