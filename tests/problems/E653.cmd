deploy sagemaker deploy/model.tar.gz --config deploy/image.yaml
