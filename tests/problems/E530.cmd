env lock conda/without-cudf.yaml --format json
env build conda/without-cudf.yaml
