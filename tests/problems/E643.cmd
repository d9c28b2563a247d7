package sagemaker to_pack/E643 -o packed/model.tar.gz
