package sagemaker to_pack/E645 --multi-model packed
