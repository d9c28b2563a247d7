serve --sagemaker to_pack/E649/model.tar.gz
