test templates/sizes.yaml --pipeline p_smal
