env build outfitted-zipped.yaml
