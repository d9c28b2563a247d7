env lock conda/editable.yaml --format json
env build conda/editable.yaml
