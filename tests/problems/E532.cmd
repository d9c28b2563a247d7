compile outfitted-gpu.yaml -o outfitted_gpu --format json
compile outfitted-gpu.yaml -o outfitted_gpu
