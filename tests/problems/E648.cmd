package sagemaker to_pack/E648 -o packed/E648.tar.gz
package sagemaker to_pack/E648 -o packed/E648.tar.gz
