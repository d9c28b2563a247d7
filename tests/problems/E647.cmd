package sagemaker to_pack/E647 -o packed/model.tar.gz
