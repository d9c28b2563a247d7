compile good-plan.yaml -o out
