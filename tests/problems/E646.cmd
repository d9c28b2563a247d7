serve --sagemaker vocab.txt
