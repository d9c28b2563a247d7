loadtest good.yaml --prices loadtest/prices.yaml --instance ml.g5.xlrage
