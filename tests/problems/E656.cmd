deploy sagemaker deploy/model.tar.gz --config deploy/endpoint.yaml
