deploy sagemaker deploy/model.tar.gz --config deploy/ranges.yaml
