deploy sagemaker deploy/model.tar.gz --region eu-west-1 --bucket models
