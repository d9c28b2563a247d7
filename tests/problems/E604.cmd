graph templates/sizes.yaml
