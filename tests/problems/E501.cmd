compile good.yaml --profile mixed
