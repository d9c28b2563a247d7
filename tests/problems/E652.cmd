deploy sagemaker deploy/model.tar.gz --config deploy/region.yaml
