bench open_sized.yaml
