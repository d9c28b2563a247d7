package sagemaker to_pack/E642 -o packed/model.tar.gz
