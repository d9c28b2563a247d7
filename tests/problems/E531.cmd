env build conda/zipped.tar.gz
