serve --sagemaker to_pack/E644/model.tar.gz
