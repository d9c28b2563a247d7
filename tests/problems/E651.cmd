deploy sagemaker deploy/changed/model.tar.gz --config deploy/good.yaml
