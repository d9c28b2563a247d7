#!/usr/bin/env bash
# The GPU's numbers and proofs, in one command on a bare machine with an NVIDIA GPU:
#
#   bash bench/gpu.sh [--part NAME]... [--device gpu|cpu] [--small] [--budget SECONDS]
#
# Without a network: carry the pieces of bench/wheels.py in .wheels/, some in each call; each call
# keeps what it brought, and the first that has them all goes on to measure. Where `python3` can
# serve already (pip install -e '.[local,train]'), nothing is unpacked.
# Results: $OUT (default build/gpu), one JSON a part, table.md and log.txt.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

export OUT="${OUT:-build/gpu}"
home="${ENSEMBLEGEN_GPU_HOME:-/tmp/ensemblegen-gpu}"
mkdir -p "$OUT" "$home"

# Triton's Python backend opens libcuda.so by this name; many machines have libcuda.so.1 alone.
driver="$(ldconfig -p 2>/dev/null | awk '/libcuda\.so\.1 .*x86-64/ {print $NF; exit}')"
[ -n "$driver" ] || driver="$(ls /usr/local/nvidia/lib64/libcuda.so.1 2>/dev/null)"
if [ -n "$driver" ]; then
  mkdir -p "$home/driver"
  ln -sf "$driver" "$home/driver/libcuda.so"
  ln -sf "$driver" "$home/driver/libcuda.so.1"
  export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$home/driver"
fi

python="${ENSEMBLEGEN_GPU_PYTHON:-python3}"

# CuPy looks for CUDA's libraries there, which torch's own wheels have brought.
cuda="$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' 2>/dev/null)/nvidia/cu13/lib"
if [ -d "$cuda" ]; then export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$cuda"; fi
if [ -d /usr/local/cuda ]; then export CUDA_PATH="${CUDA_PATH:-/usr/local/cuda}"; fi

# Makes the TorchScript file: the one with transformers.
export MAKER_PYTHON="${MAKER_PYTHON:-$python}"
export PYTHONPATH="$PWD/pipeline${PYTHONPATH:+:$PYTHONPATH}"
ready='import importlib.util, treelite, torch, numpy
assert importlib.util.find_spec("pytriton") and numpy.__version__ < "2"'
if ! "$python" -c "$ready" 2>/dev/null; then
  export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$home/python/lib"
  python="$("$python" bench/gpu/place.py --pieces "${WHEELS:-.wheels}" --home "$home" 2> >(tee -a "$OUT/log.txt" >&2))"
  status=$?
  if [ $status -eq 4 ]; then echo "nothing measured yet: carry the other pieces in the next call"; exit 0; fi
  [ $status -eq 0 ] || exit $status
fi
exec "$python" -u bench/gpu/run.py --home "$home" "$@"
