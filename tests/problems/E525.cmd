env lock conda/small.yaml --format json
compile outfitted.yaml -o nothing
