test good.yaml
