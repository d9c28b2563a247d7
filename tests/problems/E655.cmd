deploy sagemaker deploy/model.tar.gz --config deploy/bucket.yaml
