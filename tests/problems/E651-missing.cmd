deploy sagemaker deploy/other.tar.gz --config deploy/good.yaml
