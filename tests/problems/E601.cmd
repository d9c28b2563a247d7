compile good.yaml -o foreign
