deploy sagemaker deploy/model.tar.gz --config deploy/words.yaml
