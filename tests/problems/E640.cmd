package sagemaker to_pack/E640 -o packed/model.tar.gz
