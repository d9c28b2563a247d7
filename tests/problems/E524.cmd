compile outfitted-unlocked.yaml -o nothing
