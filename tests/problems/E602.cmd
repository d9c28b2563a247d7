compile good.yaml -o nothing --check
