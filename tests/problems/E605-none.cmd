compile good.yaml --variant tiny
