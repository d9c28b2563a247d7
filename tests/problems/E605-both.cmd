compile templates/sizes.yaml --variant small --variant size=large
