"""A DALI pipeline that decodes, on the device for which it is asked."""

from nvidia.dali import fn, types


def decode(device):
    encoded = fn.external_source(name="encoded", dtype=types.UINT8, ndim=1)
    return fn.decoders.image(encoded, device="mixed" if device == "gpu" else "cpu")
