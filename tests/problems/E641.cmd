package sagemaker to_pack/E641 -o packed/model.tar.gz
