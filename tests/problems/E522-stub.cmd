env build outfitted-python313.yaml --format json
compile outfitted-python313.yaml -o nothing
