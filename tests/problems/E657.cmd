loadtest --matrix loadtest/matrix.yaml
