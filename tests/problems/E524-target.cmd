env lock conda/small.yaml --format json
env lock conda/small.yaml --check --target 24.11
