compile templates/sizes.yaml --variant tiny
