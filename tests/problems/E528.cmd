env lock conda/replaced.yaml --format json
env build conda/replaced.yaml
