deploy sagemaker deploy/model.tar.gz --config deploy/role.yaml
